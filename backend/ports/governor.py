"""Leave to call a model, under limits that all workers on all machines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from backend.core.limits import RateLimits


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Leave for one call. It ends with `settle`, or by itself soon after its worker died."""

    id: str
    model: str
    tokens: int  # as many are reserved for it


@dataclass(frozen=True, kw_only=True)
class CallEnd:
    """How a call ended, as far as limits are concerned."""

    prompt_tokens: int | None = None  # really used; None: not known, so that what was reserved stays spent
    completion_tokens: int | None = None
    counted: bool = True  # False: it never reached the endpoint, or was never made
    limited: bool = False  # refused because of a limit or of too much load (429, 503)
    retry_after_s: float | None = None  # with `limited`: nobody calls for so long
    limits: RateLimits | None = None  # what the response's headers say


@dataclass(frozen=True, kw_only=True)
class GovernorLevel:
    """Where a model's limits stand, over all workers. None: not known, or not bounded."""

    requests_per_minute: int | None  # set, or learnt from the endpoint
    tokens_per_minute: int | None
    requests_used: int  # in the last minute (61 s), with those in flight
    tokens_used: int  # likewise; calls in flight with what is reserved for them
    in_flight: int
    window: int | None  # most calls in flight, where that bounds them
    paused_s: float  # nobody calls for so long; 0: now


Levels = Mapping[tuple[str, str], GovernorLevel]  # (endpoint, model) -> where the limits stand


class Governor(Protocol):
    """The governor of the calls to one endpoint with one key. Raises `QueueError` when it cannot be reached."""

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        """Wait until a call may be made. `prompt_tokens` is an estimate: how far such estimates are off, and how
        long answers are, is learnt from what `settle` says.

        Raises `LimitFarOff` instead of waiting long.
        """
        ...

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        """The call is over. Only the first time counts."""
        ...

    async def level(self, model: str) -> GovernorLevel:
        """How it stands. Changes nothing."""
        ...
