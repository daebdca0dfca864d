"""The governor's contract over a real Redis, and that no sliding minute of an endpoint is ever broken."""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
import redis as redis_client
from hypothesis import given
from hypothesis import strategies as st

from backend.adapters.redis_governor import RedisGovernor
from backend.core.errors import LimitFarOff, QueueError
from backend.core.limits import RateLimits
from backend.ports.governor import CallEnd, Governor, Leave
from scripts.processes import free_port
from scripts.services import Redis
from tests.contract.governor_cases import USED, Clock, GovernorCases, Play, one, run, until_far_off

pytestmark = pytest.mark.integration

LIMITED = CallEnd(prompt_tokens=0, completion_tokens=0, limited=True)


class RedisWorld:
    """Governors of one endpoint that no other test has."""

    def __init__(self, url: str) -> None:
        self.url, self.clock, self.endpoint = url, Clock(), uuid4().hex

    def play(self, play: Play, **settings: Any) -> Any:
        return self._run(self.url, play, **settings)

    def unreachable(self, play: Play) -> Any:
        return self._run(f"redis://127.0.0.1:{free_port()}/0", play)

    def governor(self, url: str = "", **settings: Any) -> RedisGovernor:
        async def sleep(seconds: float) -> None:
            self.clock.sleep(seconds)

        given = {"api_key": "secret", "interactive": False, "now": self.clock, "sleep": sleep, **settings}
        return RedisGovernor(url or self.url, endpoint=self.endpoint, **given)

    def _run(self, url: str, play: Play, **settings: Any) -> Any:
        async def main(_: Governor) -> Any:
            governor = self.governor(url, **settings)
            try:
                return await play(governor)
            finally:
                await governor.close()

        return run(main, None)  # type: ignore[arg-type]


@pytest.fixture
def world(redis: Redis) -> RedisWorld:
    return RedisWorld(redis.url)


class TestRedisGovernor(GovernorCases):
    @pytest.fixture
    def world(self, redis: Redis) -> RedisWorld:
        return RedisWorld(redis.url)


@dataclass
class SlidingMinute:
    """An endpoint that counts what arrives, at most a second after it had leave."""

    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def arrive(self, at: float, tokens: int) -> None:
        insort(self.arrivals, (at, tokens))

    def most(self) -> tuple[int, int]:
        """Of requests and of tokens, in any 60 s."""
        requests = tokens = 0
        for i, (start, _) in enumerate(self.arrivals):
            inside = [used for at, used in self.arrivals[i:] if at < start + 60.0]
            requests, tokens = max(requests, len(inside)), max(tokens, sum(inside))
        return requests, tokens


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "end", "end", "die", "wait"]),
        st.floats(0, 1),  # delay until arrival; share of what was reserved that is used; wait
        st.integers(1, 400),
    ),
    max_size=120,
)


@given(steps=STEPS, requests=st.integers(1, 60), tokens=st.integers(500, 9_000), interactive=st.booleans())
def test_no_sliding_minute_is_broken(
    redis: Redis, steps: list[tuple[str, float, int]], requests: int, tokens: int, interactive: bool
) -> None:
    """However calls are made, ended, lost and settled late, as long as none uses more than was reserved."""
    world, minute = RedisWorld(redis.url), SlidingMinute()
    open_calls: list[tuple[Leave, int]] = []

    async def play(governor: Governor) -> None:
        for what, share, size in steps:
            if what == "call":
                try:
                    leave = await governor.acquire("m", prompt_tokens=size, max_tokens=50)
                except LimitFarOff:
                    world.clock.now += 5.0
                    continue
                used = round(share * leave.tokens)
                minute.arrive(world.clock.now + share, used)
                open_calls.append((leave, used))
            elif what == "end" and open_calls:
                leave, used = open_calls.pop(size % len(open_calls))
                end = CallEnd(prompt_tokens=used, completion_tokens=0)
                await governor.settle(leave, end)
                await governor.settle(leave, CallEnd(counted=False))  # not a second time
            elif what == "die" and open_calls:
                open_calls.pop(size % len(open_calls))  # its worker is gone
            else:
                world.clock.now += share * size / 10

    settings = {"interactive": interactive, "longest_wait_s": 3.0, "lease_s": 20.0}
    world.play(play, requests_per_minute=requests, tokens_per_minute=tokens, **settings)
    most_requests, most_tokens = minute.most()
    assert most_requests <= requests
    assert most_tokens <= tokens


