"""The writer: every finished record arrives once, whatever Label Studio and other writers do meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from backend.core.errors import LabelStudioUnauthorized, LabelStudioUnreachable, QueueError
from backend.core.values import Outcome, Prediction, Task, TaskState
from backend.ports.store import Record
from backend.services import writeback
from backend.services.writeback import FIRST_BATCH, LARGEST_BATCH, SMALLEST_BATCH, Pace
from tests.fakes.installation import Installation


def finished(installation: Installation, *texts: str) -> tuple[int, list[int]]:
    """A project whose tasks are answered and not yet written back."""
    project_id, task_ids = installation.project(*texts)
    job_id = installation.start_run(project_id)
    answer(installation, project_id, job_id, task_ids)
    return project_id, task_ids


def answer(
    installation: Installation, project_id: int, job_id: int, task_ids: list[int], label: str = "positive"
) -> None:
    job = installation.store.job(job_id)
    assert job is not None
    for record in installation.store.claim(job.version, project_id, task_ids, f"job {job_id}"):
        installation.store.save_outcomes([(record.id, record.data_hash, outcome(label))])


def outcome(label: str) -> Outcome:
    region = {"id": "r", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return Outcome(state=TaskState.DONE, result=(region,), score=0.9)


def records(installation: Installation, project_id: int, task_ids: list[int]) -> dict[int, Record]:
    return installation.store.records(project_id, installation.version(project_id), task_ids)


def deliveries(installation: Installation, project_id: int, task_ids: list[int]) -> list[str]:
    found = records(installation, project_id, task_ids)
    return [found[task_id].delivery for task_id in task_ids]


def paced(seconds: Callable[[int], float], calls: int) -> list[int]:
    """The sizes of so many full calls, of which one with n predictions takes `seconds(n)`."""
    pace, sizes = Pace(), []
    for _ in range(calls):
        sizes.append(pace.size)
        pace = pace.after(pace.size, seconds(pace.size))
    return sizes


class TestPace:
    def test_grows_while_a_call_is_short(self) -> None:
        assert Pace(size=100).after(100, 0.01).size == 200

    def test_stays_where_a_call_is_as_long_as_it_may_be(self) -> None:
        assert Pace(size=100).after(100, 0.1).size == 100

    def test_stays_when_the_batch_was_not_full(self) -> None:
        assert Pace(size=100).after(40, 60.0).size == 100

    def test_shrinks_when_a_call_is_long_and_more_would_not_be_cheaper(self) -> None:
        once = Pace(size=100, other=(50, 0.5))
        assert once.after(100, 1.0).size == 50

    def test_a_first_call_that_is_a_little_too_long_is_no_reason_for_a_longer_one(self) -> None:
        assert Pace().after(FIRST_BATCH, 0.4).size < FIRST_BATCH

    @pytest.mark.parametrize("busy", [1.0, 3.0])
    def test_an_annotator_waits_for_no_call_where_the_cost_is_the_batch(self, busy: float) -> None:
        """With the memory-efficient import: 0.57 s for 1,000, on a quiet machine."""
        a_prediction_s = 0.00057 * busy
        calls = [size * a_prediction_s for size in paced(lambda n: n * a_prediction_s, 40)]
        assert max(calls) < 0.15
        assert min(calls[3:]) > 0.04

    def test_few_large_calls_over_a_cost_that_does_not_depend_on_the_batch(self) -> None:
        """3 s for one prediction and 3.2 s for 3,000, and it stays so."""
        sizes = paced(lambda n: 3.0 + n * 0.00007, 24)
        assert sum(sizes[:8]) >= 10_000
        assert set(sizes[7:]) == {LARGEST_BATCH}

    def test_comes_back_after_one_slow_call(self) -> None:
        slow = iter([0.0, 9.0])
        sizes = paced(lambda n: next(slow, 0.0) or n * 0.0007, 12)
        assert set(sizes[4:]) == {100}

    def test_a_smaller_fixed_part_is_seen_too(self) -> None:
        """A project of 2,000 tasks, without the memory-efficient import."""
        assert max(paced(lambda n: 0.6 + n * 0.00007, 8)) == LARGEST_BATCH

    def test_keeps_its_bounds(self) -> None:
        small, large = Pace(size=SMALLEST_BATCH, other=(50, 3.0)), Pace(size=LARGEST_BATCH)
        assert small.after(SMALLEST_BATCH, 1.5).size == SMALLEST_BATCH
        assert large.after(LARGEST_BATCH, 0.01).size == LARGEST_BATCH


def test_who_waits_for_the_database_gets_it_between_two_calls() -> None:
    installation = Installation()
    project_id, _ = finished(installation, *(f"text {n}" for n in range(FIRST_BATCH + 1)))
    pauses: list[float] = []
    write = installation.labels.import_predictions

    def slowly(project_id: int, predictions: Sequence[Prediction]) -> int:
        time.sleep(0.02)
        return write(project_id, predictions)

    installation.labels.import_predictions = slowly  # type: ignore[method-assign]
    assert replace(installation.writer, pause=pauses.append).write_back(project_id) == FIRST_BATCH + 1
    assert len(pauses) == 1  # none after the last
    assert pauses[0] >= 0.01


def test_a_writer_that_never_comes_to_an_end_leaves_the_rest_to_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue would end its own message after ten minutes, in the middle of a call."""
    installation = Installation()
    project_id, task_ids = finished(installation, *(f"text {n}" for n in range(FIRST_BATCH + 1)))
    seconds = iter([0.0, 0.0, 0.0, 0.0])  # the time is over after the first call
    monkeypatch.setattr(writeback, "monotonic", lambda: next(seconds, 1e9))
    assert installation.writer.write_back(project_id) == FIRST_BATCH
    assert deliveries(installation, project_id, task_ids).count("pending") == 1
    assert [message.work for message in installation.queue.later] == ["write_back"]
    monkeypatch.undo()
    assert installation.writer.write_back(project_id) == 1


