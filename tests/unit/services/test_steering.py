"""Pausing, resuming and cancelling while a worker is in the middle of a chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.errors import LimitFarOff, ModelBadRequest, ModelQuotaExhausted
from backend.core.values import Reply, Request
from backend.ports.store import JobLimits
from backend.services import chunks, enlisting
from backend.services.steering import Steering
from backend.services.summaries import summary
from tests.fakes.installation import AGENT, Installation, by_mood


def state_of(installation: Installation, job_id: int) -> str:
    job = installation.store.job(job_id)
    assert job is not None
    return job.state


def told(installation: Installation, job_id: int) -> dict[str, Any]:
    job = installation.store.job(job_id)
    assert job is not None
    return summary(installation.store, job)


class Scene:
    """A job of eight tasks in one chunk; `then` happens while the third call is in flight."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chunks, "_LOOK_S", 0.0)
        self.then: Callable[[], object] = lambda: None
        self.installation = Installation(self.answer, chunk_size=20, concurrency=1)
        self.steering = Steering(store=self.installation.store, queue=self.installation.queue, chunk_size=20)
        self.project, _ = self.installation.project(*(f"good {n}" for n in range(8)))
        self.job = self.installation.jobs.start_run(self.project)

    def answer(self, request: Request) -> Reply:
        if len(self.installation.model.requests) == 3:
            self.then()
        return by_mood(request)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_a_pause_ends_the_chunk_after_the_calls_in_flight(scene: Scene) -> None:
    scene.then = lambda: scene.steering.pause(scene.job)
    scene.installation.work_off()
    assert state_of(scene.installation, scene.job) == "paused"
    now = told(scene.installation, scene.job)
    assert (now["by_state"], now["written"], now["reason"]) == ({"done": 3, "queued": 5}, 3, "by `prelabel jobs pause`")
    assert not scene.installation.queue.messages
    scene.steering.resume(scene.job)
    scene.installation.work_off()
    assert state_of(scene.installation, scene.job) == "done"
    assert len(scene.installation.model.requests) == 8


def test_a_cancelled_job_keeps_what_is_answered(scene: Scene) -> None:
    scene.then = lambda: scene.steering.cancel(scene.job)
    scene.installation.work_off()
    now = told(scene.installation, scene.job)
    assert (now["state"], now["by_state"], now["written"]) == ("cancelled", {"done": 3, "queued": 5}, 3)
    scene.then = lambda: None
    scene.installation.run(scene.project)
    assert len(scene.installation.model.requests) == 8
    assert all(len(one) == 1 for one in scene.installation.choices(scene.project).values())


def test_a_job_that_is_resumed_before_the_chunk_has_ended_loses_no_task(scene: Scene) -> None:
    """It is paused and resumed between the last look and the moment when the rest is given back."""
    release = scene.installation.store.release

    def release_and_resume(record_ids: Any) -> None:
        scene.installation.store.release = release  # type: ignore[method-assign]
        scene.steering.resume(scene.job)
        scene.installation.queue.messages.clear()  # which names nothing: all are running
        release(record_ids)

    def pause() -> None:
        scene.steering.pause(scene.job)
        scene.installation.store.release = release_and_resume  # type: ignore[method-assign]

    scene.then = pause
    scene.installation.work_off()
    scene.installation.queue.a_while_passes()
    scene.installation.work_off()
    assert told(scene.installation, scene.job)["by_state"] == {"done": 8}


@pytest.mark.parametrize("error", [LimitFarOff("later", wait_s=900.0), ModelQuotaExhausted("no money")])
def test_what_a_conversation_paid_before_it_ended_is_counted_once(error: Exception) -> None:
    """Two of five samples are had; then it ends."""
    healthy = False

    def answer(request: Request) -> Any:
        if not healthy and len(installation.model.requests) > 2:
            if isinstance(error, LimitFarOff):
                raise error
            return error
        return by_mood(request)

    installation = Installation(answer, agent=replace(AGENT, confidence="agreement", seed=None), cached=True)
    project_id, _ = installation.project("good")
    job_id = installation.jobs.start_run(project_id)
    installation.work_off()
    now = told(installation, job_id)
    assert (now["model_calls"], now["prompt_tokens"]) == (2, 20)
    healthy = True
    installation.run(project_id)
    usage = installation.store.counts(project_id).usage
    assert (usage.calls, usage.prompt_tokens, usage.from_cache) == (5, 50, 2)


def refusing(request: Request) -> Any:
    data = request.messages[-1].content.partition("Annotate the data above")[0]
    return ModelBadRequest("no") if "bad" in data else by_mood(request)


def half_done(**limits: int) -> tuple[Installation, Steering, int]:
    """A job of ten tasks of which two were asked, one of them in vain, and which is cancelled while it is read."""
    installation = Installation(refusing, chunk_size=2, concurrency=1)
    installation.enlister = replace(installation.enlister, read_s=0.0)
    steering = Steering(store=installation.store, queue=installation.queue, chunk_size=2)
    project_id, _ = installation.project("bad", *(f"good {n}" for n in range(9)))
    job_id = installation.jobs.start_run(project_id, limits=JobLimits(**limits))
    for _ in range(2):
        installation.handle(installation.queue.messages.popleft())
    steering.cancel(job_id)
    return installation, steering, job_id


@pytest.mark.parametrize("messages_wait", [True, False])
def test_of_a_cancelled_job_only_what_failed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, messages_wait: bool
) -> None:
    monkeypatch.setattr(enlisting, "PAGE", 4)
    installation, steering, job_id = half_done()
    if not messages_wait:
        installation.work_off()
    before = len(installation.model.requests)
    again, queued = steering.retry_failed(job_id)
    for _ in range(5):
        installation.work_off()
        installation.sweeper.look()
        installation.clock.now += timedelta(seconds=4)
    assert (queued, len(installation.model.requests) - before) == (1, 1)
    assert (again.id != job_id, state_of(installation, again.id)) == (True, "done")
    assert state_of(installation, job_id) == "cancelled"
    assert told(installation, job_id)["by_state"] == {"done": 1, "queued": 2}  # of the first page; no other was read
    assert steering.retry_failed(job_id)[1] == 0


def test_what_is_tried_again_of_a_cancelled_job_has_what_was_left_of_its_budget() -> None:
    installation, steering, job_id = half_done(budget_tokens=100_000, per_minute=50)
    again, _ = steering.retry_failed(job_id)
    spent = installation.store.spending(job_id).tokens
    assert spent > 0
    assert (again.budget_tokens, again.per_minute) == (100_000 - spent, 50)
