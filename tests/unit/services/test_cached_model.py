"""The same request is paid for once: hits, misses, calls in flight, and what is not kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.errors import ModelRateLimited, ModelServerError, ModelUnauthorized, StoreError
from backend.core.values import Message, Reply, Request, TaskState, TokenLogprob, Usage
from backend.ports.model import Capabilities
from backend.services.annotate import Caller, annotate_task
from backend.services.cached_model import CachedModel
from backend.services.governed_model import GovernedModel
from backend.services.metered_model import MeteredReplies
from backend.settings import Settings
from backend.wiring import Parts
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import AGENT, HandClock, memory_store, replying
from tests.fakes.memory_media import MemoryMedia
from tests.samples import SENTIMENT, question, task

REQUEST = Request(
    messages=(Message(role="user", content="How is it?"),),
    schema={"type": "object"},
    model="m",
    temperature=0.0,
    max_tokens=10,
    seed=0,
    logprobs=False,
)
WITH_LOGPROBS = replace(REQUEST, logprobs=True)
TOKENS = (TokenLogprob(token="a", logprob=-0.1, top=(("a", -0.1), ("b", -2.5))),)
FREE = Usage(from_cache=1)


class Gated(FunctionModel):
    """Answers when the gate is opened; notes which call was cancelled."""

    def __init__(self, function: Callable[[Request], Reply]) -> None:
        super().__init__(function)
        self.gate = asyncio.Event()

    async def ask(self, request: Request) -> Reply:
        self.requests.append(request)
        await self.gate.wait()
        answer = self._function(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def store() -> Iterator[SqlStore]:
    store = memory_store(HandClock())
    yield store
    store.close()


def in_turn(*answers: Reply | Exception) -> Callable[[Request], Reply]:
    waiting = list(answers)

    def answer(_: Request) -> Reply:
        found = waiting.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def cached(model: FunctionModel, store: SqlStore, endpoint: str = "http://a/v1") -> CachedModel:
    return CachedModel(model, store, endpoint=endpoint, sleep=at_once)


async def at_once(_: float) -> None:
    """Sleeps no longer than others need to come first."""


def asked(model: CachedModel, *requests: Request) -> list[Reply]:
    """The replies to these requests, one after the other."""

    async def run() -> list[Reply]:
        return [await model.ask(request) for request in requests]

    return asyncio.run(run())


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- hits and misses ------------------------------------------------------------------------------------------------


def test_the_same_request_is_paid_for_once_and_the_second_reply_says_so(store: SqlStore) -> None:
    model = FunctionModel(lambda _: replying("yes", latency_s=3.0, tokens=TOKENS))
    first, second = asked(cached(model, store), REQUEST, replace(REQUEST))
    assert len(model.requests) == 1
    assert (first.cached, first.usage.calls, first.latency_s) == (False, 1, 3.0)
    assert second == replace(first, usage=FREE, latency_s=0.0)
    assert second.cached


def test_another_process_finds_it_too(store: SqlStore) -> None:
    asked(cached(FunctionModel(lambda _: replying("yes")), store), REQUEST)
    other = FunctionModel(in_turn())
    (reply,) = asked(cached(other, store), REQUEST)
    assert (reply.text, reply.usage, other.requests) == ("yes", FREE, [])


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message(role="user", content="How was it?"),)},
        {"messages": (Message(role="user", content="How is it?", images=("data:image/png;base64,AA",)),)},
        {"schema": {}},
        {"model": "other"},
        {"temperature": 0.1},
        {"max_tokens": 11},
        {"seed": 1},
        {"seed": None},
        {"sample": 1},
        {"logprobs": True},
    ],
)
def test_whatever_can_change_the_answer_makes_another_request(store: SqlStore, change: dict[str, object]) -> None:
    model = FunctionModel(in_turn(replying("one"), replying("two")))
    replies = asked(cached(model, store), REQUEST, replace(REQUEST, **change))  # type: ignore[arg-type]
    assert [reply.text for reply in replies] == ["one", "two"]


def test_another_endpoint_is_asked_for_itself(store: SqlStore) -> None:
    asked(cached(FunctionModel(lambda _: replying("one")), store), REQUEST)
    (reply,) = asked(cached(FunctionModel(lambda _: replying("two")), store, "http://b/v1"), REQUEST)
    assert reply.text == "two"


def test_a_reply_without_token_probabilities_is_not_served_where_they_are_to_be_had(store: SqlStore) -> None:
    """The endpoint left them out once."""
    model = FunctionModel(in_turn(replying("one"), replying("two", tokens=TOKENS)))
    first, second, third = asked(cached(model, store), WITH_LOGPROBS, WITH_LOGPROBS, WITH_LOGPROBS)
    assert (first.tokens, second.tokens, third.tokens) == (None, TOKENS, TOKENS)
    assert third.cached


def test_where_an_endpoint_gives_no_token_probabilities_the_reply_is_served_without(store: SqlStore) -> None:
    class Plain(FunctionModel):
        async def capabilities(self, model: str) -> Capabilities:
            return Capabilities(structured="text", logprobs=0)

    model = Plain(in_turn(replying("one")))
    replies = asked(cached(model, store), WITH_LOGPROBS, REQUEST, WITH_LOGPROBS)
    assert [reply.cached for reply in replies] == [False, True, True]


@pytest.mark.parametrize(
    "bad",
    [
        replying("yes, but", finish_reason="length"),
        replying("yes", finish_reason="content_filter"),
        replying("yes", finish_reason=None),
        replying("yes", finish_reason=["stop"]),
        replying(""),
        replying(" \n"),
    ],
    ids=lambda reply: f"{reply.finish_reason} {reply.text!r}",
)
def test_only_what_ended_well_is_kept(store: SqlStore, bad: Reply) -> None:
    model = FunctionModel(in_turn(bad, replying("yes")))
    assert asked(cached(model, store), REQUEST, REQUEST) == [bad, replying("yes")]


def test_what_the_model_can_is_asked_of_it(store: SqlStore) -> None:
    model = cached(FunctionModel(in_turn(), images=False), store)
    assert asyncio.run(model.capabilities("m")).logprobs == 20
    assert not asyncio.run(model.takes_images("m"))


def test_where_nothing_can_be_remembered_nothing_is_spent(store: SqlStore) -> None:
    model = FunctionModel(in_turn())

    def away(_: object) -> None:
        raise StoreError("The database does not answer.")

    store.replies = away  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreError):
        asked(cached(model, store), REQUEST)
    assert model.requests == []


# --- calls in flight ------------------------------------------------------------------------------------------------


def with_gate(
    store: SqlStore, function: Callable[[Request], Reply], work: Callable[[Gated, CachedModel], Awaitable[None]]
) -> None:
    async def run() -> None:
        model = Gated(function)
        await asyncio.wait_for(work(model, cached(model, store)), 10)

    asyncio.run(run())


def test_requests_in_flight_wait_for_the_first(store: SqlStore) -> None:
    async def work(model: Gated, caching: CachedModel) -> None:
        waiting = [asyncio.create_task(caching.ask(r)) for r in (REQUEST, REQUEST, replace(REQUEST, seed=1), REQUEST)]
        await settled()
        assert [r.seed for r in model.requests] == [0, 1]  # another request waits for nobody
        model.gate.set()
        replies = await asyncio.gather(*waiting)
        assert [r.cached for r in replies] == [False, True, False, True]
        assert len(model.requests) == 2

    with_gate(store, lambda _: replying("yes"), work)


@pytest.mark.parametrize("failure", [ModelServerError("away"), ModelRateLimited("slow down")])
def test_when_the_first_fails_the_next_asks(store: SqlStore, failure: Exception) -> None:
    async def work(model: Gated, caching: CachedModel) -> None:
        waiting = [asyncio.create_task(caching.ask(REQUEST)) for _ in range(3)]
        await settled()
        model.gate.set()
        first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
        assert first is failure
        assert isinstance(second, Reply)
        assert not second.cached
        assert isinstance(third, Reply)
        assert third.cached

    with_gate(store, in_turn(failure, replying("yes")), work)


def test_when_the_first_has_an_answer_that_is_not_kept_the_next_asks(store: SqlStore) -> None:
    async def work(model: Gated, caching: CachedModel) -> None:
        model.gate.set()
        first, second = await asyncio.gather(caching.ask(REQUEST), caching.ask(REQUEST))
        assert (first.finish_reason, second.finish_reason) == ("length", "stop")

    with_gate(store, in_turn(replying("y", finish_reason="length"), replying("yes")), work)


@pytest.mark.parametrize("cancelled", [0, 1])
def test_cancelling_one_leaves_the_others_their_answer(store: SqlStore, cancelled: int) -> None:
    async def work(model: Gated, caching: CachedModel) -> None:
        waiting = [asyncio.create_task(caching.ask(REQUEST)) for _ in range(3)]
        await settled()
        waiting[cancelled].cancel()
        await settled()
        model.gate.set()
        left = [one for index, one in enumerate(waiting) if index != cancelled]
        assert [reply.text for reply in await asyncio.gather(*left)] == ["yes", "yes"]
        assert waiting[cancelled].cancelled()
        assert len(model.requests) == (2 if cancelled == 0 else 1)

    with_gate(store, lambda _: replying("yes"), work)


def test_nothing_is_left_of_calls_that_are_over(store: SqlStore) -> None:
    async def work(model: Gated, caching: CachedModel) -> None:
        model.gate.set()
        await asyncio.gather(*(caching.ask(replace(REQUEST, seed=n % 5)) for n in range(50)))
        assert len(caching._in_flight) == 0

    with_gate(store, lambda _: replying("yes"), work)


# --- a task's conversation ------------------------------------------------------------------------------------------


def annotated(store: SqlStore, model: FunctionModel, **agent: object) -> tuple[TaskState, Usage]:
    async def sleep(_: float) -> None: ...

    caller = Caller(
        model=cached(model, store), media=MemoryMedia(), sleep=sleep, random=lambda: 0.0, forget=store.forget_replies
    )
    outcome = asyncio.run(annotate_task(question(SENTIMENT, **agent), task(text="It is fine."), caller))
    return outcome.state, outcome.usage


def mood(name: str) -> Reply:
    return replying(json.dumps({"sentiment": name}))


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_every_sample_is_an_answer_of_its_own(store: SqlStore, seed: int | None, temperature: float) -> None:
    """Also where no seed is sent, so that the samples' requests look all the same."""
    agent = {"confidence": "agreement", "seed": seed, "temperature": temperature, "samples": 5}
    moods = ["positive", "negative", "positive", "negative", "positive"]
    model = FunctionModel(in_turn(*map(mood, moods)))
    assert annotated(store, model, **agent) == (TaskState.DONE, Usage(prompt_tokens=50, completion_tokens=15, calls=5))
    assert len({request.key for request in model.requests}) == 5
    assert {request.seed for request in model.requests} == ({None} if seed is None else {0, 1, 2, 3, 4})
    assert annotated(store, FunctionModel(in_turn()), **agent) == (TaskState.DONE, Usage(from_cache=5))


