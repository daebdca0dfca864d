"""Runs: what is queued, what is paid for, and how a job ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from backend.adapters.sql.records import LEASE
from backend.core.errors import (
    ConfigError,
    LabelStudioNotFound,
    LimitFarOff,
    ModelServerError,
    ModelUnauthorized,
    QueueError,
    SettingsError,
)
from backend.core.values import Agent, Reply, Request, TaskState
from backend.ports.store import JobRow
from backend.services.annotate import Caller
from backend.services.chunks import ChunkWorker
from backend.services.summaries import summary
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import AGENT, CONFIG, Installation, by_mood, replying


def test_a_run_pre_annotates_every_task_once() -> None:
    installation = Installation(chunk_size=2)
    project_id, task_ids = installation.project("good", "bad", "fine", "bad too", "ok")
    job_id = installation.run(project_id)
    assert installation.choices(project_id) == dict(
        zip(task_ids, [["positive"], ["negative"], ["positive"], ["negative"], ["positive"]], strict=True)
    )
    assert {p.model_version for p in installation.labels.projects[project_id].predictions.values()} == {
        installation.version(project_id)
    }
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.total) == ("done", 5)
    told = summary(installation.store, job)
    assert told["by_state"] == {"done": 5}
    assert told["labels"] == {"sentiment": {"positive": 3, "negative": 2}}
    assert (told["written"], told["undelivered"], told["model_calls"], told["prompt_tokens"]) == (5, 0, 5, 50)


def test_a_job_is_cut_into_chunks_of_ids_for_the_bulk_queue() -> None:
    installation = Installation(chunk_size=2)
    project_id, task_ids = installation.project("a", "b", "c", "d", "e")
    job_id = installation.start_run(project_id)
    assert [m.arguments for m in installation.queue.messages] == [
        (job_id, task_ids[:2]),
        (job_id, task_ids[2:4]),
        (job_id, task_ids[4:]),
        (job_id, []),  # whoever is there last ends the job
    ]
    assert not any(m.interactive for m in installation.queue.messages)


def test_a_second_run_asks_for_what_came_new_only() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    installation.run(project_id)
    installation.labels.add_tasks(project_id, [{"text": "fine"}])
    installation.run(project_id)
    assert len(installation.model.requests) == 3
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


def test_messages_delivered_twice_pay_nothing_twice() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad", "fine")
    installation.start_run(project_id)
    messages = list(installation.queue.messages)
    for message in [*messages, *messages]:
        installation.handle(message)
    assert len(installation.model.requests) == 3
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


def test_a_run_started_twice_at_once_pays_and_writes_once() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad", "fine")
    first, second = installation.start_run(project_id), installation.start_run(project_id)
    installation.work_off()
    assert len(installation.model.requests) == 3
    assert all(len(c) == 1 for c in installation.choices(project_id).values())
    for job_id in (first, second):
        job = installation.store.job(job_id)
        assert job is not None
        assert job.state == "done"


def test_a_run_that_reads_its_tasks_while_another_writes_them_makes_no_duplicate() -> None:
    """Its page of tasks was read before they were written, and looked at after."""
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    installation.start_run(project_id)
    read = list(installation.labels.tasks(project_id, ["text"], without_version=installation.version(project_id)))
    installation.work_off()
    installation.clock.sleep(1)
    job_id = installation.store.create_job(project_id, installation.version(project_id), "run")
    installation.clock.sleep(1)
    installation.store.enlist(job_id, read, absent=True)
    installation.queue.enqueue_chunk(job_id, [], interactive=False)
    installation.work_off()
    assert all(len(c) == 1 for c in installation.choices(project_id).values())
    assert len(installation.model.requests) == 2


@pytest.mark.parametrize("later_s", [1, 3600])
def test_predictions_deleted_in_label_studio_come_back_without_a_call(later_s: int) -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad")
    installation.run(project_id)
    installation.labels.projects[project_id].predictions.clear()
    installation.clock.sleep(later_s)
    job_id = installation.run(project_id)
    assert installation.choices(project_id) == {task_ids[0]: ["positive"], task_ids[1]: ["negative"]}
    assert len(installation.model.requests) == 2
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"


def test_a_failed_task_is_tried_again_by_the_next_run_and_its_prediction_replaced() -> None:
    healthy = False
    installation = Installation(lambda r: by_mood(r) if healthy else ModelServerError("down"))
    project_id, task_ids = installation.project("good")
    installation.run(project_id)
    (failed,) = installation.labels.written(project_id, task_ids[0])
    assert (failed.result, failed.score) == ((), 0.0)  # it sorts first
    healthy = True
    installation.run(project_id)
    (mended,) = installation.labels.written(project_id, task_ids[0])
    assert mended.result[0]["value"] == {"choices": ["positive"]}


def test_a_task_whose_data_changed_is_asked_again() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    installation.run(project_id)
    installation.labels.projects[project_id].tasks[task_ids[0]] = {"text": "bad"}
    installation.run(project_id, task_ids)
    assert installation.choices(project_id) == {task_ids[0]: ["negative"]}


def test_only_the_named_tasks() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad", "fine")
    installation.run(project_id, [task_ids[1]])
    assert installation.choices(project_id) == {task_ids[0]: [], task_ids[1]: ["negative"], task_ids[2]: []}


def test_a_named_task_that_does_not_exist() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    with pytest.raises(LabelStudioNotFound, match="99"):
        installation.start_run(project_id, [task_ids[0], 99])
    assert not installation.queue.messages
    assert installation.work_off() == 0


def test_a_project_without_tasks_ends_at_once() -> None:
    installation = Installation()
    project_id, _ = installation.project()
    job = installation.store.job(installation.run(project_id))
    assert job is not None
    assert (job.state, job.total) == ("done", 0)


def test_nothing_is_made_when_redis_is_away() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    installation.queue.reachable = False
    with pytest.raises(QueueError):
        installation.start_run(project_id)
    assert installation.store.jobs() == []


def test_an_unsupported_config_is_told() -> None:
    installation = Installation()
    project_id, _ = installation.project(
        "x", config='<View><Text name="t" value="$t"/><Ranker name="r" toName="t"/></View>'
    )
    with pytest.raises(ConfigError, match="Ranker"):
        installation.start_run(project_id)


def test_a_worker_with_another_model_says_so_instead_of_asking_for_another_run() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    job_id = installation.start_run(project_id)
    other = Installation(agent=replace(AGENT, model="another"), store=installation.store)
    other.worker.work(job_id, [], claimant="w")
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.reason is not None) == ("stopped", True)
    assert str(job.reason).startswith("The worker was started with other settings (version tests@")
    assert "restart `prelabel serve` and `prelabel worker` with the same environment" in str(job.reason)
    assert (installation.model.requests, other.model.requests) == ([], [])


@pytest.mark.parametrize("change", [{"label_config": CONFIG.replace("praise", "joy")}, {"instructions": "Be strict."}])
def test_a_job_stops_when_the_question_changed_meanwhile(change: dict[str, str]) -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    job_id = installation.start_run(project_id)
    installation.labels.edit_project(project_id, **change)
    installation.projects.sync(installation.labels, project_id)
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "stopped"
    assert job.reason is not None
    assert "changed meanwhile: run again" in job.reason
    assert installation.model.requests == []
    installation.run(project_id)
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


def test_a_job_whose_config_became_unusable_stops() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    job_id = installation.start_run(project_id)
    installation.projects.remember(project_id, "<View></View>")
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "stopped"


def test_a_bad_key_pauses_the_job_and_the_next_run_goes_on_where_it_stood() -> None:
    key_is_good = False
    installation = Installation(lambda r: by_mood(r) if key_is_good else ModelUnauthorized("The key is refused."))
    installation.refusal = ModelUnauthorized("The key is refused.")
    project_id, _ = installation.project(*(f"text {n}" for n in range(7)))
    job_id = installation.run(project_id)
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.reason, job.paused_by) == ("paused", "The key is refused.", "fault")
    assert len(installation.model.requests) <= 4  # no more than were in flight
    assert installation.choices(project_id) == {t: [] for t in installation.labels.projects[project_id].tasks}
    key_is_good = True
    installation.run(project_id)
    assert all(c == ["positive"] for c in installation.choices(project_id).values())


def test_a_missing_model_setting_pauses_the_job_with_its_sentence() -> None:
    installation = Installation()

    @asynccontextmanager
    async def no_model(_: Agent, __: JobRow | None) -> AsyncIterator[Caller]:
        raise SettingsError("There is no model endpoint.")
        yield

    worker = ChunkWorker(
        store=installation.store,
        projects=installation.projects,
        writer=installation.writer,
        queue=installation.queue,
        caller=no_model,
        concurrency=1,
    )
    project_id, task_ids = installation.project("good")
    job_id = installation.start_run(project_id)
    worker.work(job_id, task_ids, "a message")
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.reason, job.paused_by) == ("paused", "There is no model endpoint.", "fault")
    installation.queue.messages.clear()
    installation.run(project_id)
    assert installation.choices(project_id) == {task_ids[0]: ["positive"]}


def test_label_studio_away_during_the_write_back_pays_nothing_twice() -> None:
    """The job ends; a later message writes."""
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    job_id = installation.start_run(project_id)
    installation.labels.reachable = False
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"
    installation.labels.reachable = True
    installation.queue.a_while_passes()
    installation.work_off()
    assert len(installation.model.requests) == 2
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


def test_a_killed_worker_s_records_are_taken_up_by_the_same_message() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad")
    job_id = installation.start_run(project_id)
    message, _ = installation.queue.messages
    installation.store.claim(installation.version(project_id), project_id, task_ids, message.id)  # and killed
    installation.work_off()
    assert all(len(c) == 1 for c in installation.choices(project_id).values())
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"


def test_a_killed_worker_s_records_are_taken_up_by_a_later_run_when_the_message_is_lost() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good", "bad")
    installation.start_run(project_id)
    message, _ = installation.queue.messages
    installation.store.claim(installation.version(project_id), project_id, task_ids, message.id)
    installation.queue.messages.clear()
    installation.clock.sleep(LEASE.total_seconds() + 60)
    installation.run(project_id)
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


def states(installation: Installation, *job_ids: int) -> list[tuple[str, int, str | None]]:
    """State, tasks and reason of each job."""
    found = [installation.store.job(job_id) for job_id in job_ids]
    return [(job.state, job.total, job.reason) for job in found if job is not None]


def test_a_revived_message_ends_the_later_job_that_took_its_tasks_over() -> None:
    """The worker was killed with a chunk in hand; a second run overlaps it; then the message is delivered again."""
    installation = Installation(chunk_size=2)
    project_id, task_ids = installation.project("good", "bad", "fine", "ok")
    first = installation.start_run(project_id)
    killed = installation.queue.messages.popleft()
    installation.store.claim(installation.version(project_id), project_id, task_ids[:2], killed.id)  # and killed
    second = installation.run(project_id)
    assert states(installation, second) == [("running", 4, None)]
    installation.queue.messages.append(killed)
    installation.work_off()
    assert states(installation, first, second) == [
        ("done", 0, f"4 tasks taken over by job {second}"),
        ("done", 4, None),
    ]
    assert all(len(c) == 1 for c in installation.choices(project_id).values())
    assert len(installation.model.requests) == 4


def test_a_job_that_lost_tasks_counts_those_that_are_its_own_at_the_end() -> None:
    installation = Installation(chunk_size=2)
    project_id, _ = installation.project("good", "bad", "fine", "ok", "so so")
    first = installation.start_run(project_id)
    installation.handle(installation.queue.messages.popleft())
    second = installation.run(project_id)
    assert states(installation, first, second) == [
        ("done", 2, f"3 tasks taken over by job {second}"),
        ("done", 3, None),
    ]
    job = installation.store.job(first)
    assert job is not None
    told = summary(installation.store, job)
    assert (told["tasks"], told["answered"], told["reason"]) == (2, 2, f"3 tasks taken over by job {second}")


def test_a_job_whose_tasks_are_still_being_read_is_ended_by_no_other() -> None:
    """Every task that it has enlisted so far is finished by another job's chunk."""
    installation = Installation(chunk_size=2)
    project_id, task_ids = installation.project("good", "bad", "fine")
    installation.start_run(project_id)
    version = installation.version(project_id)
    reading = installation.store.create_job(project_id, version, "run")
    tasks = list(installation.labels.tasks(project_id, ["text"], ids=task_ids))
    installation.store.enlist(reading, tasks[:2], absent=True)
    installation.work_off()
    assert states(installation, reading) == [("enlisting", 2, None)]