def test_everything_that_is_due_is_written_once() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, *(f"text {n}" for n in range(250)))
    assert installation.writer.write_back(project_id) == 250
    assert installation.writer.write_back(project_id) == 0
    assert all(len(choices) == 1 for choices in installation.choices(project_id).values())
    assert set(deliveries(installation, project_id, task_ids)) == {"written"}
    sizes = [n for method, n in installation.labels.calls if method == "import_predictions"]
    assert sizes == [FIRST_BATCH, 2 * FIRST_BATCH, 100]


def test_a_task_that_was_deleted_meanwhile_holds_up_no_other() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one", "two", "three")
    installation.labels.delete_tasks(project_id, [task_ids[1]])
    assert installation.writer.write_back(project_id) == 2
    found = records(installation, project_id, task_ids)
    assert [found[i].state for i in task_ids] == [TaskState.DONE, TaskState.DELETED, TaskState.DONE]
    assert installation.writer.write_back(project_id) == 0


def test_all_tasks_deleted() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one", "two")
    installation.labels.delete_tasks(project_id, task_ids)
    assert installation.writer.write_back(project_id) == 0
    assert {r.state for r in records(installation, project_id, task_ids).values()} == {TaskState.DELETED}


def test_a_dropped_item_is_found_and_told_and_the_others_stand() -> None:
    """Without the memory-efficient import Label Studio drops what it finds invalid, and says nothing."""
    installation = Installation()
    project_id, task_ids = finished(installation, "one", "two", "three")
    installation.labels.fast = False
    job_id = installation.store.create_job(project_id, installation.version(project_id), "run")
    installation.store.enlist(
        job_id, [Task(id=task_ids[1], project_id=project_id, data={"text": "other"})], absent=False
    )
    answer(installation, project_id, job_id, [task_ids[1]], "no such label")
    assert installation.writer.write_back(project_id) == 2
    assert [len(c) for c in installation.choices(project_id).values()] == [1, 0, 1]
    refused = records(installation, project_id, task_ids)[task_ids[1]]
    assert (refused.state, refused.delivery) == (TaskState.FAILED, "none")
    assert refused.error is not None
    assert "HTTP 400" in refused.error
    assert installation.writer.write_back(project_id) == 0


