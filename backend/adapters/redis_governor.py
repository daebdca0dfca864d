"""The governor's accounts in Redis, as one Lua script: whoever asks, on whichever machine, is counted once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
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

_SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
LONGEST_WAIT_S = 30.0
LEASE_S = 20.0
_LEDGER_S, _SLOT_S, _FIRST_WINDOW = 61.0, 0.25, 8  # as in the script
_AT_ONCE = 64  # calls that ask in one script


@dataclass(eq=False)
class _Asked:
    """A call that waits for leave."""

    operation: list[Any]
    deadline: float  # of the monotonic clock
    leave: asyncio.Future[Leave]

    @property
    def id(self) -> str:
        return str(self.operation[1])


@dataclass
class _Line:
    """What this process wants of one model's account. Its pump asks Redis for all of it at once, call after call."""

    asked: deque[_Asked] = field(default_factory=deque)  # in the order in which they came
    ended: list[tuple[list[Any], asyncio.Future[None]]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)  # something ended or came: there may be room now
    pump: asyncio.Task[None] | None = None


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
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)  # by model
        self._held: dict[str, str] = {}  # leave -> model, of the calls in flight
        self._renewing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Also of calls that were cancelled while they waited: what they were granted is given back first."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        for line in self._lines.values():
            line.news.set()
            if line.pump is not None:
                await asyncio.gather(line.pump, return_exceptions=True)
        await self._connection.aclose()

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        leave: asyncio.Future[Leave] = asyncio.get_running_loop().create_future()
        operation = ["acquire", uuid4().hex, prompt_tokens, max_tokens, self._interactive, self._lease_s]
        line = self._lines[model]
        deadline = time.monotonic() + self._longest_wait_s
        line.asked.append(_Asked(operation=operation, deadline=deadline, leave=leave))
        self._start(model, line)
        return await leave

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        await self._end(leave.model, leave.id, end)

    def _end(self, model: str, leave_id: str, end: CallEnd) -> asyncio.Future[None]:
        self._held.pop(leave_id, None)
        limits = end.limits or RateLimits()
        pauses = [pause_s for pause_s in (end.retry_after_s if end.limited else None, limits.pause_s) if pause_s]
        told = (limits.requests, limits.tokens, limits.requests_left, limits.tokens_left)
        numbers = (end.prompt_tokens, end.completion_tokens, max(pauses, default=None), *told)
        prompt, answer, *rest = (False if number is None else number for number in numbers)
        operation = ["settle", leave_id, end.counted, prompt, answer, end.limited, *rest]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines[model]
        line.ended.append((operation, done))
        line.news.set()
        self._start(model, line)
        return done

    def _start(self, model: str, line: _Line) -> None:
        if line.pump is None or line.pump.done():
            line.pump = asyncio.create_task(self._pump(model, line))

    async def _pump(self, model: str, line: _Line) -> None:
        """Ask Redis until nobody waits any more. First what has ended: it makes room."""
        while line.asked or line.ended:
            line.news.clear()
            ended, line.ended = line.ended, []
            line.asked = deque(one for one in line.asked if not one.leave.done())  # some were cancelled
            asked = list(islice(line.asked, _AT_ONCE))
            operations = [*(operation for operation, _ in ended), *(one.operation for one in asked)]
            try:
                answers = await self._run(model, operations) if operations else []
            except QueueError as error:
                _fail([*(done for _, done in ended), *(one.leave for one in line.asked)], error)
                line.asked.clear()
                continue
            for _, done in ended:
                if not done.done():
                    done.set_result(None)
            wait_s = self._answered(model, line, asked, answers[len(ended) :])
            if wait_s > 0:
                await self._wait(line, wait_s)

    def _answered(self, model: str, line: _Line, asked: Sequence[_Asked], answers: Sequence[Any]) -> float:
        """Tell those who asked; returns in how many seconds to ask again for the first one that must wait."""
        for one, answer in zip(asked, answers, strict=True):
            if answer[0] == b"wait":
                wait_s, why = float(answer[1]), answer[2].decode()
                self._give_up(model, line, wait_s, why)
                return wait_s if line.asked else 0.0
            line.asked.popleft()
            if one.leave.done():  # cancelled while it asked: there is nobody left to make the call
                self._end(model, one.id, CallEnd(counted=False)).cancel()  # nobody waits for that either
                continue
            self._hold(model, one.id)
            one.leave.set_result(Leave(id=one.id, model=model, tokens=int(answer[1])))
        return 0.0

    def _give_up(self, model: str, line: _Line, wait_s: float, why: str) -> None:
        """For those who would wait for too long."""
        late = time.monotonic() + wait_s
        for one in [one for one in line.asked if wait_s > self._longest_wait_s or late > one.deadline]:
            line.asked.remove(one)
            _fail([one.leave], _far_off(model, why, wait_s))

    def _hold(self, model: str, leave_id: str) -> None:
        self._held[leave_id] = model
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 4)
            for model in set(self._held.values()):
                held = [leave_id for leave_id, of in self._held.items() if of == model]
                with suppress(QueueError):  # the next call tells of it
                    await self._run(model, [["renew", self._lease_s, *held]])

    async def _run(self, model: str, operations: Sequence[Sequence[Any]]) -> list[Any]:
        now = "" if self._now is None else repr(self._now())
        try:
            found: list[Any] = await self._script(
                keys=self.names(model), args=[now, *self._limits, json.dumps(operations)]
            )
        except RedisError as error:
            raise away(place(self._connection.connection_pool.connection_kwargs), error) from error
        return found

    async def level(self, model: str) -> GovernorLevel:
        """From the accounts as they are: the script is not run, and nothing is refilled, ended or kept alive."""
        state_key, slots_key, leases_key, _ = self.names(model)
        try:
            async with self._connection.pipeline(transaction=True) as reads:
                for key in (state_key, slots_key):
                    reads.hgetall(key)
                reads.zrange(leases_key, 0, -1, withscores=True)
                reads.time()
                state, slots, leases, (seconds, micros) = await reads.execute()
        except RedisError as error:
            raise away(place(self._connection.connection_pool.connection_kwargs), error) from error
        now = seconds + micros / 1e6 if self._now is None else self._now()
        return _level(state, slots, [ends for _, ends in leases], now, self._limits)

    def names(self, model: str) -> list[str]:
        """Of the account's keys. The braces keep all of them on one node of a cluster."""
        name = f"prelabel:governor:{{{canonical_hash([self._account, model])[:16]}}}"
        return [f"{name}:{part}" for part in ("state", "slots", "leases", "reserved")]

    async def _wait(self, line: _Line, seconds: float) -> None:
        seconds *= uniform(1.0, 1.1)  # noqa: S311  - so that not all processes ask at once
        if self._sleep is not None:
            await self._sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await line.news.wait()


def _fail(answers: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)


def _level(
    state: Mapping[bytes, bytes],
    slots: Mapping[bytes, bytes],
    leases: Sequence[float],
    now: float,
    limits: tuple[str, str],
) -> GovernorLevel:
    known = {name.decode(): float(value) for name, value in state.items()}
    requests = float(limits[0]) if limits[0] else known.get("limit_r")
    tokens = float(limits[1]) if limits[1] else known.get("limit_t")
    first_slot = math.floor((now - _LEDGER_S) / _SLOT_S)
    used = {"r": 0.0, "t": 0.0}
    for name, value in slots.items():
        kind, slot = name[:1].decode(), int(name[1:])
        if slot >= first_slot:
            used[kind] += float(value)
    bounded = "cut_at" in known or (requests is None and tokens is None)
    return GovernorLevel(
        requests_per_minute=None if requests is None else int(requests),
        tokens_per_minute=None if tokens is None else int(tokens),
        requests_used=max(0, round(used["r"])),
        tokens_used=max(0, round(used["t"])),
        in_flight=sum(ends > now for ends in leases),
        window=math.floor(known.get("window", _FIRST_WINDOW)) if bounded else None,
        paused_s=max(0.0, known.get("pause", 0.0) - now),
    )


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
