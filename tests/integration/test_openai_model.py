"""The adapter of Chat Completions against an endpoint over real HTTP: what it accepts is found out and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest

from backend.adapters.openai_model import OpenAIModel, SetBy
from backend.core.errors import (
    ContextTooLong,
    ModelBadRequest,
    ModelError,
    ModelQuotaExhausted,
    ModelRateLimited,
    ModelServerError,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnknown,
    ModelUnreachable,
)
from backend.core.values import Message, Reply, Request, Usage
from backend.ports.model import Capabilities
from tests.fakes.scripted_model import ScriptedModel

pytestmark = pytest.mark.integration
T = TypeVar("T")

REQUEST = Request(
    messages=(
        Message(
            role="user",
            content='Data "text":\n~~~\nI love it\n~~~\n\n"mood": exactly one of these:\n- positive\n- negative',
        ),
    ),
    schema={
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["positive", "negative"]}},
        "required": ["mood"],
        "additionalProperties": False,
    },
    model="scripted",
    temperature=0.0,
    max_tokens=50,
    seed=7,
    logprobs=True,
)


@dataclass
class Remembered:
    """The part of the store that the adapter uses."""

    rows: dict[tuple[str, str], Capabilities] = field(default_factory=dict)

    def capabilities(self, endpoint: str, model: str) -> Capabilities | None:
        return self.rows.get((endpoint, model))

    def save_capabilities(self, endpoint: str, model: str, capabilities: Capabilities) -> None:
        self.rows[endpoint, model] = capabilities


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def ask(endpoint: ScriptedModel, *, times: int = 1, memory: Remembered | None = None, **options: Any) -> list[Reply]:
    """The replies to the same request, asked at once, over one client."""

    async def conversation() -> list[Reply]:
        model = OpenAIModel(
            base_url=endpoint.base_url,
            api_key=options.get("api_key", "key"),
            timeout_s=options.get("timeout_s", 5),
            memory=memory or Remembered(),
            set_by=SetBy(key=options.get("key_variable", "OPENAI_API_KEY")),
        )
        try:
            return await asyncio.gather(*(model.ask(options.get("request", REQUEST)) for _ in range(times)))
        finally:
            await model.close()

    return run(conversation())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def known(memory: Remembered) -> Capabilities:
    (found,) = memory.rows.values()
    return found


def test_a_capable_endpoint_gets_a_strict_schema_and_gives_probabilities(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    (reply,) = ask(endpoint, memory=memory)
    assert reply.text == '{"mood": "positive"}'
    assert reply.tokens is not None
    assert "".join(token.token for token in reply.tokens) == reply.text
    assert (reply.usage.calls, reply.finish_reason) == (1, "stop")
    assert reply.latency_s > 0
    assert known(memory) == Capabilities(structured="json_schema", logprobs=20)
    sent = endpoint.requests[-1]
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert (sent["temperature"], sent["seed"], sent["max_tokens"], sent["top_logprobs"]) == (0.0, 7, 50, 20)


def test_one_probe_serves_all_calls_and_a_later_process(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, times=5, memory=memory)
    assert endpoint.counts()["calls"] == 6
    ask(endpoint, times=5, memory=memory)
    assert endpoint.counts()["calls"] == 11


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (["json_schema"], Capabilities(structured="json_object", logprobs=20)),
        (["json_schema", "json_object"], Capabilities(structured="text", logprobs=20)),
        (["logprobs"], Capabilities(structured="json_schema", logprobs=0)),
        (["max_tokens"], Capabilities(structured="json_schema", logprobs=20, max_tokens_name="max_completion_tokens")),
        (["temperature", "seed"], Capabilities(structured="json_schema", logprobs=20, sampling=False)),
        (
            ["json_schema", "json_object", "logprobs", "max_tokens", "temperature", "seed"],
            Capabilities(structured="text", logprobs=0, max_tokens_name="max_completion_tokens", sampling=False),
        ),
    ],
)
def test_what_an_endpoint_refuses_is_left_out(
    endpoint: ScriptedModel, refused: list[str], expected: Capabilities
) -> None:
    memory = Remembered()
    endpoint.change(refuse=refused)
    (reply,) = ask(endpoint, memory=memory)
    assert '"positive"' in reply.text
    assert known(memory) == expected
    before = endpoint.counts()["calls"]
    ask(endpoint, memory=memory)
    assert endpoint.counts()["calls"] == before + 1
    assert endpoint.counts()["outcomes"]["ok"] == 3


def test_probabilities_that_are_accepted_and_left_out_are_not_asked_for(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    endpoint.change(ignore=["logprobs"])
    (reply,) = ask(endpoint, memory=memory)
    assert reply.tokens is None
    assert known(memory).logprobs == 0
    assert "logprobs" not in endpoint.requests[-1]


def test_a_feature_that_is_withdrawn_later_is_noticed(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(refuse=["json_schema"])
    (reply,) = ask(endpoint, memory=memory)
    assert '"positive"' in reply.text
    assert known(memory).structured == "json_object"


def test_a_reasoning_effort_is_sent_where_it_is_set(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    assert "reasoning_effort" not in endpoint.requests[-1]
    ask(endpoint, memory=memory, request=replace(REQUEST, reasoning_effort="low"))
    assert endpoint.requests[-1]["reasoning_effort"] == "low"
    assert known(memory).reasoning is True


def test_a_refused_reasoning_effort_is_remembered(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    endpoint.change(refuse=["reasoning_effort"])
    for _ in range(2):
        (reply,) = ask(endpoint, memory=memory, request=replace(REQUEST, reasoning_effort="low"))
        assert reply.text == '{"mood": "positive"}'
    assert known(memory) == Capabilities(structured="json_schema", logprobs=20, reasoning=False)
    assert [("reasoning_effort" in sent) for sent in endpoint.requests] == [False, True, False, False]


def test_a_probe_tries_the_reasoning_effort(endpoint: ScriptedModel) -> None:
    async def probe() -> Capabilities:
        model = OpenAIModel(base_url=endpoint.base_url, api_key="key", timeout_s=5, memory=Remembered())
        try:
            return (await model.probe("scripted", reasoning_effort="low"))[0]
        finally:
            await model.close()

    assert run(probe()).reasoning is True
    endpoint.change(refuse=["reasoning_effort"])
    assert run(probe()).reasoning is False


def test_a_refused_key_is_named_by_its_variable(endpoint: ScriptedModel) -> None:
    endpoint.change(api_key="good")
    with pytest.raises(ModelUnauthorized, match=r"does not accept OTHER_KEY .* set OTHER_KEY to a key"):
        ask(endpoint, key_variable="OTHER_KEY")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ({"status": 401}, ModelUnauthorized),
        ({"status": 403}, ModelUnauthorized),
        ({"status": 402}, ModelQuotaExhausted),
        ({"status": 429}, ModelRateLimited),
        (
            {"status": 429, "body": {"error": {"message": "You exceeded your current quota.", "code": "x"}}},
            ModelQuotaExhausted,
        ),
        ({"status": 408}, ModelTimeout),
        ({"status": 504}, ModelTimeout),
        ({"status": 500}, ModelServerError),
        ({"status": 503, "body": "<html>busy</html>"}, ModelServerError),
        ({"status": 404}, ModelUnknown),
        ({"status": 422}, ModelBadRequest),
        ({"status": 0}, ModelUnreachable),
        ({"status": 200, "body": "not a completion"}, ModelServerError),
        ({"status": 200, "body": {"choices": []}}, ModelServerError),
        ({"status": 200, "body": {"choices": [{"message": None}]}}, ModelServerError),
    ],
)
def test_each_failure_has_its_class_and_one_sentence(
    endpoint: ScriptedModel, failure: dict[str, Any], expected: type[ModelError]
) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(fail={"count": None, **failure})
    with pytest.raises(ModelError) as caught:
        ask(endpoint, memory=memory, api_key="sk-secret")
    assert type(caught.value) is expected
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert "sk-secret" not in message
    assert "I love it" not in message


def test_the_wait_that_a_limited_endpoint_asks_for_is_told(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(fail={"status": 429, "retry_after": 1.5})
    with pytest.raises(ModelRateLimited) as caught:
        ask(endpoint, memory=memory)
    assert caught.value.retry_after_s == 1.5


def test_what_the_headers_say_of_limits_is_told_with_answers_and_refusals(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(requests_per_minute=1, tokens_per_minute=5_000)
    (reply,) = ask(endpoint, memory=memory)
    assert reply.limits is not None
    assert (reply.limits.requests, reply.limits.requests_left, reply.limits.tokens) == (1, 0, 5_000)
    with pytest.raises(ModelRateLimited) as caught:
        ask(endpoint, memory=memory)
    assert caught.value.limits is not None
    assert (caught.value.limits.requests, caught.value.retry_after_s, caught.value.limited) == (1, 1.0, True)


@pytest.mark.parametrize(("status", "limited"), [(503, True), (529, True), (500, False), (429, True)])
def test_too_much_load_counts_as_a_limit(endpoint: ScriptedModel, status: int, limited: bool) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(fail={"status": status, "retry_after": 3})
    with pytest.raises(ModelError) as caught:
        ask(endpoint, memory=memory)
    assert (caught.value.limited, caught.value.retry_after_s) == (limited, 3.0)


def test_the_client_itself_does_not_ask_again(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(reset=True, fail={"status": 500, "count": None})
    with pytest.raises(ModelServerError):
        ask(endpoint, memory=memory)
    assert endpoint.counts()["calls"] == 1


def test_an_answer_that_takes_too_long_is_a_timeout(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(latency_s=1.0)
    with pytest.raises(ModelTimeout):
        ask(endpoint, memory=memory, timeout_s=0.2)


def test_an_answer_that_comes_in_drops_is_a_timeout_too() -> None:
    """The client's own timeout begins anew with each piece."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        memory = Remembered({(address, "scripted"): Capabilities(structured="text", logprobs=0)})
        model = OpenAIModel(base_url=address, api_key="key", timeout_s=0.3, memory=memory)
        try:
            with pytest.raises(ModelTimeout, match="did not answer in time"):
                await asyncio.wait_for(model.ask(REQUEST), 5)
        finally:
            await model.close()
            server.close()
            await asyncio.sleep(0.2)  # the server sees that nobody listens any more

    run(go())