def test_a_batch_that_is_refused_for_one_is_written_for_the_others() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one", "two", "three")
    installation.labels.refused_tasks = {task_ids[0]}
    assert installation.writer.write_back(project_id) == 2
    assert records(installation, project_id, task_ids)[task_ids[0]].state is TaskState.FAILED
    assert [len(c) for c in installation.choices(project_id).values()] == [0, 1, 1]


def test_a_refused_prediction_is_offered_again_by_the_next_run() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one")
    installation.labels.refused_tasks = set(task_ids)
    installation.writer.write_back(project_id)
    installation.labels.refused_tasks = set()
    installation.run(project_id)
    assert installation.choices(project_id) == {task_ids[0]: ["positive"]}


@pytest.mark.parametrize("already_there", [0, 1, 2, 3])
def test_what_a_dead_writer_left_ends_as_exactly_one(already_there: int) -> None:
    """It claimed and died: its prediction may or may not have arrived."""
    installation = Installation()
    project_id, task_ids = finished(installation, "one")
    (claimed,) = installation.store.claim_deliveries(project_id, installation.version(project_id), 10)
    for _ in range(already_there):
        installation.labels.create_prediction(claimed.prediction)
    assert installation.writer.write_back(project_id) == 1
    assert installation.choices(project_id) == {task_ids[0]: ["positive"]}
    (record,) = records(installation, project_id, task_ids).values()
    assert (record.delivery, record.rewrite) == ("written", already_there == 0)  # else it may still arrive


def test_a_new_answer_replaces_the_old_one_of_the_same_version() -> None:
    """The task's data changed after its prediction was written."""
    installation = Installation()
    project_id, task_ids = finished(installation, "good", "also good")
    installation.writer.write_back(project_id)
    installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad"}
    installation.run(project_id, task_ids)
    assert installation.choices(project_id) == {task_ids[0]: ["negative"], task_ids[1]: ["positive"]}


def test_a_rewrite_of_a_deleted_task_is_no_failure() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one")
    installation.store.claim_deliveries(project_id, installation.version(project_id), 10)
    installation.labels.delete_tasks(project_id, task_ids)
    assert installation.writer.write_back(project_id) == 0
    (record,) = records(installation, project_id, task_ids).values()
    assert record.state is TaskState.DELETED


def test_a_second_writer_leaves_at_once() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one")
    with installation.queue.writer_lock(project_id) as keep:
        assert keep is not None
        assert installation.writer.write_back(project_id) == 0
    assert deliveries(installation, project_id, task_ids) == ["pending"]
    assert installation.writer.write_back(project_id) == 1


def test_what_a_writer_had_to_leave_is_written_when_the_lock_has_run_out() -> None:
    """The writer with the lock was killed: nobody but this message comes back for what the others finished."""
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad")
    with installation.queue.writer_lock(project_id) as keep:
        assert keep is not None
        job_id = installation.run(project_id)
        installation.queue.a_while_passes()
        assert installation.work_off() == 1  # the lock is still held: it comes back once more
        assert deliveries(installation, project_id, task_ids) == ["pending", "pending"]
    installation.queue.a_while_passes()
    assert installation.work_off() == 1
    assert installation.choices(project_id) == {task_ids[0]: ["positive"], task_ids[1]: ["negative"]}
    assert len(installation.model.requests) == 2
    assert not installation.queue.later
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"


def test_one_message_comes_back_however_many_leave() -> None:
    installation = Installation()
    project_id, _ = finished(installation, "one", "two", "three")
    with installation.queue.writer_lock(project_id):
        for _ in range(3):
            installation.writer.write_back(project_id)
    assert len(installation.queue.later) == 1


