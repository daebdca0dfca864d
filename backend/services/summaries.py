"""A job, or what is stored of a project, in numbers: for the terminal and as JSON."""

from __future__ import annotations

from typing import Any

from backend.ports.store import Counts, JobRow, Store


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
