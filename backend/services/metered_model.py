"""Wrappers that count: a model's calls, what its cache saves, and what is waited for under its limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from backend.core.errors import LimitFarOff, ModelError
from backend.core.values import Reply, Request
from backend.ports.governor import CallEnd, Governor, GovernorLevel, Leave
from backend.ports.meters import (
    CACHED_REPLIES,
    LIMIT_PUT_OFFS,
    LIMIT_WAIT_SECONDS,
    MODEL_CALL_SECONDS,
    MODEL_CALLS,
    MODEL_COST_USD,
    MODEL_RETRIES,
    MODEL_TOKENS,
    Meters,
)
from backend.services.wrapped_model import WrappedModel

_log = logging.getLogger(__name__)


def _unknown(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """Where no price is known."""
    return None


@dataclass(frozen=True, kw_only=True)
class MeteredModel(WrappedModel):
    """`backend.ports.model.Model`, the innermost wrapper: each call that is really made is counted.

    The few tiny calls that find out what an endpoint accepts are not. `log_content`: prompts and replies go to the log
    at DEBUG. `price`: US dollars of one call, by model and tokens; None: not known.
    """

    meters: Meters
    price: Callable[[str, int, int], float | None] = _unknown
    log_content: bool = False
    clock: Callable[[], float] = monotonic
    _failed: set[str] = field(default_factory=set)  # keys of requests whose last call failed

    async def ask(self, request: Request) -> Reply:
        if request.key in self._failed:
            self.meters.add(MODEL_RETRIES, request.model)
        if self.log_content:
            _log.debug("prompt", extra={"messages": [[m.role, m.content] for m in request.messages]})
        started = self.clock()
        try:
            reply = await self.model.ask(request)
        except ModelError as error:
            self._failed.add(request.key)
            self.meters.add(MODEL_CALLS, request.model, error.kind)
            raise
        except asyncio.CancelledError:
            self.meters.add(MODEL_CALLS, request.model, "cancelled")
            raise
        self._failed.discard(request.key)
        self.meters.add(MODEL_CALLS, request.model, "answered")
        self.meters.observe(MODEL_CALL_SECONDS, self.clock() - started, request.model)
        self.meters.add(MODEL_TOKENS, request.model, "prompt", by=reply.usage.prompt_tokens)
        self.meters.add(MODEL_TOKENS, request.model, "completion", by=reply.usage.completion_tokens)
        cost_usd = self.price(request.model, reply.usage.prompt_tokens, reply.usage.completion_tokens)
        if cost_usd:
            self.meters.add(MODEL_COST_USD, request.model, by=cost_usd)
        if self.log_content:
            _log.debug("reply", extra={"reply": reply.text})
        return reply


@dataclass(frozen=True, kw_only=True)
class MeteredReplies(WrappedModel):
    """`backend.ports.model.Model`, the outermost wrapper: what the cache answers is counted."""

    meters: Meters

    async def ask(self, request: Request) -> Reply:
        reply = await self.model.ask(request)
        if reply.cached:
            self.meters.add(CACHED_REPLIES, request.model)
        return reply


@dataclass(frozen=True, kw_only=True)
class MeteredGovernor:
    """`backend.ports.governor.Governor`: the seconds that calls wait for leave are counted."""

    governor: Governor
    meters: Meters
    clock: Callable[[], float] = monotonic

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        started = self.clock()
        try:
            return await self.governor.acquire(model, prompt_tokens=prompt_tokens, max_tokens=max_tokens)
        except LimitFarOff:
            self.meters.add(LIMIT_PUT_OFFS, model)
            raise
        finally:
            self.meters.add(LIMIT_WAIT_SECONDS, model, by=self.clock() - started)

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        await self.governor.settle(leave, end)

    async def level(self, model: str) -> GovernorLevel:
        return await self.governor.level(model)
