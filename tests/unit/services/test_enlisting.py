"""Enlisting: every task of a job is read and queued once, whoever is killed or away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.core.errors import LabelStudioUnauthorized, LabelStudioUnreachable, ModelServerError, QueueError
from backend.core.values import Outcome, TaskState
from backend.ports.store import JobRow
from backend.services import enlisting
from backend.services.enlisting import named, revive
from backend.services.jobs import start_created
from backend.services.selection import Selection
from tests.fakes.installation import CONFIG, Installation, by_mood
from tests.fakes.memory_queue import Message
from tests.unit.services.test_paid_once import scored


class Killed(BaseException):
    """What ends a process between two statements."""


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tasks a page."""
    monkeypatch.setattr(enlisting, "PAGE", 4)


def paged(tasks: int, **options: object) -> tuple[Installation, int, list[int]]:
    """An installation whose messages read one page each, with a project of so many tasks."""
    installation = Installation(**options)  # type: ignore[arg-type]
    installation.enlister = replace(installation.enlister, read_s=0.0)
    project_id, task_ids = installation.project(*(f"text {n}" for n in range(tasks)))
    return installation, project_id, task_ids


def the_job(installation: Installation, job_id: int) -> JobRow:
    job = installation.store.job(job_id)
    assert job is not None
    return job


def next_message(installation: Installation) -> Message:
    message = installation.queue.messages.popleft()
    installation.handle(message)
    return message


@pytest.mark.parametrize("tasks", [0, 1, 3, 4, 5, 8, 11])
def test_every_task_is_asked_and_written_once(tasks: int) -> None:
    installation, project_id, task_ids = paged(tasks)
    job = the_job(installation, installation.run(project_id))
    assert installation.choices(project_id) == {task_id: ["positive"] for task_id in task_ids}
    assert len(installation.model.requests) == tasks
    assert (job.state, job.total, job.reading, job.reason) == ("done", tasks, False, None)


def test_annotation_begins_with_the_first_page_and_no_more_is_read_meanwhile() -> None:
    installation, project_id, task_ids = paged(10, chunk_size=2)
    job_id = installation.jobs.start_run(project_id)
    assert the_job(installation, job_id).state == "enlisting"
    next_message(installation)
    job = the_job(installation, job_id)
    assert (job.state, job.total, job.reading, job.read_to) == ("queued", 4, True, task_ids[3])
    assert [m.work for m in installation.queue.messages] == ["annotate_chunk", "annotate_chunk", "enlist"]
    next_message(installation)
    assert the_job(installation, job_id).state == "running"
    next_message(installation)
    assert the_job(installation, job_id).state == "running"  # all that is enlisted is done, and there is more
    assert installation.choices(project_id)[task_ids[3]] == ["positive"]
    installation.work_off()
    job = the_job(installation, job_id)
    assert (job.state, job.total) == ("done", 10)


def test_a_message_reads_as_many_pages_as_its_time_allows() -> None:
    installation, project_id, _ = paged(10)
    installation.enlister = replace(installation.enlister, read_s=60.0)
    installation.jobs.start_run(project_id)
    next_message(installation)
    assert "enlist" not in [m.work for m in installation.queue.messages]
    installation.work_off()
    assert len(installation.model.requests) == 10


