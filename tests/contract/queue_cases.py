"""What every queue must do. A test class inherits these and gives `queue` and `unreachable`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from backend.core.errors import QueueError
from backend.ports.queue import Queue

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLS: dict[str, Callable[[Queue], object]] = {
    "ping": lambda queue: queue.ping(),
    "enqueue_chunk": lambda queue: queue.enqueue_chunk(1, [1], interactive=True),
    "enqueue_enlisting": lambda queue: queue.enqueue_enlisting(1, None),
    "enqueue_sync": lambda queue: queue.enqueue_sync(1),
    "sync_started": lambda queue: queue.sync_started(1),
    "enqueue_auto_start": lambda queue: queue.enqueue_auto_start(1, [1]),
    "enqueue_write_back": lambda queue: queue.enqueue_write_back(1),
    "write_back_started": lambda queue: queue.write_back_started(1),
    "enqueue_batch_step": lambda queue: queue.enqueue_batch_step(1),
    "batch_step_started": lambda queue: queue.batch_step_started(1),
    "depth": lambda queue: queue.depth(),
    "levels": lambda queue: queue.levels(),
    "failures": lambda queue: queue.failures(),
    "server": lambda queue: queue.server(),
    "workers": lambda queue: queue.workers(),
    "workers_started_with": lambda queue: queue.workers_started_with(),
    "enqueue_check": lambda queue: queue.enqueue_check(1),
    "enqueue_annotations": lambda queue: queue.enqueue_annotations(1, [1], [2]),
    "enqueue_catch_up": lambda queue: queue.enqueue_catch_up(1),
    "enqueue_refit": lambda queue: queue.enqueue_refit(1),
    "refit_started": lambda queue: queue.refit_started(1),
    "checked_at": lambda queue: queue.checked_at(1),
    "set_checked": lambda queue: queue.set_checked(1, MOMENT),
    "at_work": lambda queue: queue.at_work("a").__enter__(),
    "silent": lambda queue: queue.silent(["a"]),
    "jobs_named": lambda queue: queue.jobs_named(),
    "sweeper_lock": lambda queue: queue.sweeper_lock().__enter__(),
    "writer_at": lambda queue: queue.writer_at(1),
    "writer_lock": lambda queue: queue.writer_lock(1).__enter__(),
    "batch_at": lambda queue: queue.batch_at(1),
    "batch_lock": lambda queue: queue.batch_lock(1).__enter__(),
}


class QueueCases:
    """The contract. Fixtures of the subclass: `queue`, empty; `unreachable`, one whose server is away;
    `take_sync`, which takes the waiting sync message and begins it."""

    def test_messages_wait_in_their_queue(self, queue: Queue) -> None:
        assert queue.depth() == {"interactive": 0, "bulk": 0}
        queue.enqueue_chunk(1, [1, 2], interactive=True)
        queue.enqueue_chunk(1, [3, 4], interactive=False)
        queue.enqueue_chunk(1, [], interactive=False)
        queue.enqueue_auto_start(1, [1])
        assert queue.depth() == {"interactive": 2, "bulk": 2}

    def test_a_chunk_may_come_later(self, queue: Queue) -> None:
        queue.enqueue_chunk(1, [1, 2], interactive=False, delay_s=60.0)
        assert queue.depth() == {"interactive": 0, "bulk": 0}

    def test_the_levels_of_queues(self, queue: Queue) -> None:
        queue.enqueue_chunk(1, [1], interactive=True)
        queue.enqueue_chunk(1, [2], interactive=False, delay_s=60.0)
        levels = queue.levels()
        assert {name: (level.waiting, level.scheduled, level.failed) for name, level in levels.items()} == {
            "interactive": (1, 0, 0),
            "bulk": (0, 1, 0),
        }
        assert levels["bulk"].oldest_s is None
        assert queue.failures() == {}
        assert abs(queue.server().ahead_s) < 5

    def test_the_same_chunk_may_wait_twice(self, queue: Queue) -> None:
        for _ in range(2):
            queue.enqueue_chunk(1, [1, 2], interactive=False)
        assert queue.depth()["bulk"] == 2

    def test_annotations_are_looked_at_each_time_they_are_named(self, queue: Queue) -> None:
        for _ in range(2):
            queue.enqueue_annotations(1, [1], [])
        queue.enqueue_annotations(1, [], [5, 6])
        assert queue.depth() == {"interactive": 3, "bulk": 0}

    def test_one_catching_up_of_a_project_in_a_while(self, queue: Queue) -> None:
        for project_id in (1, 2, 1):
            queue.enqueue_catch_up(project_id)
        assert queue.depth() == {"interactive": 0, "bulk": 2}

    def test_one_message_for_reading_on_waits_at_a_time(self, queue: Queue) -> None:
        for _ in range(3):
            queue.enqueue_enlisting(1, None)
        assert queue.depth() == {"interactive": 0, "bulk": 1}
        queue.enqueue_enlisting(2, None)
        assert queue.depth() == {"interactive": 0, "bulk": 2}

    def test_one_sync_of_a_project_waits_at_a_time(self, queue: Queue) -> None:
        for _ in range(3):
            queue.enqueue_sync(1)
        assert queue.depth()["interactive"] == 1
        queue.enqueue_sync(2)
        assert queue.depth()["interactive"] == 2

    def test_a_change_after_the_sync_began_asks_for_another(
        self, queue: Queue, take_sync: Callable[[int], None]
    ) -> None:
        queue.enqueue_sync(1)
        take_sync(1)
        before = queue.depth()["interactive"]
        queue.enqueue_sync(1)
        assert queue.depth()["interactive"] == before + 1

    def test_a_write_back_comes_later(self, queue: Queue) -> None:
        queue.enqueue_write_back(1)
        assert queue.depth() == {"interactive": 0, "bulk": 0}

    def test_a_write_back_may_come_at_once(self, queue: Queue) -> None:
        for _ in range(2):
            queue.enqueue_write_back(1, at_once=True)
        assert queue.depth()["bulk"] == 1

    def test_one_fit_of_a_project_waits_at_a_time(self, queue: Queue) -> None:
        for project_id in (1, 1, 2):
            queue.enqueue_refit(project_id)
        assert queue.depth() == {"interactive": 0, "bulk": 2}

    def test_a_project_is_compared_once_in_a_while(self, queue: Queue) -> None:
        for _ in range(2):
            queue.enqueue_check(1)
        assert queue.depth()["bulk"] == 1

    def test_when_a_project_was_compared_is_remembered(self, queue: Queue) -> None:
        assert queue.checked_at(1) is None
        queue.set_checked(1, MOMENT)
        assert queue.checked_at(1) == MOMENT
        assert queue.checked_at(2) is None

    def test_jobs_are_named_by_messages_that_wait_or_come_later(self, queue: Queue) -> None:
        assert queue.jobs_named() == set()
        queue.enqueue_chunk(1, [1], interactive=True)
        queue.enqueue_chunk(2, [2], interactive=False)
        queue.enqueue_chunk(33, [3], interactive=False, delay_s=60.0)
        queue.enqueue_write_back(4, at_once=True)
        assert queue.jobs_named() == {1, 2, 33}

    def test_who_is_at_work_is_not_silent(self, queue: Queue) -> None:
        with queue.at_work("one"):
            assert queue.silent(["one", "other"]) == {"other"}
        assert queue.silent(["one"]) == {"one"}
        assert queue.silent([]) == set()

    def test_one_sweeper(self, queue: Queue) -> None:
        with queue.sweeper_lock() as first, queue.sweeper_lock() as second:
            assert first is not None
            assert second is None
        with queue.sweeper_lock() as again:
            assert again is not None

    def test_a_writer_is_seen(self, queue: Queue) -> None:
        assert not queue.writer_at(1)
        with queue.writer_lock(1):
            assert queue.writer_at(1)
            assert not queue.writer_at(2)
        assert not queue.writer_at(1)

    def test_one_writer_a_project(self, queue: Queue) -> None:
        with queue.writer_lock(1) as first, queue.writer_lock(1) as second, queue.writer_lock(2) as other:
            assert first is not None
            assert other is not None
            assert second is None
            first()
        with queue.writer_lock(1) as again:
            assert again is not None

    def test_one_step_of_a_job_s_batches_waits_at_a_time(self, queue: Queue) -> None:
        for _ in range(2):
            queue.enqueue_batch_step(1)
        queue.enqueue_batch_step(2, after=7)
        queue.enqueue_batch_step(3, delay_s=60.0)
        assert queue.depth() == {"interactive": 0, "bulk": 2}

    def test_beside_a_step_that_has_begun_another_may_wait(self, queue: Queue) -> None:
        queue.enqueue_batch_step(1)
        queue.batch_step_started(1)
        queue.enqueue_batch_step(1, after=7)
        queue.enqueue_batch_step(1)
        assert queue.depth() == {"interactive": 0, "bulk": 2}

    def test_one_worker_is_at_a_job_s_batches(self, queue: Queue) -> None:
        with queue.batch_lock(1) as first, queue.batch_lock(1) as second, queue.writer_lock(1) as writer:
            assert first is not None
            assert second is None
            assert writer is not None
            assert (queue.batch_at(1), queue.batch_at(2)) == (True, False)
            first()
        assert not queue.batch_at(1)
        with queue.batch_lock(1) as again:
            assert again is not None

    def test_the_lock_is_given_back_after_an_error(self, queue: Queue) -> None:
        def fail() -> None:
            with queue.writer_lock(1) as keep:
                assert keep is not None
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with queue.writer_lock(1) as keep:
            assert keep is not None

    def test_one_that_got_no_lock_takes_nothing_from_the_one_that_has_it(self, queue: Queue) -> None:
        with queue.writer_lock(1) as keep:
            assert keep is not None
            with queue.writer_lock(1) as second:
                assert second is None
            with queue.writer_lock(1) as third:
                assert third is None

    @pytest.mark.parametrize("name", CALLS)
    def test_a_server_that_is_away(self, unreachable: Queue, name: str) -> None:
        with pytest.raises(QueueError, match="REDIS_URL"):
            CALLS[name](unreachable)