def test_a_conversation_that_was_mended_is_served_whole(store: SqlStore) -> None:
    agent = {"confidence": "self_reported", "reasks": 1}
    assert annotated(store, FunctionModel(in_turn(replying("who knows"), mood("positive"))), **agent)[1].calls == 2
    assert annotated(store, FunctionModel(in_turn()), **agent) == (TaskState.DONE, Usage(from_cache=2))


def test_a_conversation_that_came_to_nothing_is_not_served_again(store: SqlStore) -> None:
    agent = {"confidence": "self_reported", "reasks": 1}
    unreadable = FunctionModel(in_turn(replying("who knows"), replying("not I")))
    assert annotated(store, unreadable, **agent)[0] is TaskState.INVALID
    model = FunctionModel(in_turn(mood("positive")))
    assert annotated(store, model, **agent) == (
        TaskState.DONE,
        Usage(prompt_tokens=10, completion_tokens=3, calls=1),
    )


def test_what_was_paid_before_the_job_was_stopped_is_not_paid_again(store: SqlStore) -> None:
    agent = {"confidence": "agreement", "samples": 3}
    stopped = FunctionModel(in_turn(mood("positive"), mood("positive"), ModelUnauthorized("no")))
    with pytest.raises(ModelUnauthorized):
        annotated(store, stopped, **agent)
    state, usage = annotated(store, FunctionModel(in_turn(mood("positive"))), **agent)
    assert (state, usage.calls, usage.from_cache) == (TaskState.DONE, 1, 2)


