"""A job, or what is stored of a project, in numbers: for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.core.values import Usage
from backend.ports.audits import WITHHELD
from backend.ports.meters import (
    CACHED_REPLIES,
    LIMIT_WAIT_SECONDS,
    MODEL_CALLS,
    MODEL_TOKENS,
    TASKS_FINISHED,
    WRITEBACK_PREDICTIONS,
    Counter,
    Totals,
)
from backend.ports.store import Counts, JobRow, Store
from backend.services.batch_numbers import batch_numbers
from backend.services.progress import state_in_words

Cost = Callable[[Usage], "float | None"]  # US dollars; None: not known


def unknown_cost(_: Usage) -> float | None:
    """Where no price is known."""
    return None


def summary(store: Store, job: JobRow, cost: Cost = unknown_cost) -> dict[str, Any]:
    """A job in numbers, for the terminal and as JSON. Times in seconds."""
    counts = store.counts(job.project_id, job_id=job.id)
    return {
        "job": job.id,
        "project": job.project_id,
        "version": job.version,
        "state": state_in_words(job),
        "reason": job.reason,
        "taken_over_by": list(job.taken_over_by),
        "tasks": job.total,
        "reading": job.reading,
        "seconds": round((job.finished_at - job.created_at).total_seconds(), 2) if job.finished_at else None,
        **_limits(store, job),
        **in_words(counts),
        "batch": batch_numbers(store, job, cost),
        "skipped_because": dict(counts.classes.get("skipped", {})),
        "failed_because": dict(counts.classes.get("failed", {})),
        "cost_usd": cost(counts.usage),
        "latency_s": dict(counts.latency),
        "scores": list(counts.scores),
    }


def _limits(store: Store, job: JobRow) -> dict[str, Any]:
    """What the job may spend, and of a job with a budget what it has."""
    told: dict[str, Any] = {
        "budget_tokens": job.budget_tokens,
        "budget_usd": job.budget_usd,
        "max_per_minute": job.per_minute,
    }
    if job.has_budget:
        account = store.spending(job.id)
        told |= {
            "spent_tokens": account.tokens,
            "spent_usd": account.usd if job.budget_usd is not None else None,
            "reserved_tokens": account.reserved_tokens,
        }
    return told


def in_words(counts: Counts) -> dict[str, Any]:
    """Counts as a JSON object with the field names that the commands document."""
    answered = counts.states.get("done", 0) + counts.states.get("empty", 0)
    return {
        "by_state": dict(counts.states),
        "answered": answered,
        "invalid_replies": counts.states.get("invalid", 0),
        "written": counts.deliveries.get("written", 0) + counts.deliveries.get("handed", 0),
        "undelivered": counts.undelivered,
        "withheld": counts.deliveries.get(WITHHELD, 0),  # by the blind audit
        "outdated": counts.outdated,
        "labels": {control: dict(n) for control, n in counts.labels.items()},
        "rejected_answers": dict(counts.rejected),
        "scores_from": dict(counts.methods),
        "reading_steps": dict(counts.steps),
        "notes": dict(counts.notes),
        "errors": dict(counts.errors),
        "prompt_tokens": counts.usage.prompt_tokens,
        "completion_tokens": counts.usage.completion_tokens,
        "model_calls": counts.usage.calls,
        "replies_from_cache": counts.usage.from_cache,
    }


def chunk_in_numbers(counted: Totals) -> dict[str, Any]:
    """What a worker counted while it had one message, for its log line. Seconds are summed over the calls."""

    def total(counter: Counter, *last: str) -> int:
        return round(
            sum(n for key, n in counted.items() if key[0] == counter.name and key[len(key) - len(last) :] == last)
        )

    waited_s = sum(seconds for key, seconds in counted.items() if key[0] == LIMIT_WAIT_SECONDS.name)
    return {
        "by_state": {key[1]: round(n) for key, n in counted.items() if key[0] == TASKS_FINISHED.name},
        "calls": total(MODEL_CALLS, "answered"),
        "calls_failed": total(MODEL_CALLS) - total(MODEL_CALLS, "answered"),
        "calls_limited": total(MODEL_CALLS, "rate_limited"),
        "replies_from_cache": total(CACHED_REPLIES),
        "prompt_tokens": total(MODEL_TOKENS, "prompt"),
        "completion_tokens": total(MODEL_TOKENS, "completion"),
        "limit_wait_s": round(waited_s, 2),
        "written": total(WRITEBACK_PREDICTIONS),
    }