@given(ends=st.lists(st.tuples(st.sampled_from(["used", "back", "open"]), st.integers(0, 900)), max_size=40))
def test_the_ledger_is_what_was_used_and_what_is_open(redis: Redis, ends: list[tuple[str, int]]) -> None:
    """Also where more was used than was reserved."""
    world = RedisWorld(redis.url)

    async def play(governor: Governor) -> int:
        expected = 0
        for how, used in ends:
            leave = await governor.acquire("m", prompt_tokens=100, max_tokens=20)
            if how == "open":
                expected += leave.tokens
            else:
                expected += used if how == "used" else 0
                end = CallEnd(prompt_tokens=used, completion_tokens=0, counted=how == "used")
                await governor.settle(leave, end)
        return expected

    expected = world.play(play, requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000)
    state = stored(redis, world)
    assert float(state.get("sum_t", 0)) == expected
    assert float(state.get("sum_r", 0)) == sum(how != "back" for how, _ in ends)


def stored(redis: Redis, world: RedisWorld) -> dict[str, str]:
    """The state hash of the only account of this world."""
    governor = world.governor()
    name = governor.names("m")[0]
    asyncio.run(governor.close())
    with redis_client.Redis.from_url(redis.url, decode_responses=True) as connection:
        found = connection.hgetall(name)
        assert isinstance(found, dict)
        return found


def test_the_key_is_not_in_redis(redis: Redis, world: RedisWorld) -> None:
    world.play(lambda governor: one(governor), api_key="sk-very-secret")
    with redis_client.Redis.from_url(redis.url, decode_responses=True) as connection:
        names = list(connection.scan_iter("prelabel:governor:*"))
    assert names
    assert not any("sk-very" in name for name in names)


def test_everything_of_an_account_ends_by_itself(redis: Redis, world: RedisWorld) -> None:
    world.play(until_far_off(None, 3))
    governor = world.governor()
    with redis_client.Redis.from_url(redis.url) as connection:
        assert all(0 < int(connection.ttl(name)) <= 172_800 for name in governor.names("m"))
    asyncio.run(governor.close())


def test_calls_are_spread_over_the_minute(world: RedisWorld) -> None:
    times: list[float] = []

    async def play(governor: Governor) -> None:
        for _ in range(300):
            await one(governor)
            times.append(world.clock.now)

    world.play(play, requests_per_minute=600)
    per_second = [sum(t <= other < t + 1 for other in times) for t in times]
    assert max(per_second) <= 17  # a burst of 6, and 9.7 a second
    assert len(times) / (times[-1] - times[0]) >= 0.96 * 10


def test_how_far_estimates_are_off_is_learnt(world: RedisWorld) -> None:
    async def play(governor: Governor) -> int:
        for _ in range(100):
            await one(governor, CallEnd(prompt_tokens=100, completion_tokens=10), prompt=160, answer=512)
        return (await governor.acquire("m", prompt_tokens=320, max_tokens=512)).tokens

    assert world.play(play) == pytest.approx(210, abs=2)


def test_an_answer_is_never_expected_to_be_longer_than_it_may(world: RedisWorld) -> None:
    async def play(governor: Governor) -> int:
        await one(governor, CallEnd(prompt_tokens=100, completion_tokens=400), prompt=100, answer=512)
        return (await governor.acquire("m", prompt_tokens=100, max_tokens=8)).tokens

    assert world.play(play) == 108