# --- where it is put together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cache_days", "kind"), [(30, MeteredReplies), (0, GovernedModel)])
def test_the_setting_switches_the_cache_off(store: SqlStore, cache_days: int, kind: type) -> None:
    parts = Parts(Settings(openai_base_url="http://a/v1/", label_studio_api_key="key", cache_days=cache_days))
    parts.store = store

    async def model() -> object:
        async with parts.endpoints.caller() as caller:
            return caller.model

    assert type(asyncio.run(model())) is kind


def test_what_is_stored_is_known_beforehand(store: SqlStore) -> None:
    """By the same key as it is stored under."""
    parts = Parts(Settings(openai_base_url="http://a/v1/", label_studio_api_key="key"))
    parts.store = store  # type: ignore[assignment]
    assert not parts.endpoints.is_stored(AGENT, REQUEST)
    cached = CachedModel(FunctionModel(in_turn(mood("positive"))), store, endpoint=parts.endpoints.address(AGENT))
    asyncio.run(cached.ask(REQUEST))
    assert parts.endpoints.is_stored(AGENT, REQUEST)
    assert not parts.endpoints.is_stored(replace(AGENT, base_url="http://b/v1"), REQUEST)


def test_a_database_that_fails_is_told_and_not_taken_for_a_bad_task(store: SqlStore) -> None:
    def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    store.save_replies = full  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreError):
        annotated(store, FunctionModel(in_turn(mood("positive"))), confidence="self_reported")