STEPS = ("enlist", "set_read_to", "end_reading", "set_job_state")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "enqueue_chunk", "enqueue_enlisting"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_worker_that_is_killed_anywhere_loses_and_repeats_nothing(step: str, nth: int, when: str) -> None:
    installation, project_id, task_ids = paged(10, chunk_size=2, cached=True)
    owner: object = installation.queue if step.startswith("enqueue") else installation.store
    job_id = installation.jobs.start_run(project_id)
    really: Callable[..., object] = getattr(owner, step)
    calls = 0

    def killed(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            raise Killed
        answer = really(*arguments, **options)
        if calls == nth:
            raise Killed
        return answer

    setattr(owner, step, killed)
    for _ in range(3):  # RQ queues the message of a killed worker again
        try:
            installation.work_off()
        except Killed:
            continue
    job = the_job(installation, job_id)
    assert (job.state, job.total, job.reading) == ("done", 10, False)
    assert installation.choices(project_id) == {task_id: ["positive"] for task_id in task_ids}
    assert len(installation.model.requests) == 10


def test_a_job_whose_message_was_lost_is_revived() -> None:
    installation, project_id, _ = paged(10)
    job_id = installation.jobs.start_run(project_id)
    installation.queue.messages.clear()  # an emptied Redis
    revive(installation.store, installation.queue)
    revive(installation.store, installation.queue)
    assert [(m.work, m.arguments) for m in installation.queue.messages] == [("enlist", (job_id,))]
    next_message(installation)
    installation.queue.messages.pop()  # the next one is lost too
    revive(installation.store, installation.queue)
    installation.work_off()
    assert the_job(installation, job_id).state == "done"
    assert all(len(found) == 1 for found in installation.choices(project_id).values())
    revive(installation.store, installation.queue)
    assert not installation.queue.messages


def test_the_same_message_delivered_twice_at_any_time_changes_nothing() -> None:
    installation, project_id, _ = paged(10)
    job_id = installation.jobs.start_run(project_id)
    while installation.queue.messages:
        next_message(installation)
        installation.enlister.work(job_id, "a worker")
    assert the_job(installation, job_id).state == "done"
    assert len(installation.model.requests) == 10


def test_label_studio_away_is_tried_again() -> None:
    installation, project_id, _ = paged(3)
    job_id = installation.jobs.start_run(project_id)
    installation.labels.reachable = False
    with pytest.raises(LabelStudioUnreachable):
        installation.work_off()
    assert the_job(installation, job_id).state == "enlisting"
    installation.labels.reachable = True
    installation.work_off()
    assert the_job(installation, job_id).state == "done"


def test_a_refused_key_stops_the_job_with_its_sentence() -> None:
    installation, project_id, _ = paged(3)
    job_id = installation.jobs.start_run(project_id)
    installation.labels.key_is_good = False
    with pytest.raises(LabelStudioUnauthorized) as refused:
        installation.labels.project(project_id)
    next_message(installation)
    job = the_job(installation, job_id)
    assert (job.state, job.reason) == ("stopped", str(refused.value))
    assert installation.store.reading_jobs() == []


def test_a_stopped_job_is_read_no_further() -> None:
    installation, project_id, _ = paged(10)
    job_id = installation.jobs.start_run(project_id)
    next_message(installation)
    installation.store.set_job_state(job_id, "stopped", "by hand")
    installation.work_off()
    assert (the_job(installation, job_id).total, installation.model.requests) == (4, [])
    installation.run(project_id)
    assert all(len(found) == 1 for found in installation.choices(project_id).values())


def test_failed_tasks_are_read_again_and_those_that_fail_now_are_not() -> None:
    failing = True
    installation, project_id, _ = paged(6, answer=lambda r: ModelServerError("down") if failing else by_mood(r))
    installation.run(project_id)
    asked = len(installation.model.requests)
    job = the_job(installation, installation.run(project_id))
    assert (job.state, job.total) == ("done", 6)
    assert len(installation.model.requests) == 2 * asked
    failing = False
    installation.run(project_id)
    assert all(found == ["positive"] for found in installation.choices(project_id).values())


def test_all_of_a_project() -> None:
    """Those that have an answer keep it."""
    installation, project_id, task_ids = paged(10)
    installation.run(project_id, [task_ids[3]])
    job_id = installation.jobs.start_run(project_id, selection=Selection(keep="all"))
    installation.work_off()
    assert (the_job(installation, job_id).state, the_job(installation, job_id).total) == ("done", 10)
    assert installation.store.calls(project_id) == 10


@pytest.mark.parametrize("selection", [{"keep": "of a later release"}, {"keep": "missing", "sample": 3}, {}])
def test_a_selection_that_is_not_known_stops_the_job(selection: dict[str, object]) -> None:
    installation, project_id, _ = paged(1)
    version = installation.projects.sync(installation.labels, project_id).version
    assert version is not None
    job_id = installation.store.create_job(project_id, version, "run", selection=selection)
    installation.enlister.work(job_id, "a worker")
    job = the_job(installation, job_id)
    assert job.state == "stopped"
    assert "run the same release everywhere" in str(job.reason)


def test_a_job_that_cannot_be_queued_is_stopped() -> None:
    installation, project_id, _ = paged(1)

    def fail(job_id: int, read_to: int | None) -> None:
        raise QueueError("Redis cannot be used.")

    installation.queue.enqueue_enlisting = fail  # type: ignore[method-assign]
    with pytest.raises(QueueError):
        installation.jobs.start_run(project_id)
    (job,) = installation.store.jobs()
    assert (job.state, job.reason, job.selection) == ("stopped", "Redis cannot be used.", Selection().to_json())


def test_two_workers_ask_what_is_alike_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 tasks with 30 texts; each worker has its own memory of what is in flight."""
    monkeypatch.setattr(enlisting, "PAGE", 500)
    installation = Installation(scored, chunk_size=50, cached=True, concurrency=8)
    project_id, _ = installation.project(*(f"text {n % 30}" for n in range(300)))
    job_id = installation.start_run(project_id)
    first, second = (m for m in list(installation.queue.messages)[:2])
    claim, begun = installation.store.claim, []

    def then_the_other(
        version: str, project_id: int, task_ids: Sequence[int], claimant: str, *, alike: bool = False
    ) -> object:
        """The other worker begins while the first has claimed its tasks and not yet asked."""
        records = claim(version, project_id, task_ids, claimant, alike=alike)
        if not begun:
            begun.append(len(records))
            other_hand = claim(version, project_id, second.arguments[1], second.id, alike=True)
            begun.append(len(other_hand))
        return records

    installation.store.claim = then_the_other  # type: ignore[method-assign, assignment]
    installation.handle(first)
    assert begun == [300, 0]
    installation.work_off()
    assert len(installation.model.requests) == 30
    assert the_job(installation, job_id).state == "done"
    assert all(len(found) == 1 for found in installation.choices(project_id).values())


def test_what_is_alike_and_was_claimed_by_a_killed_worker_comes_back_with_its_message() -> None:
    installation = Installation(scored, chunk_size=1, cached=True, concurrency=1)
    project_id, _ = installation.project("same", "same", "same")
    job_id = installation.start_run(project_id)
    message = installation.queue.messages.popleft()
    claimed = installation.store.claim(
        installation.version(project_id), project_id, message.arguments[1], message.id, alike=True
    )
    assert len(claimed) == 3
    installation.store.save_outcomes([(claimed[0].id, claimed[0].data_hash, Outcome(state=TaskState.EMPTY))])
    installation.work_off()  # the other messages find nothing to do
    assert the_job(installation, job_id).state != "done"
    installation.handle(message)
    states = installation.store.progress(job_id).states
    assert (the_job(installation, job_id).state, states) == ("done", {"empty": 1, "done": 2})


def test_who_reads_gives_a_sign_of_life() -> None:
    installation, project_id, _ = paged(1)
    job_id = installation.jobs.start_run(project_id)
    seen: list[set[str]] = []
    enlist = installation.store.enlist

    def looked_at(*arguments: object, **options: object) -> None:
        seen.append(set(installation.queue.working))
        enlist(*arguments, **options)  # type: ignore[arg-type]

    installation.store.enlist = looked_at  # type: ignore[method-assign]
    installation.enlister.work(job_id, "a worker")
    assert (seen, installation.queue.working) == ([{"a worker"}], set())


def begun_by_itself(tasks: int) -> tuple[Installation, int, list[int]]:
    installation, project_id, task_ids = paged(tasks, chunk_size=2)
    row = installation.projects.sync(installation.labels, project_id)
    installation.store.save_project(replace(row, auto_start=True))
    return installation, project_id, task_ids


def created(installation: Installation, project_id: int, task_ids: Sequence[int]) -> int:
    row = installation.store.project(project_id)
    assert row is not None
    job_id = start_created(installation.store, installation.queue, row, task_ids)
    assert job_id is not None
    return job_id


def test_created_tasks_are_read_page_by_page_behind_the_annotators() -> None:
    installation, project_id, task_ids = begun_by_itself(12)
    job_id = created(installation, project_id, task_ids[2:])
    assert [(m.work, m.interactive) for m in installation.queue.messages] == [("enlist", False)]
    next_message(installation)
    assert (the_job(installation, job_id).total, the_job(installation, job_id).reading) == (4, True)
    installation.queue.messages.clear()  # Redis comes back empty
    for _ in range(4):
        installation.sweeper.look()
        installation.clock.now += timedelta(seconds=4)
        installation.work_off()
    assert (the_job(installation, job_id).state, the_job(installation, job_id).total) == ("done", 10)
    assert [bool(found) for found in installation.choices(project_id).values()] == [False] * 2 + [True] * 10
    assert len(installation.model.requests) == 10


def test_created_tasks_are_not_lost_where_redis_is_away() -> None:
    installation, project_id, task_ids = begun_by_itself(2)
    installation.queue.reachable = False
    with pytest.raises(QueueError):
        created(installation, project_id, task_ids)
    installation.queue.reachable = True
    installation.sweeper.look()
    installation.work_off()
    assert all(installation.choices(project_id).values())


def test_created_tasks_of_a_project_that_changed_unheard_are_asked_under_the_new_version() -> None:
    installation, project_id, task_ids = begun_by_itself(12)
    job_id = created(installation, project_id, task_ids)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    installation.work_off()
    assert the_job(installation, job_id).state == "stopped"
    assert all(len(found) == 1 for found in installation.choices(project_id).values())
    assert len(installation.model.requests) == 12


def test_named_tasks_are_stored_as_ranges() -> None:
    assert named([7, 1, 2, 3, 7, 9]) == {"ids": [[1, 3], [7, 7], [9, 9]]}
    assert named([]) == {"ids": []}
