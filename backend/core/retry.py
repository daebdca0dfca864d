"""Whether and when a failed model call is tried again: a decision, apart from the sleeping."""

from __future__ import annotations

from backend.core.errors import ModelError, ModelRateLimited

MAX_ATTEMPTS = 4
MAX_DELAY_S = 30.0


def retry_delay(error: ModelError, attempt: int, jitter: float) -> float | None:
    """Seconds to wait before trying again, or None to give up.

    `attempt` counts the calls made so far, from 1. `jitter` is a random number in [0, 1) from the caller.
    Exponential with full jitter (half fixed, half random); an endpoint's own Retry-After wins, up to MAX_DELAY_S.
    """
    if not error.transient or attempt >= MAX_ATTEMPTS:
        return None
    if isinstance(error, ModelRateLimited) and error.retry_after_s is not None:
        return min(error.retry_after_s, MAX_DELAY_S) + jitter
    backoff = min(0.5 * 2.0**attempt, MAX_DELAY_S)
    return backoff * (0.5 + 0.5 * jitter)
