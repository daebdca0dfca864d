"""Each call has leave first and is settled once, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backend.core.errors import (
    ContextTooLong,
    LimitFarOff,
    ModelBadRequest,
    ModelError,
    ModelRateLimited,
    ModelServerError,
    ModelTimeout,
    ModelUnreachable,
    QueueError,
)
from backend.core.limits import RateLimits
from backend.core.values import Message, Reply, Request, Usage
from backend.ports.governor import CallEnd
from backend.prompting.tokens import estimated_tokens
from backend.services.governed_model import GovernedModel
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import replying
from tests.fakes.memory_governor import MemoryGovernor

REQUEST = Request(
    messages=(Message(role="user", content="Is it good?"),),
    schema={},
    model="m",
    temperature=0.0,
    max_tokens=40,
    seed=None,
    logprobs=False,
)
LIMITS = RateLimits(requests=100)
REFUSED = CallEnd(prompt_tokens=0, completion_tokens=0)


def ask(answer: Reply | ModelError, governor: MemoryGovernor) -> Reply:
    return asyncio.run(
        GovernedModel(model=FunctionModel(lambda _: answer), governor=governor, slots=asyncio.Semaphore(8)).ask(REQUEST)
    )


def overloaded(**changes: Any) -> ModelError:
    error = ModelServerError("503")
    error.limited = True
    for name, value in changes.items():
        setattr(error, name, value)
    return error


def unsent() -> ModelError:
    error = ModelUnreachable("no connection")
    error.lost = False
    return error


def test_an_answer_is_settled_with_what_it_used_and_what_its_headers_say() -> None:
    governor = MemoryGovernor()
    reply = ask(replying("yes", limits=LIMITS), governor)
    assert reply == replying("yes")  # the headers are not the asker's business
    assert governor.ends == [CallEnd(prompt_tokens=10, completion_tokens=3, limits=LIMITS)]
    (call,) = governor.accounts["m"].calls.values()
    assert (call.over, call.tokens) == (True, 13)


def test_what_is_reserved_is_the_prompt_and_the_answer() -> None:
    governor = MemoryGovernor()
    ask(replying("yes", usage=Usage(calls=1)), governor)  # an endpoint that tells no usage
    assert governor.ends == [CallEnd()]
    (call,) = governor.accounts["m"].calls.values()
    assert call.tokens == estimated_tokens(REQUEST.messages) + REQUEST.max_tokens


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (unsent(), CallEnd(counted=False)),
        (ModelUnreachable("cut"), CallEnd()),
        (ModelTimeout("x"), CallEnd()),
        (ModelServerError("500"), CallEnd()),
        (ModelBadRequest("x"), REFUSED),
        (ContextTooLong("x"), REFUSED),
        (
            ModelRateLimited("x", retry_after_s=2.0),
            CallEnd(prompt_tokens=0, completion_tokens=0, limited=True, retry_after_s=2.0),
        ),
        (overloaded(limits=LIMITS), CallEnd(prompt_tokens=0, completion_tokens=0, limited=True, limits=LIMITS)),
    ],
)
def test_an_error_is_settled_and_passed_on(error: ModelError, end: CallEnd) -> None:
    governor = MemoryGovernor()
    with pytest.raises(type(error)):
        ask(error, governor)
    assert governor.ends == [end]


@pytest.mark.parametrize("error", [ModelRateLimited("x", retry_after_s=600.0), overloaded(retry_after_s=600.0)])
def test_a_long_retry_after_is_not_waited_for(error: ModelError) -> None:
    governor = MemoryGovernor()
    with pytest.raises(LimitFarOff) as caught:
        ask(error, governor)
    assert caught.value.wait_s == 600.0
    assert governor.accounts["m"].paused_until == 600.0


def test_without_leave_there_is_no_call() -> None:
    governor, model = MemoryGovernor(), FunctionModel(lambda _: replying("yes"))
    governor.reachable = False
    with pytest.raises(QueueError):
        asyncio.run(GovernedModel(model=model, governor=governor, slots=asyncio.Semaphore(8)).ask(REQUEST))
    assert model.requests == []


def test_an_answer_that_is_paid_for_is_not_lost_with_redis(caplog: pytest.LogCaptureFixture) -> None:
    governor = MemoryGovernor()

    def answer(_: Request) -> Reply:
        governor.reachable = False
        return replying("yes")

    model = GovernedModel(model=FunctionModel(answer), governor=governor, slots=asyncio.Semaphore(8))
    assert asyncio.run(model.ask(REQUEST)).text == "yes"
    assert "could not be settled" in caplog.text


def test_a_call_that_is_cancelled_is_settled() -> None:
    governor = MemoryGovernor()

    class Slow(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            await asyncio.sleep(60)
            raise AssertionError

    async def cancelled() -> None:
        model = GovernedModel(model=Slow(lambda _: replying("")), governor=governor, slots=asyncio.Semaphore(8))
        asking = asyncio.create_task(model.ask(REQUEST))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(cancelled())
    assert governor.ends == [CallEnd()]


def test_a_remembered_answer_about_images_costs_no_leave() -> None:
    governor = MemoryGovernor()
    model = GovernedModel(model=FunctionModel(lambda _: replying("")), governor=governor, slots=asyncio.Semaphore(8))
    assert asyncio.run(model.takes_images("m")) is True
    assert governor.ends == []


def test_no_more_calls_are_in_flight_than_there_are_slots() -> None:
    governor, in_flight, most = MemoryGovernor(), 0, 0

    class Counting(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.001)
            in_flight -= 1
            return replying("")

    async def ask() -> None:
        model = GovernedModel(model=Counting(lambda _: replying("")), governor=governor, slots=asyncio.Semaphore(3))
        await asyncio.gather(*(model.ask(REQUEST) for _ in range(10)))

    asyncio.run(ask())
    assert most == 3
    assert len(governor.ends) == 10
