"""A job with a budget: it pauses at its end, says so, and goes on when there is more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from backend.core.errors import InputError, StoreError
from backend.ports.ledger import Spending
from backend.ports.store import JobLimits, JobRow
from backend.services.budgeted_model import most_prompt_tokens
from backend.services.budgets import check_limits, raised
from backend.services.steering import Steering
from backend.services.summaries import summary
from tests.fakes.installation import AGENT, USAGE, Installation

TOKENS_A_CALL = USAGE.prompt_tokens + USAGE.completion_tokens
NOTHING_SPENT = Spending(tokens=0, usd=0.0, in_flight=0, reserved_tokens=0, reserved_usd=0.0)


def steering(installation: Installation) -> Steering:
    return Steering(store=installation.store, queue=installation.queue, chunk_size=2)


def job_of(installation: Installation, job_id: int) -> JobRow:
    job = installation.store.job(job_id)
    assert job is not None
    return job


def limited(installation: Installation, count: int, budget: int) -> int:
    project_id, _ = installation.project(*(f"good {n}" for n in range(count)))
    return installation.jobs.start_run(project_id, limits=JobLimits(budget_tokens=budget))


def room_for(installation: Installation, calls: int) -> int:
    """A budget that just lets so many calls of a small project be made."""
    probe, _ = installation.project("good 0")
    installation.run(probe)
    asked = installation.model.requests[-1]
    return most_prompt_tokens(asked) + asked.max_tokens + (calls - 1) * TOKENS_A_CALL


def test_it_pauses_at_its_end_and_goes_on_with_more() -> None:
    installation = Installation(concurrency=1, chunk_size=2)
    budget = room_for(installation, 3)
    before = len(installation.model.requests)
    job_id = limited(installation, 7, budget)
    installation.work_off()
    job = job_of(installation, job_id)
    assert (job.state, job.paused_by) == ("paused", "budget")
    assert job.reason == (
        f"budget of {budget:,} tokens reached: {3 * TOKENS_A_CALL} tokens spent, 4 tasks are left; "
        f"raise it with `prelabel jobs resume {job_id} --budget-tokens N`"
    )
    assert len(installation.model.requests) - before == 3
    told = summary(installation.store, job)
    assert (told["state"], told["by_state"]) == ("stopped at budget", {"done": 3, "queued": 4})
    assert (told["spent_tokens"], told["written"]) == (3 * TOKENS_A_CALL, 3)
    with pytest.raises(InputError, match="resume it with a larger one"):
        steering(installation).resume(job_id)
    with pytest.raises(InputError, match=f"has spent {3 * TOKENS_A_CALL} tokens"):
        steering(installation).resume(job_id, JobLimits(budget_tokens=10))
    steering(installation).resume(job_id, JobLimits(budget_tokens=100_000))
    installation.work_off()
    assert job_of(installation, job_id).state == "done"
    assert len(installation.model.requests) - before == 7


def test_what_a_task_paid_for_before_the_end_is_counted_and_not_paid_again() -> None:
    """Five samples for a task; the budget ends in the middle of them."""
    agent = replace(AGENT, confidence="agreement", samples=5, seed=None)
    installation = Installation(agent=agent, concurrency=1, cached=True)
    budget = room_for(installation, 1) + 2 * TOKENS_A_CALL
    calls = len(installation.model.requests)
    job_id = limited(installation, 1, budget)
    installation.store.forget_replies([r.key for r in installation.model.requests])
    installation.work_off()
    paid = len(installation.model.requests) - calls
    assert 0 < paid < 5
    told = summary(installation.store, job_of(installation, job_id))
    assert (told["by_state"], told["model_calls"]) == ({"queued": 1}, paid)
    assert told["spent_tokens"] == paid * TOKENS_A_CALL == told["prompt_tokens"] + told["completion_tokens"]
    steering(installation).resume(job_id, JobLimits(budget_tokens=100_000))
    installation.work_off()
    told = summary(installation.store, job_of(installation, job_id))
    assert (told["by_state"], told["model_calls"], told["replies_from_cache"]) == ({"done": 1}, 5, paid)


def test_a_cached_reply_costs_nothing() -> None:
    installation = Installation(agent=replace(AGENT, confidence="self_reported"), cached=True)
    first, _ = installation.project("good")
    installation.run(first)
    again, _ = installation.project("good")
    job_id = installation.jobs.start_run(again, limits=JobLimits(budget_tokens=1))
    installation.work_off()
    assert job_of(installation, job_id).state == "done"


def test_tasks_of_another_job_are_not_asked_on_this_one_s_account() -> None:
    installation = Installation(chunk_size=10)
    project_id, _ = installation.project("good", "bad")
    plain = installation.jobs.start_run(project_id)
    with_budget = installation.jobs.start_run(project_id, limits=JobLimits(budget_tokens=1))
    installation.work_off()
    assert installation.model.requests == []
    assert (job_of(installation, plain).state, job_of(installation, with_budget).paused_by) == ("done", "budget")


def test_a_run_with_a_budget_is_never_there_without_it() -> None:
    installation = Installation()

    def fail(job_id: int, limits: JobLimits) -> None:
        raise StoreError("The database is locked.")

    installation.store.set_job_limits = fail  # type: ignore[method-assign]
    project_id, _ = installation.project("good")
    with suppress(StoreError):
        installation.jobs.start_run(project_id, limits=JobLimits(budget_tokens=1))
    installation.sweeper.look()
    installation.work_off()
    assert installation.model.requests == []
    assert [job.paused_by for job in installation.store.jobs()] == ["budget"]


def test_a_price_must_be_known_for_a_budget_in_dollars() -> None:
    limits = JobLimits(budget_usd=1.0)
    check_limits(limits, lambda: 0.1, "m")
    with pytest.raises(InputError, match="The price of the model 'm' at this endpoint is not known"):
        check_limits(limits, lambda: None, "m")
    check_limits(JobLimits(budget_tokens=1), lambda: None, "m")
    for wrong in (JobLimits(budget_usd=0.0), JobLimits(budget_usd=float("inf")), JobLimits(budget_usd=float("nan"))):
        with pytest.raises(InputError, match="--budget-usd must be more than 0"):
            check_limits(wrong, lambda: 0.1, "m")


def test_limits_that_are_not_given_stay() -> None:
    installation = Installation()
    job = job_of(installation, limited(installation, 1, 50))
    assert raised(job, JobLimits(per_minute=5), NOTHING_SPENT) == JobLimits(budget_tokens=50, per_minute=5)
    assert raised(job, JobLimits(budget_usd=2.0), NOTHING_SPENT) == JobLimits(budget_tokens=50, budget_usd=2.0)
