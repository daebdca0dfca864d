"""The governor's accounts in Redis, as one Lua script: whoever asks, on whichever machine, is counted once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import uniform
from typing import Any
from uuid import uuid4

import redis.asyncio
from redis.exceptions import RedisError

from backend.adapters.rq_queue import away, place
from backend.core.errors import LimitFarOff, QueueError
from backend.core.limits import RateLimits
from backend.core.values import canonical_hash
from backend.ports.governor import CallEnd, GovernorLevel, Leave

_log = logging.getLogger(__name__)
_SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
LONGEST_WAIT_S = 30.0
LEASE_S = 20.0


class RedisGovernor:
    """`backend.ports.governor.Governor`. One per event loop: it holds connections.

    `lease_s`: how long a call stays in flight after its worker died; while that lives it is renewed. Limits that are
    None are learnt. `now` is the clock in tests; None: the server's own.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str,
        api_key: str,
        interactive: bool,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        lease_s: float = LEASE_S,
        longest_wait_s: float = LONGEST_WAIT_S,
        now: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        try:
            # What the client sends again after a lost answer has the same id, and counts once.
            self._connection = redis.asyncio.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5)
        except ValueError as error:
            raise QueueError("REDIS_URL cannot be used: write redis://HOST:PORT/NUMBER.") from error
        self._script = self._connection.register_script(_SCRIPT)
        self._account = canonical_hash([endpoint, hashlib.sha256(api_key.encode()).hexdigest()])[:16]
        self._interactive = interactive
        self._limits = (_text(requests_per_minute), _text(tokens_per_minute))
        self._lease_s = lease_s
        self._longest_wait_s = longest_wait_s
        self._now = now
        self._sleep = sleep
        self._turn = asyncio.Lock()  # one of this process asks Redis at a time, the others wait in order
        self._settled = asyncio.Event()  # a call of this process ended: there may be room now
        self._held: dict[str, str] = {}  # leave -> model, of the calls in flight
        self._renewing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._connection.aclose()

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        limit = time.monotonic() + self._longest_wait_s
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await self._turn.acquire()
        except TimeoutError:
            raise _far_off(model, "others wait for it", self._longest_wait_s / 2) from None
        try:
            while True:
                self._settled.clear()
                leave, wait_s, why = await self._ask(model, prompt_tokens, max_tokens)
                if leave is not None:
                    self._hold(leave)
                    return leave
                if wait_s > self._longest_wait_s or time.monotonic() + wait_s > limit:
                    raise _far_off(model, why, wait_s)
                await self._wait(wait_s)
        finally:
            self._turn.release()

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        await self._settle(leave.model, leave.id, end)

    async def level(self, model: str) -> GovernorLevel:
        state_key, _, leases_key, _ = self.names(model)
        try:
            stored: dict[Any, Any] = await self._connection.hgetall(state_key)
            now_s, now_us = await self._connection.time()
            now = self._now() if self._now is not None else now_s + now_us / 1e6
            in_flight = int(await self._connection.zcount(leases_key, now, "+inf"))
        except RedisError as error:
            raise away(place(self._connection.connection_pool.connection_kwargs), error) from error
        state = {name.decode(): float(value) for name, value in stored.items()}
        limits = [
            float(given) if given else state.get(name)
            for given, name in zip(self._limits, ("limit_r", "limit_t"), strict=True)
        ]
        bounded = "cut_at" in state or not any(limits)
        return GovernorLevel(
            requests_per_minute=limits[0],
            tokens_per_minute=limits[1],
            in_flight=in_flight,
            window=state.get("window") if bounded else None,
            paused_s=max(0.0, state.get("pause", 0.0) - now),
        )

    def _hold(self, leave: Leave) -> None:
        self._held[leave.id] = leave.model
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 4)
            for model in set(self._held.values()):
                held = [leave_id for leave_id, of in self._held.items() if of == model]
                with suppress(QueueError):  # the next call tells of it
                    await self._run(model, "renew", "", str(self._lease_s), *held)

    async def _settle(self, model: str, leave_id: str, end: CallEnd) -> None:
        self._held.pop(leave_id, None)
        limits = end.limits or RateLimits()
        pauses = [pause_s for pause_s in (end.retry_after_s if end.limited else None, limits.pause_s) if pause_s]
        await self._run(
            model,
            "settle",
            leave_id,
            "1" if end.counted else "0",
            _text(end.prompt_tokens),
            _text(end.completion_tokens),
            "1" if end.limited else "0",
            _text(max(pauses) if pauses else None),
            *map(_text, (limits.requests, limits.tokens, limits.requests_left, limits.tokens_left)),
        )
        self._settled.set()

    async def _ask(self, model: str, prompt_tokens: int, max_tokens: int) -> tuple[Leave | None, float, str]:
        """Leave, or in how many seconds to ask again and why."""
        leave_id = uuid4().hex
        own = (str(prompt_tokens), str(max_tokens), "1" if self._interactive else "0", str(self._lease_s))
        try:
            answer = await self._run(model, "acquire", leave_id, *own)
        except asyncio.CancelledError:
            # It may have been granted, and there is nobody left to make the call.
            with suppress(QueueError):
                await self._settle(model, leave_id, CallEnd(counted=False))
            raise
        kind, value = answer[0].decode(), answer[1].decode()
        if kind == "go":
            return Leave(id=leave_id, model=model, tokens=int(value)), 0.0, ""
        return None, float(value), answer[2].decode()

    async def _run(self, model: str, operation: str, *arguments: str) -> list[Any]:
        now = "" if self._now is None else repr(self._now())
        try:
            found: list[Any] = await self._script(
                keys=self.names(model), args=[operation, now, *self._limits, *arguments]
            )
        except RedisError as error:
            raise away(place(self._connection.connection_pool.connection_kwargs), error) from error
        return found

    def names(self, model: str) -> list[str]:
        """Of the account's keys. The braces keep all of them on one node of a cluster."""
        name = f"prelabel:governor:{{{canonical_hash([self._account, model])[:16]}}}"
        return [f"{name}:{part}" for part in ("state", "slots", "leases", "reserved")]

    async def _wait(self, seconds: float) -> None:
        seconds *= uniform(1.0, 1.1)  # noqa: S311  - so that not all processes ask at once
        if self._sleep is not None:
            await self._sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()


def _far_off(model: str, why: str, wait_s: float) -> LimitFarOff:
    reasons = {
        "pause": "the endpoint asked for a pause",
        "limit": "the limit is used up",
        "window": "too many in flight",
    }
    told = reasons.get(why, why)
    return LimitFarOff(f"No call to the model {model!r} for about {wait_s:.0f} s: {told}.", wait_s=wait_s)


def _text(number: float | None) -> str:
    return "" if number is None else str(number)
