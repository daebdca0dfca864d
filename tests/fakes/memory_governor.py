"""The governor in memory: exact sliding windows, no pacing, nothing learnt but from headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.core.errors import LimitFarOff, QueueError
from backend.ports.governor import CallEnd, Leave

WINDOW_S = 60.0


@dataclass
class Given:
    """One call that had leave."""

    since: float
    tokens: int
    over: bool = False
    counted: bool = True


class MemoryGovernor:
    """`backend.ports.governor.Governor`. `clock` gives seconds; waiting moves it with `sleep`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = lambda: 0.0,
        sleep: Callable[[float], None] = lambda seconds: None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        longest_wait_s: float = 30.0,
        lease_s: float = 300.0,
    ) -> None:
        self.given: dict[str, Given] = {}
        self.ends: list[CallEnd] = []  # as they were told, also those that no longer counted
        self.reachable = True
        self.paused_until = 0.0
        self._clock, self._sleep = clock, sleep
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._longest_wait_s, self._lease_s = longest_wait_s, lease_s

    @property
    def in_flight(self) -> int:
        return sum(not one.over and one.since + self._lease_s > self._clock() for one in self.given.values())

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        self._reach()
        need, waited_s = prompt_tokens + max_tokens, 0.0
        while (wait_s := self._wait(need)) > 0:
            waited_s += wait_s
            if waited_s > self._longest_wait_s:
                raise LimitFarOff(f"No call for {wait_s:.0f} s.", wait_s=wait_s)
            self._sleep(wait_s)
        leave = Leave(id=str(len(self.given)), model=model, tokens=need)
        self.given[leave.id] = Given(since=self._clock(), tokens=need)
        return leave

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        self._reach()
        self.ends.append(end)
        if end.limits is not None:
            self._requests = self._requests or end.limits.requests
            self._tokens = self._tokens or end.limits.tokens
        if end.limited and end.retry_after_s:
            self.paused_until = max(self.paused_until, self._clock() + end.retry_after_s)
        one = self.given[leave.id]
        if one.over:
            return
        one.over, one.counted = True, end.counted
        if end.prompt_tokens is not None and end.completion_tokens is not None:
            one.tokens = end.prompt_tokens + end.completion_tokens

    def _reach(self) -> None:
        if not self.reachable:
            raise QueueError("Redis cannot be used: check REDIS_URL and that the server is running.")

    def _wait(self, need: int) -> float:
        """Seconds until the call fits, or until there is more room."""
        now = self._clock()
        if self.paused_until > now:
            return self.paused_until - now
        recent = [one for one in self.given.values() if one.counted and one.since > now - WINDOW_S]
        full = self._requests is not None and len(recent) >= self._requests
        full |= self._tokens is not None and sum(one.tokens for one in recent) + need > max(self._tokens, need)
        return min(one.since for one in recent) + WINDOW_S - now if full else 0.0