def test_what_a_stopped_job_has_in_hand_goes_on_under_the_job_that_took_it_over() -> None:
    """The second run found the tasks running, so that no message of its own names them."""
    key_is_good = False
    installation = Installation(lambda r: by_mood(r) if key_is_good else ModelUnauthorized("The key is refused."))
    project_id, task_ids = installation.project("good", "bad")
    first = installation.start_run(project_id)
    killed = installation.queue.messages.popleft()
    installation.store.claim(installation.version(project_id), project_id, task_ids, killed.id)
    installation.store.set_job_state(first, "stopped", "The key is refused.")
    key_is_good = True
    second = installation.run(project_id)
    installation.queue.messages.append(killed)
    installation.work_off()
    assert states(installation, first, second) == [("stopped", 2, "The key is refused."), ("done", 2, None)]
    assert installation.choices(project_id) == {task_ids[0]: ["positive"], task_ids[1]: ["negative"]}
    assert len(installation.model.requests) == 2


def test_a_message_that_names_no_job_is_dropped() -> None:
    installation = Installation()
    installation.worker.work(99, [1, 2], "a message")
    assert installation.model.requests == []


def test_a_stopped_job_s_other_messages_ask_nothing() -> None:
    installation = Installation(lambda r: ModelUnauthorized("no"), chunk_size=1, concurrency=1)
    installation.refusal = ModelUnauthorized("no")
    project_id, _ = installation.project("a", "b", "c")
    installation.run(project_id)
    assert len(installation.model.requests) == 1


