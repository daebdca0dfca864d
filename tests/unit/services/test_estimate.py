"""What a run would take, compared with what it then takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.core.values import Reply, Request, Usage
from backend.ports.governor import GovernorLevel
from backend.ports.model import Capabilities
from backend.ports.store import JobLimits
from backend.prompting.tokens import estimated_tokens
from backend.services.estimate import Circumstances, Estimate
from backend.services.estimated_usage import calls_a_task
from backend.services.estimating import Estimator
from backend.services.selection import Selection
from tests.fakes.installation import AGENT, Installation, by_mood

AROUND = Circumstances(
    endpoint="http://model/v1",
    price=lambda model, prompt, answer: None,
    level=None,
    capabilities=None,
    limits=JobLimits(),
    concurrency=8,
    workers=1,
)
WITH_LOGPROBS = Capabilities(structured="json_schema", logprobs=5)


def estimate(
    installation: Installation, project_id: int, selection: Selection | None = None, sample: int = 200, **around: Any
) -> Estimate:
    project = installation.labels.project(project_id)
    row = installation.projects.look(project_id, project.label_config, project.instructions)
    estimator = Estimator(
        labels=installation.labels, store=installation.store, around=replace(AROUND, **around), sample=sample
    )
    return estimator.estimate(selection or Selection(), row, installation.projects.question(row))


def counting(request: Request) -> Reply:
    """Two thirds of the estimate, as real tokenizers do."""
    prompt = round(estimated_tokens(request.messages) / 1.5)
    return replace(by_mood(request), usage=Usage(prompt_tokens=prompt, completion_tokens=9, calls=1), latency_s=0.5)


def holds(told: Estimate, used: Usage) -> None:
    assert told.calls[0] <= used.calls <= told.calls[1]
    assert told.prompt_tokens[0] <= used.prompt_tokens <= told.prompt_tokens[1]
    assert told.completion_tokens[0] <= used.completion_tokens <= told.completion_tokens[1]


def used_by(installation: Installation, project_id: int, before: Usage | None = None) -> Usage:
    now = installation.store.counts(project_id).usage
    before = before or Usage()
    return Usage(
        prompt_tokens=now.prompt_tokens - before.prompt_tokens,
        completion_tokens=now.completion_tokens - before.completion_tokens,
        calls=now.calls - before.calls,
    )


def test_it_holds_what_the_run_then_uses_and_is_narrow_once_there_is_experience() -> None:
    installation = Installation(counting)
    project_id, tasks = installation.project(*(f"good number {n} of many" for n in range(30)))
    first = Selection(keep="all", task_ids=tuple(tasks[:10]))
    told = estimate(installation, project_id, first)
    assert installation.model.requests == []
    assert (installation.store.jobs(), installation.store.project(project_id)) == ([], None)  # nothing was written
    assert (told.tasks, told.to_ask, told.calibrated, told.cost_usd, told.seconds) == (10, 10, False, None, None)
    installation.run(project_id, tasks[:10])
    before = used_by(installation, project_id)
    holds(told, before)
    assert told.prompt_tokens[1] < 2.5 * told.prompt_tokens[0] * told.calls[1] / told.calls[0]
    assert told.likely.prompt_tokens == pytest.approx(before.prompt_tokens, rel=0.1)
    assert told.likely.completion_tokens == pytest.approx(before.completion_tokens, rel=0.25)
    assert told.at_most.completion_tokens == told.at_most.calls * AGENT.max_tokens > told.completion_tokens[1]
    told = estimate(installation, project_id, price=lambda _, p, a: (p + a) / 1e6, capabilities=WITH_LOGPROBS)
    assert (told.tasks, told.to_ask, told.calibrated) == (20, 20, True)
    assert told.prompt_tokens[1] < 2 * told.prompt_tokens[0]
    assert told.seconds == pytest.approx((20 * 0.5 / 8, 20 * 0.5 / 8))
    assert told.bound_by == "8 calls at a time"
    installation.run(project_id)
    used = used_by(installation, project_id, before)
    holds(told, used)
    assert told.cost_usd is not None
    assert told.cost_usd[0] <= (used.prompt_tokens + used.completion_tokens) / 1e6 <= told.cost_usd[1]


def test_what_keeps_its_answer_what_is_skipped_and_what_is_cached() -> None:
    installation = Installation(agent=replace(AGENT, confidence="self_reported", context_tokens=3_000), cached=True)
    project_id, tasks = installation.project("good", "bad", "", "x" * 400_000, "good 2", "good 2")
    installation.run(project_id, tasks[:1])
    everything = Selection(keep="all")
    told = estimate(installation, project_id, everything)
    assert (told.tasks, told.kept, told.to_ask, told.cached) == (6, 1, 3, 1)  # of two that are alike one is asked
    assert dict(told.skipped) == {"nothing_to_show": 1, "context_too_long": 1}
    anew = estimate(installation, project_id, replace(everything, again=True))
    assert (anew.kept, anew.to_ask, anew.cached) == (0, 4, 1)
    other, _ = installation.project("good")
    assert estimate(installation, other).cached == 1
    assert estimate(installation, other).calls[0] == 0


def test_of_many_tasks_a_sample_stands_for_all() -> None:
    installation = Installation(counting)
    project_id, _ = installation.project(*(f"good {n}" if n % 2 else "" for n in range(200)))
    told = estimate(installation, project_id, sample=50)
    assert (told.tasks, told.rendered) == (200, 50)
    assert told.to_ask + sum(told.skipped.values()) == pytest.approx(200, abs=2)
    assert 60 <= told.to_ask <= 140
    assert told.notes[0].startswith("From 50 of 200 tasks, taken by chance")
    assert estimate(installation, project_id, sample=50) == told


def test_the_time_is_that_of_the_limit_that_takes_longest() -> None:
    installation = Installation()
    project_id, _ = installation.project(*(f"good {n}" for n in range(12)))
    level = GovernorLevel(
        requests_per_minute=60,
        tokens_per_minute=None,
        requests_used=0,
        tokens_used=0,
        in_flight=0,
        window=None,
        paused_s=5.0,
    )
    told = estimate(installation, project_id, level=level, capabilities=WITH_LOGPROBS)
    assert (told.seconds, told.bound_by) == ((17.0, 17.0), "requests a minute")
    told = estimate(installation, project_id, level=level, limits=JobLimits(per_minute=6), capabilities=WITH_LOGPROBS)
    assert (told.seconds, told.bound_by) == ((125.0, 125.0), "--max-per-minute")
    tokens = replace(level, tokens_per_minute=100.0)
    assert estimate(installation, project_id, level=tokens).bound_by == "tokens a minute"


@pytest.mark.parametrize(
    ("confidence", "known", "most"),
    [
        ("logprob", None, 2),
        ("auto", WITH_LOGPROBS, 2),
        ("auto", None, 6),
        ("agreement", WITH_LOGPROBS, 6),
        ("prompt_variants", None, 6),
        ("self_reported", None, 2),
    ],
)
def test_how_many_calls_a_task_may_take(confidence: str, known: Capabilities | None, most: int) -> None:
    installation = Installation(agent=replace(AGENT, confidence=confidence, reasks=1))
    project_id, _ = installation.project("good")
    row = installation.projects.sync(installation.labels, project_id)
    assert calls_a_task(installation.projects.question(row), known) == (1, most)


def test_whether_samples_are_needed_is_not_known_before_the_endpoint_was_asked() -> None:
    installation = Installation(counting, agent=replace(AGENT, confidence="auto", reasks=1))
    project_id, _ = installation.project(*(f"good {n}" for n in range(10)))
    told = estimate(installation, project_id)
    assert (told.calls[0], told.likely.calls, told.calls[1]) == pytest.approx((10, 10.5, 51.5))
    assert told.at_most.calls == 60
    assert any("Without them each task takes 5 calls, and all together" in note for note in told.notes)
    known = estimate(installation, project_id, capabilities=WITH_LOGPROBS)
    assert known.calls == pytest.approx((10, 11.5))
    without = estimate(installation, project_id, capabilities=replace(WITH_LOGPROBS, logprobs=0))
    assert without.calls == pytest.approx((50, 51.5))


def test_nothing_to_do() -> None:
    installation = Installation()
    project_id, _ = installation.project()
    told = estimate(installation, project_id)
    assert (told.tasks, told.calls, told.prompt_tokens, told.as_json()["skipped"]) == (0, (0, 0), (0, 0), 0)