class TestWindow:
    """How many calls are in flight where no limit is known."""

    def test_it_starts_small_and_doubles_each_round_trip(self, world: RedisWorld) -> None:
        assert [self.round_trip(world) for _ in range(4)] == [8, 16, 32, 64]

    def test_a_refusal_halves_it_and_the_others_of_its_round_trip_do_not(self, world: RedisWorld) -> None:
        for _ in range(2):
            self.round_trip(world)
        assert self.round_trip(world, refused=8) == 32
        assert self.round_trip(world) == 16

    def test_it_grows_by_one_each_round_trip_after_that(self, world: RedisWorld) -> None:
        for _ in range(2):
            self.round_trip(world)
        self.round_trip(world, refused=1)
        sizes = [self.round_trip(world) for _ in range(5)]
        assert sizes[0] == 16
        assert all(0 <= after - before <= 1 for before, after in pairwise(sizes))
        assert sizes[-1] >= 19

    def test_where_it_was_refused_before_it_grows_slowly_and_is_cut_a_little(self, world: RedisWorld) -> None:
        sizes = []
        for _ in range(60):
            size = self.round_trip(world, refused_above=20)
            sizes.append(size)
        settled = sizes[20:]
        assert min(settled) >= 17
        assert max(settled) <= 22
        assert sum(min(size, 20) for size in settled) >= 0.9 * 20 * len(settled)
        assert sum(max(0, size - 20) for size in settled) <= 0.01 * sum(settled)

    def test_calls_of_a_worker_that_died_do_not_stay_in_flight(self, world: RedisWorld) -> None:
        assert world.play(until_far_off(None), longest_wait_s=0.0, lease_s=50.0) == 8
        world.clock.now += 49
        assert world.play(until_far_off(None), longest_wait_s=0.0) == 0
        world.clock.now += 2
        assert world.play(until_far_off(None), longest_wait_s=0.0) == 8

    def test_it_does_not_grow_while_something_else_bounds_the_calls(self, world: RedisWorld) -> None:
        async def one_by_one(governor: Governor) -> None:
            for _ in range(50):
                await one(governor)

        world.play(one_by_one)
        assert self.round_trip(world) == 8

    def test_with_a_known_limit_it_begins_with_the_first_refusal(self, world: RedisWorld) -> None:
        assert self.round_trip(world, requests_per_minute=100_000) == 1_000
        assert self.round_trip(world, refused=1, requests_per_minute=100_000) == 1_000
        assert self.round_trip(world, requests_per_minute=100_000) == 500

    def test_an_interactive_call_is_not_behind_a_full_window(self, world: RedisWorld) -> None:
        world.play(until_far_off(None), longest_wait_s=0.0)
        assert world.play(until_far_off(None), longest_wait_s=0.0, interactive=True) == 1

    def round_trip(self, world: RedisWorld, *, refused: int = 0, refused_above: int = 100_000, **settings: Any) -> int:
        """As many calls as may be in flight, all at once, a second long; how many that were."""

        async def play(governor: Governor) -> int:
            leaves: list[Leave] = []
            try:
                while len(leaves) < 1_000:
                    leaves.append(await governor.acquire("m", prompt_tokens=80, max_tokens=20))
            except LimitFarOff:
                pass
            over = max(refused, len(leaves) - refused_above)
            for number, leave in enumerate(leaves):
                if number < over:
                    world.clock.now += 0.001
                    await governor.settle(leave, LIMITED)
            world.clock.now += 1.0
            for leave in leaves[over:]:
                await governor.settle(leave, USED)
            world.clock.now += 0.01
            return len(leaves)

        found: int = world.play(play, longest_wait_s=0.0, **settings)
        return found


def test_a_call_stays_in_flight_while_its_worker_lives_and_not_much_longer(world: RedisWorld) -> None:
    """By the real clock: the window of eight is full of calls that last."""
    settings = {"now": None, "sleep": None, "lease_s": 0.6, "longest_wait_s": 0.0}

    async def play(governor: Governor) -> None:
        assert await until_far_off(None)(governor) == 8
        await asyncio.sleep(1.5)
        assert await until_far_off(None)(governor) == 0

    world.play(play, **settings)
    assert world.play(until_far_off(None), **settings) == 0
    time.sleep(0.8)
    assert world.play(until_far_off(None), **settings) == 8


def test_an_interactive_call_is_not_behind_bulk_calls(world: RedisWorld) -> None:
    """Bulk calls that take all they can leave room for one that somebody waits for, at once."""
    settings = {"requests_per_minute": 60, "tokens_per_minute": 12_000, "longest_wait_s": 0.0}
    for _ in range(300):
        world.play(until_far_off(USED), **settings)
        assert world.play(until_far_off(USED, 1), interactive=True, **settings) == 1
        world.clock.now += 5.0


