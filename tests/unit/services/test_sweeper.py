"""What was lost is queued again, soon, once, and only when it is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.core.errors import ModelUnauthorized, StoreError
from backend.core.values import JobState, Prediction, Reply, Request, Task
from backend.ports.store import JobLimits
from backend.services.steering import Steering
from backend.services.sweeper import PATIENCE
from tests.fakes.installation import CONFIG, Installation, by_mood


def look(installation: Installation, times: int = 3) -> None:
    """Looks as far apart as the process takes them."""
    for _ in range(times):
        installation.sweeper.look()
        installation.clock.now += PATIENCE / 2


def state(installation: Installation, job_id: int) -> str:
    job = installation.store.job(job_id)
    assert job is not None
    return job.state


def one_each(installation: Installation, project_id: int) -> bool:
    return all(len(choices) == 1 for choices in installation.choices(project_id).values())


class KilledWriter(BaseException):
    """What ends a process within a call to Label Studio."""


class TestDeadWorkers:
    def test_what_a_dead_worker_had_in_hand_is_put_back(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good", "bad", "fine")
        job_id = installation.start_run(project_id)
        installation.store.claim(installation.version(project_id), project_id, task_ids, "dead")
        installation.queue.messages.clear()
        look(installation)
        installation.work_off()
        assert (state(installation, job_id), one_each(installation, project_id)) == ("done", True)

    def test_who_is_at_work_keeps_what_it_has(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        installation.start_run(project_id)
        with installation.queue.at_work("alive"):
            installation.store.claim(installation.version(project_id), project_id, task_ids, "alive")
            installation.queue.messages.clear()
            look(installation, 10)
        assert [m for m in installation.queue.messages if m.work == "annotate_chunk"] == []

    def test_one_missing_sign_is_no_death(self) -> None:
        """A Redis that was emptied knows nobody for some seconds."""
        installation = Installation()
        project_id, task_ids = installation.project("good")
        job_id = installation.start_run(project_id)
        installation.store.claim(installation.version(project_id), project_id, task_ids, "alive")
        installation.queue.messages.clear()
        installation.sweeper.look()
        with installation.queue.at_work("alive"):
            look(installation)
            assert installation.store.claimants([job_id]) == {"alive"}


class TestMessages:
    def test_an_emptied_redis_gets_its_messages_back_once(self) -> None:
        installation = Installation(chunk_size=2)
        project_id, _ = installation.project(*(f"text {n}" for n in range(5)))
        job_id = installation.start_run(project_id)
        installation.queue.messages.clear()
        look(installation, 10)
        assert len([m for m in installation.queue.messages if m.work == "annotate_chunk"]) == 3
        installation.work_off()
        assert (state(installation, job_id), one_each(installation, project_id)) == ("done", True)
        assert len(installation.model.requests) == 5

    def test_a_job_with_messages_is_left_alone(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good", "bad", "fine")
        installation.start_run(project_id)
        before = len(installation.queue.messages)
        look(installation, 10)
        assert len([m for m in installation.queue.messages if m.work == "annotate_chunk"]) == before

    @pytest.mark.parametrize("end", ["paused", "cancelled", "stopped"])
    def test_a_job_that_does_not_run_is_left_alone(self, end: str) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        job_id = installation.start_run(project_id)
        installation.queue.messages.clear()
        if end == "paused":
            installation.store.pause_job(job_id, "by hand", by="person")
        else:
            installation.store.set_job_state(job_id, end)
        look(installation, 10)
        assert [m for m in installation.queue.messages if m.work == "annotate_chunk"] == []

    def test_opened_tasks_go_first_again(self) -> None:
        installation = Installation(deadline_s=0.0)
        project_id, task_ids = installation.project("good")
        installation.projects.sync(installation.labels, project_id)
        raw = installation.raw_tasks(project_id, task_ids)
        installation.predictor.answer(project_id, raw, CONFIG, interactive=False)
        installation.queue.messages.clear()
        look(installation)
        (message,) = [m for m in installation.queue.messages if m.work == "annotate_chunk"]
        assert message.interactive

    def test_a_job_that_nobody_ended_is_ended(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        job_id = installation.start_run(project_id)
        finish, installation.store.finish_job_if_done = installation.store.finish_job_if_done, lambda _: False  # type: ignore[method-assign]
        installation.work_off()
        installation.store.finish_job_if_done = finish  # type: ignore[method-assign]
        assert state(installation, job_id) == "running"
        look(installation)
        assert state(installation, job_id) == "done"


class TestEnlisting:
    def test_a_command_that_died_reading_is_told(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        installation.projects.sync(installation.labels, project_id)
        job_id = installation.store.create_job(project_id, installation.version(project_id), "run")
        look(installation)
        assert state(installation, job_id) == "enlisting"  # it may be reading a page
        installation.clock.now += timedelta(minutes=2)
        look(installation)
        job = installation.store.job(job_id)
        assert job is not None
        assert (job.state, "run again" in str(job.reason)) == ("stopped", True)

    @pytest.mark.parametrize("kind", ["predict", "webhook"])
    def test_a_request_that_died_goes_on_with_what_is_known(self, kind: str) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good")
        row = installation.projects.sync(installation.labels, project_id)
        job_id = installation.store.create_job(project_id, str(row.version), kind)
        installation.store.enlist(job_id, installation.labels.tasks(project_id, ["text"], ids=task_ids), absent=False)
        look(installation, 10)
        installation.work_off()
        assert (state(installation, job_id), one_each(installation, project_id)) == ("done", True)


class TestWriting:
    def test_answers_that_nobody_writes_are_written(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good", "bad")
        installation.start_run(project_id)
        installation.labels.reachable = False
        installation.work_off()
        installation.labels.reachable = True
        installation.queue.later.clear()  # the message that was to come back is lost
        look(installation)
        installation.work_off()
        assert one_each(installation, project_id)

    def test_while_somebody_writes_nobody_else_is_asked_to(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        installation.start_run(project_id)
        with installation.queue.writer_lock(project_id):
            installation.work_off()
            installation.queue.later.clear()
            look(installation, 10)
            assert [m for m in installation.queue.messages if m.work == "write_back"] == []

    def test_a_label_studio_that_stays_away_is_tried_less_and_less_often(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        installation.start_run(project_id)
        installation.labels.reachable = False
        installation.queue.checked.add(project_id)
        tries = 0
        for _ in range(75):  # five minutes
            installation.sweeper.look()
            tries += sum(m.work == "write_back" for m in installation.queue.messages)
            installation.work_off()
            installation.queue.later.clear()
            installation.clock.now += timedelta(seconds=4)
        assert 9 <= tries <= 13


class TestRefusals:
    def test_a_job_goes_on_once_the_endpoint_answers(self) -> None:
        installation = Installation()
        answers: list[Reply | ModelUnauthorized] = []

        def answer(request: Request) -> Reply | ModelUnauthorized:
            answers.append(installation.refusal or by_mood(request))  # type: ignore[arg-type]
            return answers[-1]

        installation = Installation(answer)
        installation.refusal = ModelUnauthorized("The key is refused.")
        project_id, _ = installation.project("good", "bad", "fine")
        job_id = installation.start_run(project_id)
        installation.work_off()
        look(installation, 10)
        installation.work_off()
        assert state(installation, job_id) == JobState.PAUSED
        installation.refusal = None
        look(installation, 10)
        installation.work_off()
        assert (state(installation, job_id), one_each(installation, project_id)) == ("done", True)

    def test_probes_grow_apart(self) -> None:
        installation = Installation()
        probes = 0

        def refused(_: object) -> ModelUnauthorized:
            nonlocal probes
            probes += 1
            return ModelUnauthorized("The key is refused.")

        object.__setattr__(installation.sweeper, "well", refused)
        project_id, _ = installation.project("good")
        job_id = installation.start_run(project_id)
        installation.store.pause_job(job_id, "The key is refused.", by="fault")
        for _ in range(150):  # ten minutes
            installation.sweeper.look()
            installation.clock.now += timedelta(seconds=4)
        assert 18 <= probes <= 24

    def test_what_a_person_paused_stays_paused(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good")
        job_id = installation.start_run(project_id)
        installation.store.pause_job(job_id, "by hand", by="person")
        look(installation, 10)
        assert state(installation, job_id) == JobState.PAUSED


class TestTruth:
    def written(self) -> tuple[Installation, int, list[int]]:
        installation = Installation()
        project_id, task_ids = installation.project("good", "bad", "fine")
        installation.run(project_id)
        installation.clock.now += timedelta(minutes=2)
        return installation, project_id, task_ids

    def test_predictions_that_label_studio_lost_are_written_again(self) -> None:
        installation, project_id, task_ids = self.written()
        found = installation.labels.projects[project_id]
        found.predictions = {n: p for n, p in found.predictions.items() if p.task_id == task_ids[0]}  # a backup
        look(installation)
        installation.work_off()
        assert one_each(installation, project_id)
        assert len(installation.model.requests) == 3

    def test_where_all_is_there_nothing_is_read(self) -> None:
        installation, project_id, _ = self.written()
        installation.labels.tasks = None  # type: ignore[method-assign,assignment]
        installation.labels.changed_tasks = lambda *_, **__: iter(())  # type: ignore[method-assign,assignment]
        installation.truth.check(project_id)

    @pytest.mark.parametrize("texts", [["good"], ["good", "bad", "fine"]])
    def test_what_a_killed_writer_s_call_brings_late_is_removed(self, texts: list[str]) -> None:
        """Label Studio still works on the call of a writer that was killed while another one writes the same."""
        installation = Installation(chunk_size=50)
        project_id, _ = installation.project(*texts)
        really, sent = installation.labels.import_predictions, []

        def killed(project: int, predictions: Sequence[Prediction]) -> int:
            sent.extend(predictions)
            raise KilledWriter

        installation.start_run(project_id)
        installation.labels.import_predictions = killed  # type: ignore[method-assign]
        with pytest.raises(KilledWriter):
            installation.work_off()
        installation.labels.import_predictions = really  # type: ignore[method-assign]
        installation.work_off()
        assert one_each(installation, project_id)
        really(project_id, sent)
        assert not one_each(installation, project_id)
        installation.clock.now += timedelta(minutes=3)
        look(installation)
        installation.work_off()
        assert one_each(installation, project_id)
        looked_at: list[int] = []
        installation.labels.predictions = looked_at.append  # type: ignore[method-assign,assignment]
        for _ in range(2):
            installation.clock.now += timedelta(minutes=3)
            installation.truth.check(project_id)
            installation.work_off()
        assert looked_at == []

    def test_where_nothing_came_late_nothing_is_looked_at(self) -> None:
        installation = Installation(chunk_size=50)
        project_id, task_ids = installation.project("good", "bad")
        installation.run(project_id)
        version = installation.version(project_id)
        records = installation.store.records(project_id, version, task_ids).values()
        installation.store.set_delivery([record.id for record in records], "written", in_doubt=True)
        installation.clock.now += timedelta(minutes=3)
        installation.truth.check(project_id)
        assert not installation.queue.messages
        assert installation.store.in_doubt(project_id, version, before=installation.clock()) == []

    def changed_before_the_answers_were_written(self, **limits: Any) -> tuple[Installation, int, list[int]]:
        """A job that was done in the moment in which the project changed."""
        installation = Installation(chunk_size=50)
        project_id, task_ids = installation.project("good", "bad")
        row = installation.projects.sync(installation.labels, project_id)
        installation.store.save_project(replace(row, auto_start=True))
        job_id = installation.jobs.start_run(project_id, limits=JobLimits(**limits) if limits else None)
        with installation.queue.writer_lock(project_id):  # another writer is at it
            while state(installation, job_id) != "done":
                installation.handle(installation.queue.messages.popleft())
        installation.labels.edit_project(project_id, instructions="Be strict.")
        installation.projects.sync(installation.labels, project_id)
        installation.work_off()
        assert state(installation, job_id) == "done"
        assert installation.store.progress(job_id).outdated == 2
        return installation, project_id, task_ids

    def test_what_was_not_written_when_the_project_changed_is_asked_anew(self) -> None:
        installation, project_id, task_ids = self.changed_before_the_answers_were_written()
        installation.labels.delete_tasks(project_id, task_ids[1:])
        for _ in range(3):
            installation.truth.check(project_id)
            installation.work_off()
        found = installation.labels.projects[project_id].predictions.values()
        assert [(p.task_id, p.model_version) for p in found] == [(task_ids[0], installation.version(project_id))]
        assert len(installation.model.requests) == 3
        assert len(installation.store.jobs(project_id, limit=9)) == 2

    def test_a_job_with_a_budget_is_not_asked_anew_without_one(self) -> None:
        installation, project_id, _ = self.changed_before_the_answers_were_written(budget_tokens=100_000)
        installation.truth.check(project_id)
        assert not installation.queue.messages

    def test_deleted_tasks_are_noted_once(self) -> None:
        installation, project_id, task_ids = self.written()
        installation.labels.delete_tasks(project_id, task_ids[:1])
        installation.truth.check(project_id)
        counts = installation.store.counts(project_id)
        assert counts.states == {"deleted": 1, "done": 2}
        assert installation.store.projects_to_write() == []

    def test_an_edited_task_is_asked_again_and_its_prediction_replaced(self) -> None:
        installation, project_id, task_ids = self.written()
        installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad, after all"}
        installation.labels.changed = {task_ids[0], task_ids[1]}  # the other one was annotated only
        for _ in range(2):
            installation.truth.check(project_id)
            installation.work_off()
        assert installation.choices(project_id) == {
            task_ids[0]: ["negative"],
            task_ids[1]: ["negative"],
            task_ids[2]: ["positive"],
        }
        assert len(installation.model.requests) == 4

    def edited_while(self, halted: str) -> tuple[Installation, Steering, int, int]:
        """Four tasks, two of them answered, all edited while the job is paused, cancelled or stopped."""
        installation = Installation(chunk_size=2, concurrency=1)
        steering = Steering(store=installation.store, queue=installation.queue, chunk_size=2)
        project_id, task_ids = installation.project(*["good"] * 2, *["fine"] * 2)
        job_id = installation.start_run(project_id)
        installation.handle(installation.queue.messages.popleft())
        if halted == "paused":
            steering.pause(job_id)
        else:
            installation.store.set_job_state(job_id, halted)
        installation.work_off()
        for task_id in task_ids:
            installation.labels.projects[project_id].tasks[task_id] = {"text": "bad now"}
        installation.labels.changed = set(task_ids)
        installation.clock.now += timedelta(minutes=2)
        for _ in range(3):
            look(installation)
            installation.queue.checked.clear()
            installation.work_off()
        return installation, steering, project_id, job_id

    @pytest.mark.parametrize("halted", ["paused", "cancelled", "stopped"])
    def test_an_edit_does_not_start_what_was_halted(self, halted: str) -> None:
        installation, steering, project_id, job_id = self.edited_while(halted)
        assert len(installation.model.requests) == 2
        assert [(job.id, job.state) for job in installation.store.jobs()] == [(job_id, halted)]
        if halted == "paused":
            steering.resume(job_id)
        else:
            installation.jobs.start_run(project_id)
        installation.work_off()
        assert set(map(tuple, installation.choices(project_id).values())) == {("negative",)}

    def test_an_edit_is_asked_on_the_account_of_its_job(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good", "fine")
        job_id = installation.jobs.start_run(project_id, limits=JobLimits(budget_tokens=100_000))
        installation.work_off()
        spent = installation.store.spending(job_id).tokens
        installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad, after all"}
        installation.labels.changed = {task_ids[0]}
        installation.clock.now += timedelta(minutes=2)
        installation.truth.check(project_id)
        installation.work_off()
        assert installation.choices(project_id) == {task_ids[0]: ["negative"], task_ids[1]: ["positive"]}
        assert [(job.id, job.state) for job in installation.store.jobs()] == [(job_id, "done")]
        assert installation.store.spending(job_id).tokens > spent

    def test_an_edit_of_what_waits_is_asked_once_with_the_new_text(self) -> None:
        installation = Installation()
        project_id, task_ids = installation.project("good", "fine")
        job_id = installation.start_run(project_id)
        installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad, after all"}
        installation.labels.changed = {task_ids[0]}
        installation.truth.check(project_id)
        installation.work_off()
        assert installation.choices(project_id) == {task_ids[0]: ["negative"], task_ids[1]: ["positive"]}
        assert (len(installation.model.requests), len(installation.store.jobs())) == (2, 1)
        assert state(installation, job_id) == "done"

    def test_only_what_changed_since_the_last_comparison_is_read(self) -> None:
        installation, project_id, _ = self.written()
        asked: list[datetime] = []

        def changed(*_: object, since: datetime) -> Iterator[Task]:
            asked.append(since)
            return iter(())

        installation.labels.changed_tasks = changed  # type: ignore[method-assign,assignment]
        installation.truth.check(project_id)
        first = installation.clock()
        installation.clock.now += timedelta(minutes=5)
        installation.truth.check(project_id)
        assert asked == [first - timedelta(minutes=3), first - timedelta(minutes=1)]

    def test_long_after_the_last_job_an_edited_task_is_left_alone(self) -> None:
        installation, project_id, task_ids = self.written()
        installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad, after all"}
        installation.labels.changed = {task_ids[0]}
        installation.clock.now += timedelta(hours=1)
        installation.truth.check(project_id)
        assert installation.work_off() == 0


def test_a_changed_config_begins_a_new_run_where_runs_begin_by_themselves() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    row = installation.projects.sync(installation.labels, project_id)
    installation.store.save_project(type(row)(**{**row.__dict__, "auto_start": True}))
    job_id = installation.start_run(project_id)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    installation.projects.sync(installation.labels, project_id)
    installation.work_off()
    assert state(installation, job_id) == "stopped"
    assert one_each(installation, project_id)
    assert len(installation.model.requests) == 2


def test_a_worker_that_stops_leaves_the_write_back_to_others() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    job_id = installation.start_run(project_id)
    installation.stopping = True
    message = installation.queue.messages.popleft()
    installation.handle(message)
    assert installation.model.requests == []
    assert state(installation, job_id) == "running"
    installation.stopping = False
    installation.queue.a_while_passes()
    installation.work_off()
    assert (state(installation, job_id), one_each(installation, project_id)) == ("done", True)


def test_a_database_that_is_away_ends_the_look() -> None:
    installation = Installation()

    def away() -> list[int]:
        raise StoreError("The database does not answer.")

    installation.store.open_jobs = away  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreError):
        installation.sweeper.look()
