"""The batch lane: rounds, what is salvaged, and that nothing is asked twice, whatever is killed where."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.errors import (
    ModelBadRequest,
    ModelError,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnreachable,
    QueueError,
)
from backend.core.values import Agent, JobState, Reply, Request, TaskState
from backend.ports.batches import BatchEndpoint, BatchResult, BatchState
from backend.ports.store import JobRow
from backend.services.annotate import Caller
from backend.services.batch_walk import Walk
from backend.services.summaries import summary
from tests.fakes.installation import AGENT, CONFIG, Installation, replying
from tests.unit.services.test_paid_once import Killed, scored

TEXTS = ("good", "bad", "fine", "bad too", "ok")
MOODS = [["positive"], ["negative"], ["positive"], ["negative"], ["positive"]]


def installed(answer: Any = scored, **options: Any) -> Installation:
    return Installation(answer, cached=True, **options)


def start(installation: Installation, *texts: str) -> tuple[int, int, list[int]]:
    """A project and a job over it in the batch lane: their ids, and those of the tasks."""
    project_id, task_ids = installation.project(*(texts or TEXTS))
    return project_id, installation.jobs.start_run(project_id, lane="batch"), task_ids


def job_of(installation: Installation, job_id: int) -> JobRow:
    job = installation.store.job(job_id)
    assert job is not None
    return job


def go_on(installation: Installation, **finish: Any) -> int:
    """What waits is done, what is out ends, and a while later it is looked at; returns how many batches ended."""
    installation.work_off()
    ended = installation.batch_endpoint.finish(**finish)
    installation.queue.a_while_passes()
    installation.work_off()
    return ended


def to_the_end(installation: Installation, limit: int = 20) -> int:
    """Until nothing is left to do; returns how many batches there were."""
    ended = 0
    while installation.queue.messages or installation.queue.later:
        ended += go_on(installation)
        limit -= 1
        assert limit, "the job does not come to an end"
    return ended


def test_a_job_goes_through_one_batch_and_calls_nothing_live() -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation, *TEXTS, "good")
    assert to_the_end(installation) == 1
    assert installation.choices(project_id) == dict(zip(task_ids, [*MOODS, ["positive"]], strict=True))
    told = summary(installation.store, job_of(installation, job_id))
    assert (told["state"], told["by_state"], told["written"]) == ("done", {"done": 6}, 6)
    assert (told["model_calls"], told["replies_from_cache"], told["prompt_tokens"]) == (0, 6, 0)
    assert told["batch"] == {
        "batches": 1,
        "rounds": 1,
        "requests": 5,  # two tasks are alike
        "answered": 5,
        "prompt_tokens": 50,
        "completion_tokens": 15,
        "usd_at_live_price": None,
        "waiting": None,
    }
    job = job_of(installation, job_id)
    priced = summary(installation.store, job, lambda usage: usage.prompt_tokens * 0.01 if usage.calls else 0.0)
    assert (priced["cost_usd"], priced["batch"]["usd_at_live_price"]) == (0.0, 0.5)
    assert installation.model.requests == []
    assert len(installation.batch_endpoint.answered) == 5
    assert installation.batch_endpoint.files == {}


def test_while_it_waits_it_says_since_when_and_how_far_it_is() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.work_off()
    told = summary(installation.store, job_of(installation, job_id))["batch"]
    assert told["waiting"] == {"submitted_at": "2026-03-01T12:00:00+00:00", "done": 0, "of": 5}
    (there,) = installation.batch_endpoint.there.values()
    there.results = [BatchResult(custom_id="x", reply=None)] * 3
    installation.queue.a_while_passes()
    installation.work_off()
    told = summary(installation.store, job_of(installation, job_id))["batch"]
    assert told["waiting"]["done"] == 3
    assert (told["answered"], told["prompt_tokens"]) == (0, 0)  # nothing of it has been read


def test_bad_rows_are_left_out_one_by_one_and_asked_again_by_themselves() -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    cut = replying('{"sentiment": "pos', finish_reason="length")
    rows: list[Callable[[str], BatchResult]] = [
        lambda custom_id: BatchResult(custom_id=custom_id, reply=None),  # an error
        lambda custom_id: BatchResult(custom_id=None, reply=None),  # cannot be read
        lambda custom_id: BatchResult(custom_id="f" * 64, reply=replying('{"sentiment": "negative"}')),
        lambda custom_id: BatchResult(custom_id=custom_id, reply=cut),
    ]
    installation.batch_endpoint.bad = lambda custom_id, number: rows[number](custom_id) if number < 4 else None
    go_on(installation)
    (first, second) = installation.batch_endpoint.there.values()
    assert list(second.requests) == list(first.requests)[:4]
    assert installation.store.progress(job_id).states == {"queued": 4, "done": 1}
    installation.batch_endpoint.bad = lambda custom_id, number: None
    assert to_the_end(installation) == 1
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))
    assert max(Counter(installation.batch_endpoint.answered).values()) == 1
    assert installation.model.requests == []
    told = summary(installation.store, job_of(installation, job_id))["batch"]
    assert (told["requests"], told["answered"], told["prompt_tokens"]) == (9, 5, 60)  # what was cut was paid, too


def test_what_an_unreadable_reply_needs_goes_into_the_next_round() -> None:
    waiting = ["no idea"]
    installation = installed(
        lambda r: replying(waiting.pop(), tokens=scored(r).tokens) if waiting else scored(r),
        agent=replace(AGENT, reasks=1),
    )
    _, job_id, _ = start(installation)
    assert to_the_end(installation) == 2
    rows = installation.store.batches(job_id)
    assert [(row.round, row.requests, row.state) for row in rows] == [
        (1, 5, BatchState.ENDED),
        (2, 1, BatchState.ENDED),
    ]
    assert installation.store.progress(job_id).states == {"done": 5}
    assert installation.model.requests == []


@pytest.mark.parametrize("confidence", ["agreement", "prompt_variants"])
def test_all_further_samples_go_into_one_round(confidence: str) -> None:
    installation = installed(agent=replace(AGENT, confidence=confidence, samples=5))
    _, job_id, _ = start(installation, "good", "bad")
    assert to_the_end(installation) == 2
    first, second = (row.requests for row in installation.store.batches(job_id))
    assert (first, second) == (2, 8)
    assert installation.store.progress(job_id).states == {"done": 2}
    assert installation.model.requests == []


def test_what_the_last_round_leaves_is_asked_live() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.batch_endpoint.bad = lambda custom_id, number: BatchResult(custom_id=custom_id, reply=None)
    assert to_the_end(installation) == 3
    assert [row.round for row in installation.store.batches(job_id)] == [1, 2, 3]
    assert len(installation.model.requests) == 5
    assert job_of(installation, job_id).state == "done"
    assert summary(installation.store, job_of(installation, job_id))["model_calls"] == 5


def test_of_an_expired_batch_what_is_there_is_used() -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    go_on(installation, status="expired", most=3)
    assert installation.store.progress(job_id).states == {"done": 3, "queued": 2}
    to_the_end(installation)
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))
    assert max(Counter(installation.batch_endpoint.answered).values()) == 1


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ({"status": "failed", "most": 0, "error": "token_limit"}, "refused the batch as a whole (token_limit)"),
        ({"status": "failed", "most": 0}, "refused the batch as a whole: see"),
        ({"status": "cancelled", "most": 2}, "was cancelled at the endpoint: run again"),
    ],
)
def test_a_batch_that_another_would_be_like_stops_the_job(finish: dict[str, Any], reason: str) -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    go_on(installation, **finish)
    job = job_of(installation, job_id)
    assert (job.state, reason in str(job.reason)) == ("stopped", True)
    assert installation.store.open_batch_jobs() == []
    assert installation.queue.later == installation.queue.messages
    again = installation.jobs.start_run(project_id, lane="batch")
    to_the_end(installation)
    assert job_of(installation, again).state == "done"
    assert max(Counter(installation.batch_endpoint.answered).values()) == 1
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))


def test_a_batch_that_the_endpoint_does_not_know_any_more_stops_the_job() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.work_off()
    installation.batch_endpoint.there.clear()
    installation.queue.a_while_passes()
    installation.work_off()
    assert "does not know its batch any more" in str(job_of(installation, job_id).reason)
    assert installation.store.open_batch_jobs() == []


def test_answers_without_the_probabilities_that_are_wanted_are_not_bought_three_times() -> None:
    installation = installed(lambda r: replace(scored(r), tokens=None))
    _, job_id, _ = start(installation)
    assert to_the_end(installation) == 1
    job = job_of(installation, job_id)
    assert (job.state, "no token probabilities" in str(job.reason)) == ("stopped", True)


def test_a_refused_key_pauses_the_job_and_leaves_nothing_behind() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.batch_endpoint.fails["create"] = ModelUnauthorized("The key is refused.")
    installation.work_off()
    job = job_of(installation, job_id)
    assert (job.state, job.paused_by, job.reason) == ("paused", "fault", "The key is refused.")
    assert (installation.batch_endpoint.files, installation.store.batches(job_id)) == ({}, [])


@pytest.mark.parametrize("method", ["upload", "create", "state", "results", "delete_files"])
def test_an_endpoint_that_is_away_for_a_while_is_waited_for(method: str) -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    installation.batch_endpoint.fails[method] = ModelUnreachable("no connection")
    go_on(installation)
    installation.clock.now += timedelta(minutes=6)  # a batch that may be there is looked for that long
    to_the_end(installation)
    assert job_of(installation, job_id).state == "done"
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))
    assert len(installation.batch_endpoint.answered) == 5


def test_a_batch_whose_creation_timed_out_is_found_and_not_made_again() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    create = installation.batch_endpoint.create

    async def timed_out(marker: str, file_id: str) -> Any:
        await create(marker, file_id)
        raise ModelTimeout("no answer in time")

    installation.batch_endpoint.create = timed_out  # type: ignore[method-assign]
    installation.work_off()
    installation.queue.a_while_passes()
    assert to_the_end(installation) == 1
    assert len(installation.batch_endpoint.there) == 1
    assert job_of(installation, job_id).state == "done"


def test_a_cancelled_job_cancels_its_batch_and_keeps_what_is_there() -> None:
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    installation.work_off()
    installation.store.set_job_state(job_id, JobState.CANCELLED, "by a person")
    installation.queue.a_while_passes()
    installation.work_off()
    assert installation.batch_endpoint.cancelled == ["batch-1"]
    installation.batch_endpoint.finish(status="cancelled", most=2)
    installation.queue.a_while_passes()
    installation.work_off()
    installation.queue.a_while_passes()
    assert installation.work_off() == 0
    assert installation.batch_endpoint.cancelled == ["batch-1"]
    job = job_of(installation, job_id)
    assert (job.state, job.reason) == ("cancelled", "by a person")
    assert summary(installation.store, job)["batch"]["answered"] == 2
    installation.run(project_id)
    assert len(installation.model.requests) == 3  # the other two are in the cache
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))


def test_a_paused_job_reads_what_is_out_and_submits_nothing() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.work_off()
    installation.store.pause_job(job_id, "wait", by="person")
    installation.batch_endpoint.finish(status="expired", most=2)
    installation.queue.a_while_passes()
    installation.work_off()
    assert installation.store.progress(job_id).states == {"queued": 5}
    assert len(installation.batch_endpoint.there) == 1
    assert installation.store.resume_job(job_id)
    installation.queue.enqueue_batch_step(job_id)
    to_the_end(installation)
    assert installation.store.progress(job_id).states == {"done": 5}
    assert len(installation.batch_endpoint.answered) == 5


def test_two_jobs_that_ask_the_same_ask_it_once() -> None:
    installation = installed()
    one, first, _ = start(installation)
    other, second, task_ids = start(installation)
    assert to_the_end(installation) == 1
    assert [job_of(installation, n).state for n in (first, second)] == ["done", "done"]
    assert len(installation.batch_endpoint.answered) == 5
    assert installation.choices(other) == dict(zip(task_ids, MOODS, strict=True))
    assert one != other


def test_a_later_run_over_the_same_tasks_waits_for_the_first_one_s_batch() -> None:
    installation = installed()
    project_id, first, _ = start(installation)
    installation.work_off()
    installation.queue.later.clear()  # the message of the first one is lost
    second = installation.jobs.start_run(project_id, lane="batch")
    to_the_end(installation)
    assert [job_of(installation, n).state for n in (first, second)] == ["done", "done"]
    assert len(installation.batch_endpoint.answered) == 5


@pytest.mark.parametrize("limit", [{"max_requests": 2}, {"max_bytes": 600}])
def test_files_are_split_by_number_and_by_size(limit: dict[str, int]) -> None:
    installation = installed()
    installation.batch_lane = replace(installation.batch_lane, **limit)
    project_id, job_id, task_ids = start(installation)
    installation.batch_endpoint.line = sized(installation.batch_endpoint.line, 250)  # type: ignore[method-assign]
    assert to_the_end(installation) == 3
    assert [(row.round, row.requests) for row in installation.store.batches(job_id)] == [(1, 2), (1, 2), (1, 1)]
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))


def sized(line: Callable[..., bytes], size: int) -> Callable[..., bytes]:
    """The same lines, filled up to `size` bytes."""

    def padded(*arguments: Any) -> bytes:
        row = json.loads(line(*arguments))
        row["text"] = ""
        return json.dumps(row).encode().ljust(size - 1) + b"\n"

    return padded


def test_what_no_file_takes_is_asked_live() -> None:
    installation = installed()
    installation.batch_lane = replace(installation.batch_lane, max_bytes=10)
    _, job_id, _ = start(installation)
    assert to_the_end(installation) == 0
    assert job_of(installation, job_id).state == "done"
    assert (len(installation.model.requests), installation.store.batches(job_id)) == (5, [])


def test_a_changed_question_stops_the_job() -> None:
    installation = installed()
    project_id, job_id, _ = start(installation)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    installation.projects.sync(installation.labels, project_id)
    installation.work_off()
    job = job_of(installation, job_id)
    assert (job.state, "changed meanwhile: run again" in str(job.reason)) == ("stopped", True)
    assert installation.batch_endpoint.there == {}


def test_a_worker_whose_cache_is_off_says_so() -> None:
    installation = installed()
    installation.batch_lane = replace(installation.batch_lane, cache_is_on=False)
    _, job_id, _ = start(installation)
    installation.work_off()
    assert "set PRELABEL_CACHE_DAYS to 1 or more" in str(job_of(installation, job_id).reason)


def test_a_batch_at_another_endpoint_is_left_there() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.work_off()
    installation.batch_endpoint.name = "http://another/v1"
    installation.queue.a_while_passes()
    installation.work_off()
    assert "set OPENAI_BASE_URL" in str(job_of(installation, job_id).reason)
    assert installation.store.open_batch_jobs() == [job_id]


def test_the_endpoint_of_the_agent_that_a_job_was_made_for_is_asked_whichever_the_project_has_now() -> None:
    installation = installed()
    project_id, job_id, _ = start(installation)
    installation.work_off()
    other = AgentVersion.of(
        replace(AGENT, name="other", base_url="http://another/v1"), installation.projects.template_source
    )
    installation.store.add_agent(other)
    installation.projects.choose(installation.labels, project_id, "other")
    asked: list[str | None] = []

    @asynccontextmanager
    async def endpoint(agent: Agent) -> AsyncIterator[tuple[Caller, BatchEndpoint]]:
        asked.append(agent.base_url)
        async with installation.batches(agent) as opened:
            yield opened

    installation.batch_lane = replace(installation.batch_lane, endpoint=endpoint)
    go_on(installation)
    assert asked == [None]
    job = job_of(installation, job_id)
    assert (job.state, "the agent changed meanwhile" in str(job.reason)) == ("stopped", True)
    assert summary(installation.store, job)["batch"]["answered"] == 5
    assert installation.store.open_batch_jobs() == []


@pytest.mark.parametrize("fails", ["for good", "for now"])
def test_a_step_that_fails_each_time_is_spaced_and_told_once(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    installation.work_off()
    installation.queue.later.clear()
    endpoint = installation.batch_endpoint
    steps = 0

    def fail(_: object) -> None:
        nonlocal steps
        steps += 1
        raise ModelBadRequest("no") if fails == "for good" else ModelUnauthorized("The key is refused.")

    endpoint.state = fail  # type: ignore[method-assign, assignment]
    installation.refusal = ModelUnauthorized("The key is refused.")
    for _ in range(50):  # two hundred seconds
        installation.sweeper.look()
        installation.work_off()
        installation.clock.now += timedelta(seconds=4)
    assert 6 <= steps <= 10
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        "job stopped" if fails == "for good" else "job paused"
    ]
    del endpoint.state  # type: ignore[method-assign]
    endpoint.finish()
    for _ in range(8):
        installation.sweeper.look()
        installation.work_off()
        installation.clock.now += timedelta(seconds=4)
    assert summary(installation.store, job_of(installation, job_id))["batch"]["answered"] == 5


def test_a_task_that_fails_without_a_call_goes_to_the_workers() -> None:
    installation = installed(agent=replace(AGENT, context_tokens=700))
    project_id, job_id, task_ids = start(installation, "good", "word " * 5000)
    to_the_end(installation)
    records = installation.store.records(project_id, installation.version(project_id), task_ids)
    assert [records[n].state for n in task_ids] == [TaskState.DONE, TaskState.SKIPPED]
    assert job_of(installation, job_id).state == "done"


def test_a_project_without_tasks_ends_at_once() -> None:
    installation = installed()
    project_id, _ = installation.project()
    job_id = installation.jobs.start_run(project_id, lane="batch")
    installation.work_off()
    assert job_of(installation, job_id).state == "done"


def test_a_look_that_takes_too_long_goes_on_in_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.services.batch_walk._LONGEST_S", -1.0)
    monkeypatch.setattr("backend.services.batch_walk._PAGE", 2)
    installation = installed()
    project_id, job_id, task_ids = start(installation)
    assert to_the_end(installation) == 3
    assert [row.round for row in installation.store.batches(job_id)] == [1, 1, 1]
    assert installation.choices(project_id) == dict(zip(task_ids, MOODS, strict=True))
    assert len(installation.batch_endpoint.answered) == 5


@pytest.mark.parametrize("asks", ["sweeper", "another job"])
def test_a_long_look_goes_on_where_it_was_whoever_asks_for_a_step_meanwhile(
    monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    monkeypatch.setattr("backend.services.batch_walk._LONGEST_S", -1.0)
    monkeypatch.setattr("backend.services.batch_walk._PAGE", 2)
    installation = installed()
    _, job_id, _ = start(installation)
    look = Walk._look

    async def look_while_others_ask(walk: Walk, task_ids: Sequence[int]) -> None:
        installation.sweeper.look() if asks == "sweeper" else installation.queue.enqueue_batch_step(job_id)
        await look(walk, task_ids)

    monkeypatch.setattr(Walk, "_look", look_while_others_ask)
    to_the_end(installation)
    assert [row.round for row in installation.store.batches(job_id)] == [1, 1, 1]
    assert (job_of(installation, job_id).state, installation.model.requests) == ("done", [])


def test_while_another_worker_is_at_it_the_step_comes_later() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    with installation.queue.batch_lock(job_id):
        installation.work_off()
    assert installation.batch_endpoint.calls == []
    assert [m.work for m in installation.queue.later] == ["batch_step"]


def test_a_live_job_has_no_steps() -> None:
    installation = installed()
    project_id, _ = installation.project("good")
    job_id = installation.run(project_id)
    installation.batch_lane.step(job_id)
    installation.batch_lane.step(job_id + 1)
    assert installation.batch_endpoint.calls == []
    assert summary(installation.store, job_of(installation, job_id))["batch"] is None


# --- killed between any two steps ---------------------------------------------------------------------------------

_STORE = (
    *("begin_batch", "add_to_batch", "batch_creating", "batch_submitted", "note_batch", "batch_collected"),
    *("batch_ended", "drop_batch", "save_reply", "set_job_state"),
)
_ENDPOINT = ("upload", "create", "find", "state", "cancel", "delete_files", "delete_upload")
_QUEUE = ("enqueue_batch_step", "enqueue_chunk", "batch_step_started")


class Killer:
    """Kills at the `at`-th noted call, before or after it has done its work; never again after that."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0

    def watch(self, part: object, methods: tuple[str, ...]) -> None:
        for name in methods:
            setattr(part, name, self._watched(getattr(part, name)))

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def noted(*arguments: Any, **options: Any) -> Any:
            self.seen += 1
            if self.seen != self.at:
                return method(*arguments, **options)
            if not self.after:
                raise Killed
            answer = method(*arguments, **options)
            if hasattr(answer, "send"):  # a coroutine
                return self._late(answer)
            raise Killed

        return noted

    async def _late(self, answer: Any) -> None:
        await answer
        raise Killed


