"""A job's limits: checked before it begins, put around the model, told when they are reached, and raised."""

from __future__ import annotations

from collections.abc import Callable

from backend.core.errors import InputError
from backend.ports.ledger import Ledger, Spending
from backend.ports.model import Model
from backend.ports.store import JobLimits, JobRow, Store
from backend.services.budgeted_model import BudgetedModel, Price, unknown_price


def budgeted(model: Model, ledger: Ledger, job: JobRow | None, *, price: Price, lease_s: float) -> Model:
    """The model as it is, or within the job's budget where it has one: only such a job keeps an account."""
    if job is None or not job.has_budget:
        return model
    used = price if job.budget_usd is not None else None
    return BudgetedModel(model=model, ledger=ledger, job_id=job.id, price=used, lease_s=lease_s)


def check_limits(limits: JobLimits, price: Callable[[], float | None], model: str) -> None:
    """Raises `InputError` for a limit that cannot be kept; `price` of any call says whether prices are known."""
    for name, value in (
        ("--budget-tokens", limits.budget_tokens),
        ("--budget-usd", limits.budget_usd),
        ("--max-per-minute", limits.per_minute),
    ):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be more than 0.")
    if limits.budget_usd is not None and price() is None:
        raise InputError(unknown_price(model))


def budget_reached(job: JobRow, store: Store) -> str:
    """One sentence: which budget, how much of it is spent, what is left, and how it is raised."""
    left = store.progress(job.id).unfinished
    budget, option = _worded(job), "--budget-usd Y" if job.budget_usd is not None else "--budget-tokens N"
    return (
        f"budget of {budget} reached: {_spent(store.spending(job.id), job)} spent, {left:,} tasks are left; "
        f"raise it with `prelabel jobs resume {job.id} {option}`"
    )


def raised(job: JobRow, limits: JobLimits, spending: Spending) -> JobLimits:
    """The job's limits with those that are given in their place. Raises `InputError` where that leaves no room."""
    new = JobLimits(
        budget_tokens=limits.budget_tokens or job.budget_tokens,
        budget_usd=limits.budget_usd or job.budget_usd,
        per_minute=limits.per_minute or job.per_minute,
    )
    unchanged = (new.budget_tokens, new.budget_usd) == (job.budget_tokens, job.budget_usd)
    if job.paused_by == "budget" and unchanged:
        raise InputError(f"Job {job.id} has reached its budget of {_worded(job)}: resume it with a larger one.")
    if new.budget_tokens is not None and new.budget_tokens <= spending.tokens:
        raise InputError(f"Job {job.id} has spent {spending.tokens:,} tokens: give a larger --budget-tokens.")
    if new.budget_usd is not None and new.budget_usd <= spending.usd:
        raise InputError(f"Job {job.id} has spent {spending.usd:.4f} USD: give a larger --budget-usd.")
    return new


def what_is_left(job: JobRow, spending: Spending) -> JobLimits:
    """Limits for another job on this one's account: what is not spent of its budget, and its pace."""
    tokens, usd = job.budget_tokens, job.budget_usd
    return JobLimits(
        budget_tokens=None if tokens is None else max(0, tokens - spending.tokens - spending.reserved_tokens),
        budget_usd=None if usd is None else max(0.0, usd - spending.usd - spending.reserved_usd),
        per_minute=job.per_minute,
    )


def _worded(job: JobRow) -> str:
    budgets = []
    if job.budget_usd is not None:
        budgets.append(f"{job.budget_usd:g} USD")
    if job.budget_tokens is not None:
        budgets.append(f"{job.budget_tokens:,} tokens")
    return " and ".join(budgets)


def _spent(spending: Spending, job: JobRow) -> str:
    spent = []
    if job.budget_usd is not None:
        spent.append(f"{spending.usd:.4f} USD")
    if job.budget_tokens is not None:
        spent.append(f"{spending.tokens:,} tokens")
    return " and ".join(spent)