def test_an_unreadable_reply_is_written_with_score_0() -> None:
    installation = Installation(lambda r: replying("no idea"))
    project_id, task_ids = installation.project("good")
    job = installation.store.job(installation.run(project_id))
    assert job is not None
    (prediction,) = installation.labels.written(project_id, task_ids[0])
    assert (prediction.result, prediction.score) == ((), 0.0)
    assert summary(installation.store, job)["invalid_replies"] == 1


def test_auto_start_only_where_it_is_switched_on() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("good")
    row = installation.projects.sync(installation.labels, project_id)
    assert installation.jobs.auto_start(project_id, task_ids) is None
    installation.store.save_project(type(row)(**{**vars(row), "auto_start": True}))
    job_id = installation.jobs.auto_start(project_id, task_ids)
    assert job_id is not None
    installation.work_off()
    assert installation.choices(project_id) == {task_ids[0]: ["positive"]}


def test_a_1_mb_text_and_an_empty_one_end_as_skipped_or_done_and_never_stop_the_rest() -> None:
    installation = Installation()
    project_id, task_ids = installation.project("x" * 1_100_000, "", "good", "'''\"{{ x }}{%", "नमस्ते 👋🏽 שלום")
    installation.run(project_id)
    found = installation.store.records(project_id, installation.version(project_id), task_ids)
    assert [found[i].state for i in task_ids] == [
        TaskState.DONE,  # whether it fits the window is the endpoint's to say
        TaskState.SKIPPED,
        TaskState.DONE,
        TaskState.DONE,
        TaskState.DONE,
    ]
    assert all(len(c) == 1 for c in installation.choices(project_id).values())