def test_no_message_comes_back_where_nothing_is_left() -> None:
    installation = Installation()
    project_id, _ = finished(installation, "one")
    installation.writer.write_back(project_id)
    with installation.queue.writer_lock(project_id):
        installation.writer.write_back(project_id)
    assert not installation.queue.later


def test_what_becomes_due_while_the_writer_leaves_is_written() -> None:
    """Another worker finished its chunk after the last look, found the lock taken and left."""
    installation = Installation()
    project_id, task_ids = installation.project("one", "two")
    job_id = installation.start_run(project_id)
    answer(installation, project_id, job_id, [task_ids[0]])
    claim = installation.store.claim_deliveries

    def late(*args: int | str) -> list[Record]:
        found = claim(*args)  # type: ignore[arg-type]
        if not found:
            answer(installation, project_id, job_id, [task_ids[1]])
        return found

    installation.store.claim_deliveries = late  # type: ignore[method-assign]
    assert installation.writer.write_back(project_id) == 2
    assert [len(c) for c in installation.choices(project_id).values()] == [1, 1]


@pytest.mark.parametrize("error", [LabelStudioUnreachable, LabelStudioUnauthorized])
def test_label_studio_away_loses_nothing(error: type[Exception]) -> None:
    installation = Installation()
    project_id, _ = finished(installation, "one", "two")
    if error is LabelStudioUnreachable:
        installation.labels.reachable = False
    else:
        installation.labels.key_is_good = False
    with pytest.raises(error):
        installation.writer.write_back(project_id)
    installation.labels.reachable = installation.labels.key_is_good = True
    assert installation.writer.write_back(project_id) == 2
    assert [len(c) for c in installation.choices(project_id).values()] == [1, 1]


def test_held_records_are_left_alone_until_their_time() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("one")
    row = installation.projects.sync(installation.labels, project_id)
    assert row.version is not None
    job_id = installation.store.create_job(project_id, row.version, "predict")
    tasks = [Task(id=task_ids[0], project_id=project_id, data={"text": "one"})]
    installation.store.enlist(job_id, tasks, absent=True, hold_s=6)
    answer(installation, project_id, job_id, task_ids)
    installation.queue.messages.clear()
    assert installation.writer.write_back(project_id) == 0
    installation.clock.sleep(6.1)
    installation.queue.a_while_passes()
    assert installation.work_off() == 1
    assert deliveries(installation, project_id, task_ids) == ["written"]


def test_answers_of_an_old_version_are_not_written() -> None:
    installation = Installation()
    project_id, task_ids = finished(installation, "one")
    installation.labels.edit_project(project_id, instructions="Be strict.")
    installation.projects.sync(installation.labels, project_id)
    assert installation.writer.write_back(project_id) == 0
    assert installation.choices(project_id) == {task_ids[0]: []}


def test_a_project_that_is_not_known_here() -> None:
    installation = Installation()
    assert installation.writer.write_back(99) == 0


def test_a_lock_that_vanishes_within_a_call_leaves_one_prediction_each() -> None:
    """Redis comes back empty while Label Studio works on the call, and another worker writes the same meanwhile."""
    installation = Installation()
    project_id, task_ids = finished(installation, "good", "fine", "nice")
    really = installation.labels.import_predictions

    def slow(project: int, predictions: Sequence[Prediction]) -> int:
        installation.labels.import_predictions = really  # type: ignore[method-assign]
        installation.queue.lose_locks()
        installation.writer.write_back(project_id)
        return really(project, predictions)

    installation.labels.import_predictions = slow  # type: ignore[method-assign]
    with pytest.raises(QueueError):
        installation.writer.write_back(project_id)
    installation.writer.write_back(project_id)
    assert installation.choices(project_id) == {task_id: ["positive"] for task_id in task_ids}
    assert deliveries(installation, project_id, task_ids) == ["written"] * 3
