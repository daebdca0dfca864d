"""Jobs as a person has them: chosen, estimated, within a budget, paused, cancelled, tried again; and somebody opens a
task meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.configs import FEEDBACK
from tests.e2e.stack import DEADLINE_S, Labeling, Stack, eventually

WORDS = ("great", "awful", "slow", "cheap", "broken", "friendly")


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"text": f"Number {n}: the delivery was {WORDS[n % len(WORDS)]}.", "lang": "en" if n % 2 else "de"}
        for n in range(start, start + count)
    ]


@pytest.fixture(scope="module")
def chosen(_stack: Stack) -> Labeling:
    """A project of 24 tasks; the tests add to what is answered."""
    project = _stack.project("Chosen", FEEDBACK, rows(24))
    _stack.connect(project)
    return project


@pytest.fixture(autouse=True)
def _nothing_else_runs(stack: Stack) -> Iterator[None]:
    """Jobs that earlier tests left, here or elsewhere, would make calls among those that a test counts."""
    cancel_all(stack)
    yield
    cancel_all(stack)


def cancel_all(stack: Stack) -> None:
    for job in stack.answer("jobs", "list", "--limit", 1000)["jobs"]:
        if job["state"] in ("queued", "running", "paused", "stopped at budget"):
            stack.prelabel("jobs", "cancel", job["id"])
    eventually(lambda: stack.model.counts()["in_flight"] == 0, "nothing is in flight", limit_s=3 * DEADLINE_S)


def answered(stack: Stack, project: Labeling) -> set[int]:
    return set(project.of_version(stack.status(project)["version"]))


def used(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["model_calls"], told["prompt_tokens"], told["completion_tokens"]


def within(estimate: dict[str, Any], told: dict[str, Any]) -> None:
    """What was used lies between what the dry run had told."""
    for name, number in zip(("calls", "prompt_tokens", "completion_tokens"), used(told), strict=True):
        low, high = estimate[name]
        assert low <= number <= high, (name, low, number, high)


def test_a_tab_a_filter_and_a_sample(stack: Stack, chosen: Labeling) -> None:
    ids = {row["data"]["text"]: row["id"] for row in chosen.rows()}
    german = {row["id"] for row in chosen.rows() if row["data"]["lang"] == "de"}
    tab = {
        "title": "German",
        "filters": {
            "conjunction": "and",
            "items": [{"filter": "filter:tasks:data.lang", "operator": "equal", "type": "String", "value": "de"}],
        },
    }
    chosen.call("POST", "/api/dm/views", json={"project": chosen.id, "data": tab})
    run = ("run", "--project", chosen.id, "--wait")

    before = stack.model_calls()
    estimate = stack.answer("run", "--project", chosen.id, "--tab", "German", "--sample", 5, "--dry-run")
    assert (estimate["tasks"], estimate["to_ask"], estimate["rendered"]) == (5, 5, 5)
    assert estimate["cost_usd"] is None
    assert stack.model_calls() == before
    assert answered(stack, chosen) == set()

    told = stack.answer(*run, "--tab", "German", "--sample", 5)
    first = answered(stack, chosen)
    assert (told["by_state"], len(first), first <= german) == ({"done": 5}, 5, True)
    within(estimate, told)

    priced = {"PRELABEL_USD_PER_MILLION_INPUT": "2", "PRELABEL_USD_PER_MILLION_OUTPUT": "8"}
    estimate = stack.answer("run", "--project", chosen.id, "--filter", "data.lang = de", "--dry-run", **priced)
    assert (estimate["tasks"], estimate["to_ask"]) == (7, 7)
    assert estimate["tokens_are"] == "estimated, set right by earlier calls"
    told = stack.answer(*run, "--filter", "data.lang = de", **priced)
    assert (told["by_state"], answered(stack, chosen)) == ({"done": 7}, german)
    within(estimate, told)
    assert estimate["cost_usd"][0] <= told["cost_usd"] <= estimate["cost_usd"][1]
    assert told["cost_usd"] == pytest.approx(
        (2 * told["prompt_tokens"] + 8 * told["completion_tokens"]) / 1e6, rel=0.02
    )

    several = json.dumps(
        {
            "conjunction": "or",
            "items": [
                {"filter": "filter:tasks:data.text", "operator": "contains", "type": "String", "value": f"Number {n}:"}
                for n in (1, 3)
            ],
        }
    )
    stack.answer(*run, "--filter", several)
    more = {ids[f"Number {n}: the delivery was {WORDS[n % 6]}."] for n in (1, 3)}
    assert answered(stack, chosen) == german | more


def test_answered_tasks_are_asked_anew_only_where_that_is_said(stack: Stack) -> None:
    chosen = stack.project("Anew", FEEDBACK, rows(4))
    task, other = chosen.task_ids()[:2]
    stack.answer("run", "--project", chosen.id, "--task", task, "--task", other, "--wait")
    before = stack.model_calls()
    assert stack.answer("run", "--project", chosen.id, "--task", task, "--wait")["by_state"] == {"done": 1}
    assert stack.model_calls() == before
    stack.answer("run", "--project", chosen.id, "--task", task, "--again", "--wait")
    assert stack.model_calls() == before + 1
    version = stack.status(chosen)["version"]
    assert task in chosen.of_version(version)  # and it has one prediction
    below = stack.answer("run", "--project", chosen.id, "--below", 1, "--sample", 2, "--wait")
    assert below["by_state"] == {"done": 2}
    assert stack.model_calls() == before + 3


def test_a_budget_is_not_exceeded_and_can_be_raised(stack: Stack) -> None:
    project = stack.project("Budget", FEEDBACK, rows(40))
    stack.connect(project)
    few = stack.answer("run", "--project", project.id, "--sample", 4, "--wait")
    budget = 5 * (few["prompt_tokens"] + few["completion_tokens"])  # for some 20 of the 36 that are left
    stack.model.change(latency_s=0.05)
    done = stack.prelabel("run", "--project", project.id, "--budget-tokens", budget, "--wait", "--json")
    told = done.answer
    assert (done.code, told["state"]) == (1, "stopped at budget")
    spent = told["prompt_tokens"] + told["completion_tokens"]
    assert 0.3 * budget < spent <= budget
    assert spent == told["spent_tokens"]
    left = told["by_state"]["queued"]
    assert told["by_state"] == {"done": 36 - left, "queued": left}
    assert (
        f"{left} tasks are left; raise it with `prelabel jobs resume {told['job']} --budget-tokens N`" in told["reason"]
    )

    refused = stack.prelabel("jobs", "resume", told["job"])
    assert "resume it with a larger one" in refused.only_sentence
    stack.answer("jobs", "resume", told["job"], "--budget-tokens", 100_000)
    ended = stack.answer("jobs", "show", told["job"], "--follow")
    assert (ended["state"], ended["by_state"]) == ("done", {"done": 36})
    assert len(answered(stack, project)) == 40


def test_pause_resume_and_cancel_within_seconds_in_the_middle_of_a_chunk(stack: Stack) -> None:
    project = stack.project("Paused", FEEDBACK, rows(240))
    stack.connect(project)
    latency_s, in_flight = 3.0, 8
    stack.model.change(latency_s=latency_s)
    before = stack.model_calls()
    job = stack.answer("run", "--project", project.id)["job"]

    def counted_from(change: str) -> int:
        """Calls that are begun after the command has returned; then nothing is in flight."""
        told = stack.answer("jobs", change, job)
        assert told["state"] == {"pause": "paused", "cancel": "cancelled"}[change]
        calls = stack.model_calls()
        eventually(lambda: stack.model.counts()["in_flight"] == 0, "nothing is in flight", limit_s=3 * latency_s)
        time.sleep(latency_s)
        return stack.model_calls() - calls

    eventually(lambda: stack.model_calls() >= before + in_flight, "the job runs")
    assert counted_from("pause") <= in_flight + in_flight // 4  # those that are in hand
    still = stack.answer("jobs", "show", job)
    assert (still["state"], still["reason"]) == ("paused", "by `prelabel jobs pause`")
    assert still["by_state"].keys() == {"done", "queued"}

    calls = stack.model_calls()
    stack.answer("jobs", "resume", job)
    eventually(lambda: stack.model_calls() > calls, "it goes on")
    assert counted_from("cancel") <= in_flight + in_flight // 4
    cancelled = stack.answer("jobs", "show", job)["by_state"]
    assert cancelled["done"] > still["by_state"]["done"]
    assert cancelled["queued"] > 0
    assert "cannot be resumed" in stack.prelabel("jobs", "resume", job).only_sentence

    stack.model.change(latency_s=0.0)
    assert stack.run(project)["state"] == "done"  # the rest is left to the next run
    assert len(answered(stack, project)) == 240
    listed = stack.answer("jobs", "list", "--project", project.id)["jobs"]
    assert [one["state"] for one in listed] == ["done", "cancelled"]


def test_what_failed_is_tried_again(stack: Stack) -> None:
    project = stack.project("Failed", FEEDBACK, rows(6))
    stack.connect(project)
    stack.model.change(reply="garbage")
    told = stack.answer("run", "--project", project.id, "--wait")
    assert told["by_state"] == {"invalid": 6}
    stack.model.change(reply="scripted")
    assert stack.answer("jobs", "retry", told["job"], "--failed")["queued"] == 6
    ended = stack.answer("jobs", "show", told["job"], "--follow")
    assert (ended["by_state"], ended["written"], ended["undelivered"]) == ({"done": 6}, 6, 0)
    assert all(prediction.labels for prediction in project.of_version(ended["version"]).values())
    assert sum(ended["scores"]) == 6
    assert set(ended["latency_s"]) == {"p50", "p90", "p99"}


def test_an_opened_task_is_answered_in_time_while_a_big_run_goes_on(stack: Stack) -> None:
    big = stack.project("Big", FEEDBACK, rows(1_000))
    opened = stack.project("Opened", FEEDBACK, rows(6, start=500))
    for project in (big, opened):
        stack.connect(project)
    stack.model.change(latency_s=0.5)
    job = stack.answer("run", "--project", big.id)["job"]
    eventually(lambda: stack.answer("jobs", "show", job)["by_state"].get("done"), "the run goes on")
    took = []
    for task_id in opened.task_ids():
        started = time.monotonic()
        predictions = opened.open_task(task_id)["predictions"]
        took.append(time.monotonic() - started)
        assert predictions, f"no prediction of task {task_id} within {DEADLINE_S} s; earlier ones took {took}"
    shown = stack.answer("jobs", "show", job)
    assert shown["state"] == "running", "the run ended before the tasks were opened"
    assert shown["by_state"]["queued"] > 0
    stack.answer("jobs", "cancel", job)
    stack.model.change(latency_s=0.0)


def test_a_pace_is_kept(stack: Stack) -> None:
    project = stack.project("Pace", FEEDBACK, rows(60))
    stack.connect(project)
    before, started = stack.model_calls(), time.monotonic()
    job = stack.answer("run", "--project", project.id, "--max-per-minute", 60)["job"]
    eventually(lambda: stack.model_calls() > before, "the run goes on")
    time.sleep(6)
    made, minutes = stack.model_calls() - before, (time.monotonic() - started) / 60
    assert 2 <= made <= 60 * minutes + 2
    stack.answer("jobs", "cancel", job)