@pytest.mark.parametrize(("wait_s", "interactive"), [(300.0, False), (300.0, True)])
def test_tasks_put_off_by_a_limit_come_back_later_and_are_done_then(wait_s: float, interactive: bool) -> None:
    installation = Installation(chunk_size=4, concurrency=1)
    project_id, _ = installation.project("one", "two", "three")
    answers = iter([by_mood, None])

    class Limited(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            if next(answers, by_mood) is None:
                raise LimitFarOff("not now", wait_s=wait_s)
            return await super().ask(request)

    installation.model = Limited(by_mood)
    installation.worker = replace(installation.worker, interactive=interactive)
    job_id = installation.start_run(project_id)
    installation.queue.run_all(installation.handle)
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "running"
    (message,) = [m for m in installation.queue.later if m.work == "annotate_chunk"]
    assert (message.arguments[0], len(message.arguments[1]), message.interactive) == (job_id, 2, interactive)
    installation.queue.a_while_passes()
    installation.queue.run_all(installation.handle)
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"
    assert installation.store.progress(job_id).states == {"done": 3}
    assert len(installation.model.requests) == 3


@pytest.mark.parametrize(("wait_s", "delay_s"), [(0.1, 5.0), (60.0, 60.0), (80_000.0, 900.0)])
def test_how_long_tasks_are_put_off(wait_s: float, delay_s: float) -> None:
    class Limited(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            raise LimitFarOff("not now", wait_s=wait_s)

    installation = Installation()
    project_id, _ = installation.project("one")
    installation.model = Limited(by_mood)
    installation.start_run(project_id)
    installation.queue.run_all(installation.handle)
    assert installation.queue.delays == [delay_s]
