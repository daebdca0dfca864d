"""Each call that is made is counted once, however it ends; what the cache answers is counted apart."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from backend.core.errors import LimitFarOff, ModelBadRequest, ModelError, ModelRateLimited
from backend.core.values import Message, Reply, Request, Usage
from backend.ports.governor import CallEnd
from backend.services.metered_model import MeteredGovernor, MeteredModel, MeteredReplies
from backend.services.summaries import chunk_in_numbers
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import replying
from tests.fakes.memory_governor import MemoryGovernor
from tests.fakes.memory_meters import MemoryMeters

REQUEST = Request(
    messages=(Message(role="user", content="MARKER of the task"),),
    schema={},
    model="m",
    temperature=0.0,
    max_tokens=40,
    seed=None,
    logprobs=False,
)


def ask(*answers: Reply | ModelError, log_content: bool = False) -> MemoryMeters:
    """Ask the same as often as there are answers."""
    meters, left, ticks = MemoryMeters(), list(answers), iter(range(100))
    inner = FunctionModel(lambda _: left.pop(0))
    model = MeteredModel(model=inner, meters=meters, log_content=log_content, clock=lambda: float(next(ticks)))

    async def main() -> None:
        for answer in answers:
            if isinstance(answer, ModelError):
                with pytest.raises(type(answer)):
                    await model.ask(REQUEST)
            else:
                assert await model.ask(REQUEST) == answer

    asyncio.run(main())
    return meters


def test_an_answer() -> None:
    assert ask(replying("yes")).counted == {
        ("model_calls", "m", "answered"): 1,
        ("model_call_seconds", "m", "1.0"): 1,
        ("model_call_seconds", "m", "sum"): 1.0,
        ("model_tokens", "m", "prompt"): 10,
        ("model_tokens", "m", "completion"): 3,
    }


def test_what_an_answer_costs_where_that_is_known() -> None:
    meters = MemoryMeters()
    model = MeteredModel(
        model=FunctionModel(lambda _: replying("yes")),
        meters=meters,
        price=lambda _, prompt, answer: prompt + answer / 10,
    )
    asyncio.run(model.ask(REQUEST))
    assert meters.counted["model_cost_usd", "m"] == pytest.approx(10.3)


def test_failures_by_class_and_what_is_asked_again() -> None:
    counted = ask(ModelRateLimited("429"), ModelRateLimited("429"), replying("yes"), replying("yes")).counted
    assert counted["model_calls", "m", "rate_limited"] == 2
    assert counted["model_calls", "m", "answered"] == 2
    assert counted["model_retries", "m"] == 2
    assert ask(ModelBadRequest("400")).counted == {("model_calls", "m", "bad_request"): 1}


def test_a_call_that_is_cancelled() -> None:
    meters = MemoryMeters()

    class Slow(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            await asyncio.sleep(60)
            raise AssertionError

    async def main() -> None:
        asking = asyncio.create_task(MeteredModel(model=Slow(lambda _: replying("")), meters=meters).ask(REQUEST))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(main())
    assert meters.counted == {("model_calls", "m", "cancelled"): 1}


@pytest.mark.parametrize("log_content", [True, False])
def test_prompts_and_replies_are_logged_only_where_that_is_asked_for(
    caplog: pytest.LogCaptureFixture, log_content: bool
) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(replying("REPLY"), log_content=log_content)
    told = str([vars(record) for record in caplog.records])
    assert ("MARKER" in told, "REPLY" in told) == (log_content, log_content)
    assert {record.levelname for record in caplog.records if record.name.startswith("backend")} <= {"DEBUG"}


def test_replies_from_the_cache() -> None:
    meters = MemoryMeters()
    cached = replace(replying("yes"), usage=Usage(from_cache=1))
    for reply in (cached, replying("yes"), cached):
        model = MeteredReplies(model=FunctionModel(lambda _, reply=reply: reply), meters=meters)  # type: ignore[misc]
        assert asyncio.run(model.ask(REQUEST)) == reply
    assert meters.counted == {("cached_replies", "m"): 2}


def test_what_is_waited_for_under_a_limit() -> None:
    meters, now = MemoryMeters(), 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    inner = MemoryGovernor(clock=lambda: now, sleep=sleep, requests_per_minute=1, longest_wait_s=70.0)
    governor = MeteredGovernor(governor=inner, meters=meters, clock=lambda: now)

    async def main() -> None:
        for _ in range(2):
            await governor.settle(await governor.acquire("m", prompt_tokens=1, max_tokens=1), CallEnd())
        await governor.settle(
            await governor.acquire("m", prompt_tokens=1, max_tokens=1), CallEnd(limited=True, retry_after_s=900.0)
        )
        with pytest.raises(LimitFarOff):
            await governor.acquire("m", prompt_tokens=1, max_tokens=1)
        assert (await governor.level("m")).paused_s == 900.0

    asyncio.run(main())
    assert meters.counted == {("limit_wait_seconds", "m"): 120.0, ("limit_put_offs", "m"): 1}


def test_a_chunk_in_numbers() -> None:
    meters = ask(ModelRateLimited("429"), replying("yes"), ModelBadRequest("400"))
    meters.counted["tasks_finished", "done"] = 2
    meters.counted["limit_wait_seconds", "m"] = 1.234
    assert chunk_in_numbers(meters.here()) == {
        "by_state": {"done": 2},
        "calls": 1,
        "calls_failed": 2,
        "calls_limited": 1,
        "replies_from_cache": 0,
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "limit_wait_s": 1.23,
        "written": 0,
    }
