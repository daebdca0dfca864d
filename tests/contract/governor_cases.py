"""What every governor must do. A test class inherits these and gives `world`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from backend.core.errors import LimitFarOff, QueueError
from backend.core.limits import RateLimits
from backend.ports.governor import CallEnd, Governor, GovernorLevel, Leave

USED = CallEnd(prompt_tokens=80, completion_tokens=20)
Play = Callable[[Governor], Awaitable[Any]]


@dataclass
class Clock:
    """Seconds that pass only by waiting."""

    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class World(Protocol):
    """Governors over one account, on one clock."""

    clock: Clock

    def play(self, play: Play, **settings: Any) -> Any:
        """Run `play` in a new event loop with a new governor of the same account."""
        ...

    def unreachable(self, play: Play) -> Any: ...


async def one(governor: Governor, end: CallEnd = USED, *, prompt: int = 80, answer: int = 20) -> Leave:
    leave = await governor.acquire("m", prompt_tokens=prompt, max_tokens=answer)
    await governor.settle(leave, end)
    return leave


def until_far_off(end: CallEnd | None, most: int = 2_000, *, prompt: int = 80, answer: int = 20) -> Play:
    """As many calls as are possible without a wait; how many that were."""

    async def play(governor: Governor) -> int:
        for number in range(most):
            try:
                leave = await governor.acquire("m", prompt_tokens=prompt, max_tokens=answer)
            except LimitFarOff:
                return number
            if end is not None:
                await governor.settle(leave, end)
        return most

    return play


class GovernorCases:
    """The contract. Fixture of the subclass: `world`."""

    def test_requests_in_a_minute_stay_at_the_limit(self, world: World) -> None:
        started, times = world.clock.now, []

        async def play(governor: Governor) -> None:
            while world.clock.now < started + 150:
                await one(governor)
                times.append(world.clock.now)

        world.play(play, requests_per_minute=30, longest_wait_s=100.0)
        assert max(sum(t <= other < t + 60 for other in times) for t in times) <= 30
        assert len(times) >= 0.9 * 30 * 150 / 60

    def test_tokens_in_a_minute_stay_at_the_limit(self, world: World) -> None:
        started, times = world.clock.now, []

        async def play(governor: Governor) -> None:
            while world.clock.now < started + 150:
                await one(governor, prompt=150, answer=20)
                times.append(world.clock.now)

        world.play(play, tokens_per_minute=6_000, longest_wait_s=100.0)
        assert max(sum(100 for other in times if t <= other < t + 60) for t in times) <= 6_000
        assert len(times) >= 0.9 * 60 * 150 / 60

    def test_a_long_wait_is_an_error_that_says_how_long(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            await one(governor, CallEnd(prompt_tokens=0, completion_tokens=0, limited=True, retry_after_s=3_600.0))
            with pytest.raises(LimitFarOff) as caught:
                await one(governor)
            assert caught.value.wait_s == pytest.approx(3_600.0, abs=1.0)

        world.play(play)
        assert world.clock.slept == []

    def test_a_pause_holds_for_all_and_a_shorter_one_does_not_end_it(self, world: World) -> None:
        def limited(seconds: float) -> CallEnd:
            return CallEnd(prompt_tokens=0, completion_tokens=0, limited=True, retry_after_s=seconds)

        async def two_at_once(governor: Governor) -> None:
            first = await governor.acquire("m", prompt_tokens=1, max_tokens=1)
            second = await governor.acquire("m", prompt_tokens=1, max_tokens=1)
            await governor.settle(first, limited(20.0))
            await governor.settle(second, limited(5.0))

        started = world.clock.now
        world.play(two_at_once)
        world.play(lambda governor: one(governor))
        assert 20.0 <= world.clock.now - started < 25.0

    def test_a_short_retry_after_is_waited_for(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            await one(governor, CallEnd(limited=True, retry_after_s=2.0))
            await one(governor)

        started = world.clock.now
        world.play(play)
        assert 2.0 <= world.clock.now - started < 5.0

    def test_what_never_reached_the_endpoint_is_given_back(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            for _ in range(100):
                await one(governor, CallEnd(counted=False))

        world.play(play, requests_per_minute=3, tokens_per_minute=300)
        assert world.clock.slept == []

    def test_nothing_is_settled_twice(self, world: World) -> None:
        async def play(governor: Governor) -> int:
            leave = await one(governor)
            for _ in range(50):
                await governor.settle(leave, CallEnd(counted=False))
            return await until_far_off(None)(governor)

        assert world.play(play, requests_per_minute=10, longest_wait_s=0.0) < 10

    def test_what_is_not_known_to_be_used_stays_spent(self, world: World) -> None:
        started, tokens = world.clock.now, []

        async def play(governor: Governor) -> None:
            while world.clock.now < started + 150:
                tokens.append((await one(governor, CallEnd())).tokens)

        world.play(play, tokens_per_minute=1_000, longest_wait_s=100.0)
        assert 0 < sum(tokens) <= 4 * 1_000  # in two and a half minutes, the last call over their end

    def test_limits_are_learnt_from_what_the_endpoint_says(self, world: World) -> None:
        told = CallEnd(prompt_tokens=80, completion_tokens=20, limits=RateLimits(requests=20, tokens=1_000_000))
        world.play(lambda governor: one(governor, told))
        assert 1 <= world.play(until_far_off(USED), longest_wait_s=0.0) <= 19

    def test_models_have_accounts_of_their_own(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            limited = CallEnd(limited=True, retry_after_s=3_600.0)
            await one(governor, limited)
            await governor.acquire("another", prompt_tokens=1, max_tokens=1)

        world.play(play)
        assert world.clock.slept == []

    def test_calls_of_a_worker_that_died_stay_spent_and_end(self, world: World) -> None:
        world.play(until_far_off(None), tokens_per_minute=1_000, longest_wait_s=10.0)
        assert world.play(until_far_off(None, 1), tokens_per_minute=1_000, longest_wait_s=0.0) == 0
        world.clock.now += 65
        assert world.play(until_far_off(None, 1), tokens_per_minute=1_000, longest_wait_s=0.0) == 1

    def test_the_level_of_an_account_that_nobody_used(self, world: World) -> None:
        level = world.play(lambda governor: governor.level("m"))
        assert (level.requests_per_minute, level.tokens_per_minute) == (None, None)
        assert (level.requests_used, level.tokens_used, level.in_flight, level.paused_s) == (0, 0, 0, 0.0)

    def test_the_level_tells_limits_use_and_calls_in_flight(self, world: World) -> None:
        async def play(governor: Governor) -> GovernorLevel:
            await one(governor, CallEnd(prompt_tokens=80, completion_tokens=20))
            await one(governor, CallEnd(counted=False))
            await governor.acquire("m", prompt_tokens=80, max_tokens=20)
            return await governor.level("m")

        level = world.play(play, requests_per_minute=600)
        assert (level.requests_per_minute, level.tokens_per_minute) == (600, None)
        assert (level.requests_used, level.in_flight) == (2, 1)
        assert 150 <= level.tokens_used <= 250

    def test_the_level_tells_learnt_limits_and_pauses_and_forgets_after_a_minute(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            told = RateLimits(requests=500, tokens=90_000)
            await one(governor, CallEnd(prompt_tokens=80, completion_tokens=20, limits=told))
            await one(governor, CallEnd(prompt_tokens=0, completion_tokens=0, limited=True, retry_after_s=25.0))

        world.play(play)
        level = world.play(lambda governor: governor.level("m"))
        assert (level.requests_per_minute, level.tokens_per_minute) == (500, 90_000)
        assert level.requests_used == 2
        assert level.paused_s == pytest.approx(25.0, abs=1.0)
        world.clock.now += 65
        later = world.play(lambda governor: governor.level("m"))
        assert (later.requests_used, later.tokens_used, later.paused_s) == (0, 0, 0.0)
        assert later.requests_per_minute == 500

    def test_looking_at_the_level_changes_nothing(self, world: World) -> None:
        async def look_often(governor: Governor) -> int:
            for _ in range(50):
                await governor.level("m")
            return await until_far_off(None)(governor)

        assert 1 <= world.play(look_often, requests_per_minute=10, longest_wait_s=0.0) <= 10

    def test_without_its_server_nothing_is_spent(self, world: World) -> None:
        async def play(governor: Governor) -> None:
            with pytest.raises(QueueError, match="REDIS_URL"):
                await governor.acquire("m", prompt_tokens=1, max_tokens=1)
            with pytest.raises(QueueError, match="REDIS_URL"):
                await governor.settle(Leave(id="x", model="m", tokens=1), USED)
            with pytest.raises(QueueError, match="REDIS_URL"):
                await governor.level("m")

        world.unreachable(play)


def run(play: Play, governor: Governor) -> Any:
    async def main() -> Any:
        return await play(governor)

    return asyncio.run(main())
