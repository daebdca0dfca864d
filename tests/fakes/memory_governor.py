"""The governor in memory: exact sliding windows, no pacing, nothing learnt but limits that are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.core.errors import LimitFarOff, QueueError
from backend.ports.governor import CallEnd, GovernorLevel, Leave

WINDOW_S = 60.0


@dataclass
class Call:
    """One that had leave."""

    since: float
    tokens: int
    over: bool = False
    counted: bool = True


@dataclass
class Account:
    """Of one model."""

    calls: dict[str, Call] = field(default_factory=dict)
    paused_until: float = 0.0
    requests: int | None = None  # limits a minute
    tokens: int | None = None


Accounts = defaultdict[str, Account]


class MemoryGovernor:
    """`backend.ports.governor.Governor`. `clock` gives seconds and `sleep` moves it; `accounts` may be shared."""

    def __init__(
        self,
        *,
        accounts: Accounts | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        sleep: Callable[[float], None] = lambda seconds: None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        longest_wait_s: float = 30.0,
    ) -> None:
        self.accounts = Accounts(Account) if accounts is None else accounts
        self.ends: list[CallEnd] = []  # as they were told, also those that no longer counted
        self.reachable = True
        self._clock, self._sleep = clock, sleep
        self._limits = requests_per_minute, tokens_per_minute
        self._longest_wait_s = longest_wait_s

    async def acquire(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Leave:
        self._reach()
        account, need, waited_s = self.accounts[model], prompt_tokens + max_tokens, 0.0
        while (wait_s := self._wait(account, need)) > 0:
            waited_s += wait_s
            if waited_s > self._longest_wait_s:
                raise LimitFarOff(f"No call to the model {model!r} for {wait_s:.0f} s.", wait_s=wait_s)
            self._sleep(wait_s)
        leave = Leave(id=str(len(account.calls)), model=model, tokens=need)
        account.calls[leave.id] = Call(since=self._clock(), tokens=need)
        return leave

    async def settle(self, leave: Leave, end: CallEnd) -> None:
        self._reach()
        self.ends.append(end)
        account = self.accounts[leave.model]
        if end.limits is not None:
            account.requests = end.limits.requests or account.requests
            account.tokens = end.limits.tokens or account.tokens
        if end.limited and end.retry_after_s:
            account.paused_until = max(account.paused_until, self._clock() + end.retry_after_s)
        call = account.calls[leave.id]
        if call.over:
            return
        call.over, call.counted = True, end.counted
        if end.prompt_tokens is not None and end.completion_tokens is not None:
            call.tokens = end.prompt_tokens + end.completion_tokens

    async def level(self, model: str) -> GovernorLevel:
        self._reach()
        account, now, (requests, tokens) = self.accounts[model], self._clock(), self._limits
        recent = [call for call in account.calls.values() if call.counted and call.since > now - WINDOW_S]
        return GovernorLevel(
            requests_per_minute=requests or account.requests,
            tokens_per_minute=tokens or account.tokens,
            requests_used=len(recent),
            tokens_used=sum(call.tokens for call in recent),
            in_flight=sum(not call.over for call in account.calls.values()),
            window=None,
            paused_s=max(0.0, account.paused_until - now),
        )

    def _reach(self) -> None:
        if not self.reachable:
            raise QueueError("Redis cannot be used: check REDIS_URL and that the server is running.")

    def _wait(self, account: Account, need: int) -> float:
        """Seconds until the call fits, or until there is more room than now."""
        now, (requests, tokens) = self._clock(), self._limits
        if account.paused_until > now:
            return account.paused_until - now
        requests, tokens = requests or account.requests, tokens or account.tokens
        recent = [call for call in account.calls.values() if call.counted and call.since > now - WINDOW_S]
        full = requests is not None and len(recent) >= requests
        full |= tokens is not None and sum(call.tokens for call in recent) + need > tokens
        return min(call.since for call in recent) + WINDOW_S - now if full and recent else 0.0