def test_what_is_left_for_others_of_the_same_key_counts(world: RedisWorld) -> None:
    told = CallEnd(prompt_tokens=80, completion_tokens=20, limits=RateLimits(requests=6_000, requests_left=0))
    world.play(lambda governor: one(governor, told))
    world.play(lambda governor: one(governor, told))
    assert world.play(until_far_off(USED), longest_wait_s=0.0) == 0


def test_a_call_larger_than_the_limit_is_left_to_the_endpoint_to_refuse(world: RedisWorld) -> None:
    leave = world.play(lambda governor: one(governor, LIMITED, prompt=5_000), tokens_per_minute=1_000)
    assert leave.tokens == 5_020


def test_a_clock_that_steps_back_stops_nobody_for_long(world: RedisWorld) -> None:
    world.play(until_far_off(USED), requests_per_minute=10, longest_wait_s=0.0)
    world.clock.now -= 100_000
    before = world.clock.now
    world.play(lambda governor: one(governor), requests_per_minute=10)
    assert world.clock.now - before < 30


def test_the_server_s_own_clock_decides(world: RedisWorld) -> None:
    governor_settings = {"now": None, "sleep": None, "requests_per_minute": 6_000, "longest_wait_s": 1.0}
    assert world.play(until_far_off(USED, 70), **governor_settings) == 70


def test_calls_that_come_together_ask_together(redis: Redis, world: RedisWorld) -> None:
    """And each gets its own leave, in order: the first ones go, the rest waits."""
    granted: list[int] = []

    async def play(governor: Governor) -> int:
        async def ask(number: int) -> None:
            leave = await governor.acquire("m", prompt_tokens=80, max_tokens=20)
            granted.append(number)
            await governor.settle(leave, USED)

        with redis_client.Redis.from_url(redis.url) as connection:
            before = connection.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
            await asyncio.gather(*(ask(number) for number in range(1, 301)))
            return int(connection.info("commandstats")["cmdstat_evalsha"]["calls"]) - int(before)

    scripts = world.play(play, requests_per_minute=1_000_000)
    assert sorted(granted) == granted
    assert len(granted) == 300
    assert scripts < 60


def test_when_the_limit_is_far_off_all_who_wait_are_told(world: RedisWorld) -> None:
    async def play(governor: Governor) -> list[Any]:
        asking = [governor.acquire("m", prompt_tokens=1, max_tokens=1) for _ in range(100)]
        return await asyncio.gather(*asking, return_exceptions=True)

    found = world.play(play, requests_per_minute=30, longest_wait_s=0.0)
    assert [isinstance(one, Leave) for one in found[:2]] == [True, True]
    assert {type(one) for one in found[2:]} == {LimitFarOff}


def test_one_that_is_cancelled_while_it_waits_is_passed_over(redis: Redis, world: RedisWorld) -> None:
    async def play(governor: Governor) -> Leave:
        first = [await governor.acquire("m", prompt_tokens=1, max_tokens=1) for _ in range(8)]
        waiting = [asyncio.create_task(governor.acquire("m", prompt_tokens=n, max_tokens=1)) for n in (50, 60)]
        await asyncio.sleep(0.1)
        waiting[0].cancel()
        await governor.settle(first[0], USED)
        return await asyncio.wait_for(waiting[1], 5)

    leave = world.play(play, now=None, sleep=None)
    assert leave.tokens >= 60
    assert float(stored(redis, world)["sum_r"]) == 9


def test_one_that_is_cancelled_while_it_asks_leaves_nothing_behind(redis: Redis, world: RedisWorld) -> None:
    async def play(governor: Governor) -> None:
        for steps in range(1, 12):
            asking = asyncio.create_task(governor.acquire("m", prompt_tokens=10, max_tokens=10))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            done = (await asyncio.gather(asking, return_exceptions=True))[0]
            if isinstance(done, Leave):
                await governor.settle(done, CallEnd(counted=False))

    world.play(play, requests_per_minute=600)
    assert float(stored(redis, world).get("sum_r", 0)) == 0


@pytest.mark.parametrize("url", ["", "nonsense", "http://localhost"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(QueueError, match="REDIS_URL"):
        RedisGovernor(url, endpoint="e", api_key="k", interactive=False)
