"""`/predict`: one entry per task, in order, at once; and never the same prediction by two ways."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from backend.core.errors import ModelServerError, QueueError
from backend.core.values import TaskState
from backend.services.predict import Predictor
from tests.fakes.installation import CONFIG, Installation, by_mood

LATER: list[Any] = []
JUNK = [None, 7, "task", [], {}, {"id": "7"}, {"id": True}, {"id": 1.5}, {"id": None, "data": {}}, {"data": {}}]
HUGE = [{"id": 10**40, "data": {"text": "x"}}, {"id": 2**63, "data": {}}, {"id": -1}, {"id": 0}]


def ask(
    installation: Installation,
    project_id: int,
    task_ids: list[int],
    *,
    interactive: bool = False,
    config: str | None = CONFIG,
) -> list[Any]:
    tasks = installation.raw_tasks(project_id, task_ids)
    return installation.predictor.answer(project_id, tasks, config, interactive=interactive)


def open_task(installation: Installation, project_id: int, task_ids: list[int]) -> list[Any]:
    """Ask, and store the answer as Label Studio does."""
    answers = ask(installation, project_id, task_ids)
    installation.store_answers(project_id, task_ids, answers)
    return answers


def choice(answer: Any) -> str:
    chosen: str = answer["result"][0]["value"]["choices"][0]
    return chosen


def answered_here(installation: Installation, project_id: int) -> None:
    """Run everything, and lose it in Label Studio a while ago."""
    installation.run(project_id)
    installation.labels.projects[project_id].predictions.clear()
    installation.clock.sleep(60)


def counted(installation: Installation, project_id: int) -> set[int]:
    return {len(choices) for choices in installation.choices(project_id).values()}


def test_what_is_stored_is_answered_at_once_in_the_order_asked() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad", "fine")
    answered_here(installation, project_id)
    installation.clock.slept.clear()
    backwards = task_ids[::-1]
    answers = ask(installation, project_id, backwards)
    assert [choice(a) for a in answers] == ["positive", "negative", "positive"]
    assert {a["model_version"] for a in answers} == {installation.version(project_id)}
    assert installation.clock.slept == []
    assert len(installation.model.requests) == 3


def test_an_answer_has_just_what_label_studio_takes() -> None:
    """A null score or version would fail the whole batch there."""
    installation = Installation()
    project_id, task_ids = installation.project("good")
    answered_here(installation, project_id)
    (answer,) = ask(installation, project_id, task_ids)
    assert set(answer) == {"result", "model_version"}


def test_more_than_two_tasks_are_not_waited_for() -> None:
    installation = Installation(chunk_size=2)
    project_id, task_ids = installation.project("a", "b", "c", "d", "e")
    assert ask(installation, project_id, task_ids) == [LATER] * 5
    assert installation.clock.slept == []
    chunks = [m for m in installation.queue.messages if m.work == "annotate_chunk"]
    assert [m.arguments[1] for m in chunks] == [task_ids[:2], task_ids[2:4], task_ids[4:]]
    assert not any(m.interactive for m in chunks)
    installation.work_off()
    assert counted(installation, project_id) == {1}


def test_some_stored_and_some_later() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    answered_here(installation, project_id)
    installation.labels.add_tasks(project_id, [{"text": f"new {n}"} for n in range(3)])
    answers = ask(installation, project_id, sorted(installation.labels.projects[project_id].tasks))
    assert [bool(a) for a in answers] == [True, True, False, False, False]


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_tasks_are_waited_for(count: int) -> None:
    installation = Installation()
    project_id, task_ids = installation.project(*["bad", "good"][:count])
    installation.clock.while_sleeping = installation.work_off
    answers = ask(installation, project_id, task_ids)
    assert [choice(a) for a in answers] == ["negative", "positive"][:count]
    assert sum(installation.clock.slept) < 1.0
    (message,) = {m.interactive for m in installation.queue.messages} or {True}
    assert message


def test_the_deadline_ends_the_wait_and_the_write_back_brings_the_rest() -> None:
    installation = Installation(deadline_s=1.0)
    project_id, task_ids = installation.project("good")
    assert ask(installation, project_id, task_ids) == [LATER]
    assert 1.0 <= sum(installation.clock.slept) <= 1.2
    installation.work_off()
    assert installation.choices(project_id) == {task_ids[0]: ["positive"]}


def test_of_two_the_one_that_is_ready_at_the_deadline_is_answered() -> None:
    installation = Installation(chunk_size=1)
    project_id, task_ids = installation.project("bad", "good")

    def first_only() -> None:
        installation.clock.while_sleeping = lambda: None
        waiting = [m for m in installation.queue.messages if m.work == "annotate_chunk"]
        installation.handle(waiting[0])

    installation.clock.while_sleeping = first_only
    answers = open_task(installation, project_id, task_ids)
    assert choice(answers[0]) == "negative"
    assert answers[1] == LATER
    installation.work_off()
    assert counted(installation, project_id) == {1}


def test_no_deadline_means_no_wait() -> None:
    installation = Installation(deadline_s=0.0)
    project_id, task_ids = installation.project("good")
    assert ask(installation, project_id, task_ids) == [LATER]
    assert installation.clock.slept == []


def test_only_so_many_requests_wait_at_a_time() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    for _ in range(2):
        installation.predictor.waiting.acquire()
    assert ask(installation, project_id, task_ids) == [LATER]
    assert installation.clock.slept == []
    installation.predictor.waiting.release()
    assert ask(installation, project_id, task_ids) == [LATER]
    assert installation.clock.slept != []


def test_a_waiting_place_is_given_back_after_an_error() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.queue.reachable = False
    for _ in range(5):
        with pytest.raises(QueueError):
            ask(installation, project_id, task_ids)
    assert installation.predictor.waiting.acquire(blocking=False)


class TestNoDuplicate:
    """Between the answer of `/predict`, the write-back and a second `/predict`."""

    def test_answered_in_the_request_is_not_written_back(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        installation.clock.while_sleeping = installation.work_off
        open_task(installation, project_id, task_ids)
        installation.clock.sleep(60)
        installation.writer.write_back(project_id)
        installation.run(project_id)
        assert counted(installation, project_id) == {1}
        assert len(installation.model.requests) == 1

    def test_held_while_somebody_waits(self) -> None:
        """The worker that answers writes back at once what is due; what is waited for is not."""
        installation = Installation()
        project_id, task_ids = installation.project("good")
        seen: list[int] = []

        def work() -> None:
            installation.work_off()
            seen.append(len(installation.labels.written(project_id, task_ids[0])))

        installation.clock.while_sleeping = work
        assert choice(open_task(installation, project_id, task_ids)[0]) == "positive"
        assert set(seen) == {0}

    def test_a_second_retrieve_makes_no_call_and_no_duplicate(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("a", "b", "c")
        open_task(installation, project_id, task_ids)
        installation.work_off()
        assert open_task(installation, project_id, task_ids) == [LATER] * 3
        installation.clock.sleep(3600)
        assert open_task(installation, project_id, task_ids) == [LATER] * 3
        assert installation.work_off() == 0
        assert counted(installation, project_id) == {1}
        assert len(installation.model.requests) == 3

    def test_written_between_label_studio_s_reading_and_its_call(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        stale = installation.raw_tasks(project_id, task_ids)
        installation.run(project_id)
        assert installation.predictor.answer(project_id, stale, CONFIG, interactive=False) == [LATER]

    def test_handed_over_and_asked_again_before_label_studio_stored_it(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        answered_here(installation, project_id)
        stale = installation.raw_tasks(project_id, task_ids)
        first = installation.predictor.answer(project_id, stale, CONFIG, interactive=False)
        second = installation.predictor.answer(project_id, stale, CONFIG, interactive=False)
        assert choice(first[0]) == "positive"
        assert second == [LATER]

    def test_lost_in_label_studio_comes_again_later(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        for _ in range(3):
            answered_here(installation, project_id)
            assert choice(ask(installation, project_id, task_ids)[0]) == "positive"
        assert len(installation.model.requests) == 1

    def test_while_a_writer_is_at_it(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good", "bad", "fine")
        installation.start_run(project_id)
        installation.labels.reachable = False
        with pytest.raises(Exception, match="reached"):
            installation.work_off()  # answered and claimed by a writer
        installation.labels.reachable = True
        assert ask(installation, project_id, task_ids) == [LATER] * 3
        installation.work_off()
        assert counted(installation, project_id) == {1}

    def test_two_requests_at_once_for_the_same_tasks(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project(*(f"text {n}" for n in range(30)))
        answered_here(installation, project_id)
        stale = installation.raw_tasks(project_id, task_ids)
        both: list[list[Any]] = []
        threads = [
            threading.Thread(
                target=lambda: both.append(installation.predictor.answer(project_id, stale, CONFIG, interactive=False))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sum(bool(answers[n]) for answers in both) for n in range(30)] == [1] * 30

    def test_a_failed_task_s_new_answer_does_not_stand_beside_the_failure(self) -> None:
        healthy = False
        installation = Installation(lambda r: by_mood(r) if healthy else ModelServerError("down"))
        project_id, task_ids = installation.project("good")
        installation.run(project_id)
        healthy = True
        installation.clock.sleep(60)
        assert open_task(installation, project_id, task_ids) == [LATER]  # it has a prediction of this version
        installation.run(project_id)
        assert counted(installation, project_id) == {1}


def test_the_same_task_twice_in_one_request() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.clock.while_sleeping = installation.work_off
    answers = ask(installation, project_id, task_ids * 2)
    assert [choice(a) for a in answers] == ["positive", "positive"]
    assert sum(installation.clock.slept) < 1.0


def test_other_data_than_before_is_asked_again() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    answered_here(installation, project_id)
    installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad"}
    installation.clock.while_sleeping = installation.work_off
    assert choice(ask(installation, project_id, task_ids)[0]) == "negative"


def test_only_the_data_that_is_shown_counts_and_is_kept() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    answered_here(installation, project_id)
    installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "good", "secret": "not shown"}
    assert choice(ask(installation, project_id, task_ids)[0]) == "positive"
    found = installation.store.records(project_id, installation.version(project_id), task_ids)
    assert found[task_ids[0]].data == {"text": "good"}


def test_the_editor_gets_a_stored_answer_however_often_it_asks_and_nothing_is_handed_over() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.run(project_id)
    for _ in range(2):
        assert choice(ask(installation, project_id, task_ids, interactive=True)[0]) == "positive"
    assert counted(installation, project_id) == {1}


def test_the_editor_waits_for_a_new_answer_which_is_then_written_back() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.clock.while_sleeping = installation.work_off
    assert choice(ask(installation, project_id, task_ids, interactive=True)[0]) == "positive"
    installation.writer.write_back(project_id)
    assert counted(installation, project_id) == {1}


@pytest.mark.parametrize("raw", [*JUNK, *HUGE])
def test_what_is_no_task_gets_later_and_harms_no_other(raw: Any) -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    answered_here(installation, project_id)
    tasks = [raw, *installation.raw_tasks(project_id, task_ids), raw]
    answers = installation.predictor.answer(project_id, tasks, CONFIG, interactive=False)
    assert answers[0] == answers[2] == LATER
    assert choice(answers[1]) == "positive"


@pytest.mark.parametrize(
    "raw",
    [
        {"predictions": "none"},
        {"predictions": [None, 1]},
        {"predictions": {"model_version": "x"}},
        {"data": None},
        {"data": []},
        {"data": "text"},
        {"data": {"text": None}},
        {"data": {"text": ["a"]}},
        {"data": {"text": {"a": 1}}},
        {"data": {"text": "\ud800 \x00"}},
        {},
    ],
)
def test_odd_tasks_are_answered(raw: dict[str, Any]) -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.clock.while_sleeping = installation.work_off
    answers = installation.predictor.answer(project_id, [{"id": task_ids[0], **raw}], CONFIG, interactive=False)
    assert len(answers) == 1
    assert answers[0] == LATER or answers[0]["model_version"] == installation.version(project_id)
    (record,) = installation.store.records(project_id, installation.version(project_id), task_ids).values()
    assert record.state in (TaskState.DONE, TaskState.SKIPPED)


def test_an_unsupported_config_means_later_for_all() -> None:
    installation = Installation()
    assert installation.predictor.answer(5, [{"id": 1}, {"id": 2}], "<View></View>", interactive=False) == [LATER] * 2
    assert [m.work for m in installation.queue.messages] == ["sync_project"]


def test_a_project_that_is_not_known_and_comes_without_a_config() -> None:
    installation = Installation()
    assert installation.predictor.answer(5, [{"id": 1}], None, interactive=False) == [LATER]


def test_a_known_project_may_come_without_a_config() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    answered_here(installation, project_id)
    assert choice(ask(installation, project_id, task_ids, config=None)[0]) == "positive"


def test_no_tasks() -> None:
    installation = Installation()
    assert installation.predictor.answer(1, [], CONFIG, interactive=False) == []


class TestWithoutRedis:
    def test_what_is_stored_is_still_answered(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        answered_here(installation, project_id)
        more = installation.labels.add_tasks(project_id, [{"text": "new"}])
        installation.queue.reachable = False
        answers = ask(installation, project_id, [*task_ids, *more])
        assert choice(answers[0]) == "positive"
        assert answers[1] == LATER

    def test_a_changed_colour_does_not_keep_stored_answers_back(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        answered_here(installation, project_id)
        installation.queue.reachable = False
        coloured = CONFIG.replace('"positive"', '"positive" background="red"')
        assert choice(ask(installation, project_id, task_ids, config=coloured)[0]) == "positive"

    def test_with_nothing_to_answer_it_is_told_and_nothing_is_lost(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        installation.queue.reachable = False
        with pytest.raises(QueueError):
            ask(installation, project_id, task_ids)
        assert {job.state for job in installation.store.jobs()} == {"stopped"}
        installation.queue.reachable = True
        installation.run(project_id)
        assert installation.choices(project_id) == {task_ids[0]: ["positive"]}


@pytest.mark.parametrize("hours", [0, 1])
def test_the_sum_of_a_busy_day_is_one_prediction_a_task(hours: int) -> None:
    """Retrieves, runs, opened tasks and workers, one after the other in several orders."""
    installation = Installation(chunk_size=3)
    project_id, task_ids = installation.project(*(f"text {n}" for n in range(10)))
    steps: list[Callable[[], object]] = [
        lambda: open_task(installation, project_id, task_ids),
        lambda: installation.start_run(project_id),
        lambda: open_task(installation, project_id, task_ids[:1]),
        installation.work_off,
        lambda: open_task(installation, project_id, task_ids[3:5]),
        lambda: installation.writer.write_back(project_id),
        lambda: open_task(installation, project_id, task_ids),
        lambda: installation.run(project_id),
    ]
    for shift in range(len(steps)):
        for step in steps[shift:] + steps[:shift]:
            step()
            installation.clock.sleep(hours * 3600 + 1)
    assert counted(installation, project_id) == {1}
    assert len(installation.model.requests) == 10


def test_the_predictor_needs_no_wiring_to_bound_its_waiting() -> None:
    installation = Installation()
    predictor = Predictor(
        store=installation.store,
        queue=installation.queue,
        projects=installation.projects,
        clock=installation.clock,
        sleep=installation.clock.sleep,
        deadline_s=1.0,
        chunk_size=10,
    )
    assert predictor.waiting.acquire(blocking=False)