def test_a_prompt_longer_than_the_window_has_its_own_class(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    endpoint.change(context_tokens=5)
    with pytest.raises(ContextTooLong):
        ask(endpoint, memory=memory)


def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    with ScriptedModel() as gone:
        pass
    with pytest.raises(ModelUnreachable, match="OPENAI_BASE_URL"):
        ask(gone)


def test_a_wrong_key_at_the_probe_is_told_as_such_and_nothing_is_remembered(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    endpoint.change(api_key="right")
    with pytest.raises(ModelUnauthorized, match="OPENAI_API_KEY"):
        ask(endpoint, memory=memory)
    assert memory.rows == {}


def test_a_reply_without_usage_costs_nothing_known(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    endpoint.change(fail={"status": 200, "body": body})
    (reply,) = ask(endpoint, memory=memory)
    assert (reply.text, reply.usage.prompt_tokens, reply.usage.calls) == ("hi", 0, 1)


def test_a_probe_is_a_real_call_whatever_is_remembered(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    ask(endpoint, memory=memory)

    async def probed(key: str) -> tuple[Capabilities, Usage]:
        model = OpenAIModel(base_url=endpoint.base_url, api_key=key, timeout_s=5, memory=memory)
        try:
            return await model.probe("scripted")
        finally:
            await model.close()

    before = endpoint.counts()["calls"]
    found, usage = run(probed("key"))
    assert (found, usage.calls, endpoint.counts()["calls"]) == (known(memory), 1, before + 1)
    assert usage.prompt_tokens > 0
    endpoint.change(api_key="right")
    with pytest.raises(ModelUnauthorized, match="set OPENAI_API_KEY to a key of that endpoint"):
        run(probed("wrong"))


def test_models_are_listed(endpoint: ScriptedModel) -> None:
    async def listed() -> list[str] | None:
        model = OpenAIModel(base_url=endpoint.base_url, api_key="key", timeout_s=5, memory=Remembered())
        try:
            return await model.models()
        finally:
            await model.close()

    assert run(listed()) == ["scripted"]


def test_each_model_of_an_endpoint_is_probed(endpoint: ScriptedModel) -> None:
    async def both() -> Remembered:
        memory = Remembered()
        model = OpenAIModel(base_url=endpoint.base_url, api_key="key", timeout_s=5, memory=memory)
        try:
            await model.ask(REQUEST)
            await model.ask(replace(REQUEST, model="other"))
        finally:
            await model.close()
        return memory

    assert {model for _, model in run(both()).rows} == {"scripted", "other"}