def killed_once(at: int, *, after: bool) -> tuple[Installation, int, bool]:
    """A job that is killed at one place and then goes on; with its id, and whether that place was reached."""
    installation = installed()
    _, job_id, _ = start(installation)
    killer = Killer(at, after=after)
    killer.watch(installation.store, _STORE)
    killer.watch(installation.batch_endpoint, _ENDPOINT)
    killer.watch(installation.queue, _QUEUE)
    installation.batch_endpoint.bad = lambda custom_id, number: (
        BatchResult(custom_id=custom_id, reply=None)
        if number == 0 and len(installation.batch_endpoint.there) == 1
        else None
    )
    for _ in range(30):
        if not installation.queue.messages and not installation.queue.later:
            break
        try:
            go_on(installation)
        except (Killed, BaseExceptionGroup):
            installation.clock.now += timedelta(minutes=6)
    return installation, job_id, killer.seen >= at


@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_it_asks_nothing_twice_and_loses_nothing(after: bool) -> None:
    at, places = 0, 0
    while True:
        at += 1
        installation, job_id, reached = killed_once(at, after=after)
        if not reached:
            break
        places += 1
        told = summary(installation.store, job_of(installation, job_id))
        assert told["state"] == "done", at
        assert told["by_state"] == {"done": 5}, at
        assert installation.model.requests == [], at
        assert max(Counter(installation.batch_endpoint.answered).values()) == 1, at
        assert len(installation.batch_endpoint.answered) == 5, at
        assert (told["batch"]["answered"], told["batch"]["prompt_tokens"]) == (5, 50), at
        assert installation.batch_endpoint.files == {}, at
        assert installation.store.open_batch_jobs() == [], at
    assert places > 20


def test_a_worker_that_lost_its_lock_creates_nothing() -> None:
    installation = installed()
    _, job_id, _ = start(installation)
    upload = installation.batch_endpoint.upload

    async def meanwhile(marker: str, lines: Any) -> str:
        file_id = await upload(marker, lines)
        (row,) = installation.store.batches(job_id)
        installation.store.drop_batch(row.id)  # another worker thinks that this one is dead
        return file_id

    installation.batch_endpoint.upload = meanwhile  # type: ignore[method-assign]
    with pytest.raises(QueueError):
        installation.work_off()
    assert (installation.batch_endpoint.there, installation.batch_endpoint.files) == ({}, {})


def refused(_: Request) -> Reply | ModelError:
    return ModelBadRequest("no")


def test_a_row_that_is_refused_each_time_ends_as_a_live_call_would() -> None:
    installation = installed(refused)
    _, job_id, _ = start(installation, "good")
    assert to_the_end(installation) == 3
    assert installation.store.counts(1, job_id=job_id).errors == {"bad_request": 1}
    assert job_of(installation, job_id).state == "done"
