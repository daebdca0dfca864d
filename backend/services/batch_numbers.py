"""What a job's batches have come to, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from backend.core.values import Usage
from backend.ports.batches import BatchState
from backend.ports.store import BATCH, JobRow, Store


def batch_numbers(
    store: Store, job: JobRow, cost: Callable[[Usage], float | None] = lambda usage: None
) -> dict[str, Any] | None:
    """For JSON; None for a job that does not go through batches. Tokens are those of all batches that were read;
    `cost` is that of live calls, in US dollars: what a provider takes off for batches is not known here."""
    if job.lane != BATCH:
        return None
    rows = store.batches(job.id)
    out = [row for row in rows if row.state is BatchState.SUBMITTED]
    submitted = min((row.submitted_at for row in out if row.submitted_at), default=None)
    usage = sum((row.usage for row in rows), Usage())
    return {
        "batches": len(rows),
        "rounds": max((row.round for row in rows), default=0),
        "requests": sum(row.requests for row in rows),
        "answered": sum(row.answered for row in rows),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "usd_at_live_price": cost(replace(usage, calls=usage.calls or sum(row.answered for row in rows))),
        "waiting": {
            "submitted_at": submitted.isoformat(),
            "done": sum(min(row.done, row.requests) for row in out),
            "of": sum(row.requests for row in out),
        }
        if submitted
        else None,
    }


def batch_spent(numbers: Mapping[str, Any]) -> str:
    """One phrase: what was paid through batches."""
    return (
        f"{numbers['requests']:,} requests, {numbers['answered']:,} answered, "
        f"{numbers['prompt_tokens']:,} tokens in, {numbers['completion_tokens']:,} out"
    )
