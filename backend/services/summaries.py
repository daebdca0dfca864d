"""A job, or what is stored of a project, in numbers: for the terminal and as JSON."""

from __future__ import annotations

from typing import Any

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


def summary(store: Store, job: JobRow) -> dict[str, Any]:
    """A job in numbers, for the terminal and as JSON. Times in seconds."""
    counts = store.counts(job.project_id, job_id=job.id)
    return {
        "job": job.id,
        "project": job.project_id,
        "version": job.version,
        "state": job.state,
        "reason": job.reason,
        "tasks": job.total,
        "reading": job.reading,
        "seconds": round((job.finished_at - job.created_at).total_seconds(), 2) if job.finished_at else None,
        **in_words(counts),
        "batch": batch_numbers(store, job),
    }


def in_words(counts: Counts) -> dict[str, Any]:
    """Counts as a JSON object with the field names that the commands document."""
    answered = counts.states.get("done", 0) + counts.states.get("empty", 0)
    return {
        "by_state": dict(counts.states),
        "answered": answered,
        "invalid_replies": counts.states.get("invalid", 0),
        "written": counts.deliveries.get("written", 0) + counts.deliveries.get("handed", 0),
        "undelivered": counts.undelivered,
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
