"""The adapter of the batch API against an endpoint over real HTTP, with the real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar

import pytest

from backend.adapters.completion import read_completion
from backend.adapters.openai_batches import OpenAIBatches, result_of
from backend.adapters.openai_model import OpenAIModel
from backend.core.errors import (
    BatchNotOffered,
    ModelBadRequest,
    ModelServerError,
    ModelUnauthorized,
    ModelUnreachable,
)
from backend.core.values import Message, Usage
from backend.ports.batches import BatchResult, EndpointBatch
from backend.ports.model import Capabilities
from tests.fakes.scripted_model import ScriptedModel
from tests.integration.test_openai_model import REQUEST, Remembered

pytestmark = pytest.mark.integration
T = TypeVar("T")
FOUND = Capabilities(structured="json_schema", logprobs=20)

CALLS: list[Callable[[OpenAIBatches], Coroutine[Any, Any, Any]]] = [
    lambda batches: batches.upload("m", BytesIO(b"x")),
    lambda batches: batches.create("m", "f"),
    lambda batches: batches.find("m", "f"),
    lambda batches: batches.state("b"),
    lambda batches: batches.cancel("b"),
    lambda batches: batches.delete_upload("m"),
]


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel(batches={}) as running:
        yield running


@asynccontextmanager
async def client(endpoint: ScriptedModel) -> AsyncIterator[OpenAIBatches]:
    model = OpenAIModel(base_url=endpoint.base_url, api_key="key", timeout_s=5, memory=Remembered())
    try:
        yield OpenAIBatches(model)
    finally:
        await model.close()


def with_client(endpoint: ScriptedModel, use: Callable[[OpenAIBatches], Coroutine[Any, Any, T]]) -> T:
    async def used() -> T:
        async with client(endpoint) as batches:
            return await use(batches)

    return asyncio.run(used())


async def submitted(batches: OpenAIBatches, *custom_ids: str) -> EndpointBatch:
    lines = b"".join(batches.line(custom_id, REQUEST, FOUND) for custom_id in custom_ids)
    file_id = await batches.upload("marker", BytesIO(lines))
    return await batches.create("marker", file_id)


async def ended(batches: OpenAIBatches, *custom_ids: str) -> tuple[EndpointBatch, list[BatchResult]]:
    batch = await submitted(batches, *custom_ids)
    while not batch.ended:
        batch = await batches.state(batch.id)
    return batch, [result async for result in batches.results(batch)]


def test_a_batch_gives_the_reply_that_a_live_call_gives(endpoint: ScriptedModel) -> None:
    async def both(batches: OpenAIBatches) -> tuple[Any, Any, EndpointBatch]:
        batch, (result,) = await ended(batches, "one")
        model = OpenAIModel(base_url=endpoint.base_url, api_key="key", timeout_s=5, memory=Remembered())
        live = await model.ask(REQUEST)
        await model.close()
        assert result.custom_id == "one"
        return result.reply, replace(live, latency_s=0.0, limits=None), batch

    reply, live, batch = with_client(endpoint, both)
    assert reply == live
    assert reply.tokens
    assert reply.usage == Usage(prompt_tokens=reply.usage.prompt_tokens, completion_tokens=len(reply.tokens), calls=1)
    assert endpoint.batches.bodies == [endpoint.requests[-1]]
    assert (batch.status, batch.done, len(batch.file_ids), len(batch.result_file_ids)) == ("completed", 1, 2, 1)


def test_images_are_in_the_line_as_in_a_call(endpoint: ScriptedModel) -> None:
    picture = replace(
        REQUEST, messages=(Message(role="user", content="What?", images=("data:image/png;base64,AA==",)),)
    )

    async def line(batches: OpenAIBatches) -> bytes:
        return batches.line("x", picture, FOUND)

    parts = json.loads(with_client(endpoint, line))["body"]["messages"][0]["content"]
    assert parts[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_what_is_offered(endpoint: ScriptedModel) -> None:
    with_client(endpoint, lambda batches: batches.check())
    endpoint.change(batches=None)
    with pytest.raises(BatchNotOffered, match="has no batch API: run without --lane batch"):
        with_client(endpoint, lambda batches: batches.check())
    with pytest.raises(BatchNotOffered):
        with_client(endpoint, lambda batches: submitted(batches, "one"))
    endpoint.change(batches={}, api_key="another")
    with pytest.raises(ModelUnauthorized):
        with_client(endpoint, lambda batches: batches.check())


def test_nobody_there() -> None:
    endpoint = ScriptedModel().start()
    endpoint.stop()
    for call in [*CALLS, lambda batches: batches.check()]:
        with pytest.raises(ModelUnreachable):
            with_client(endpoint, call)
    with_client(endpoint, lambda batches: batches.delete_files(["f"]))  # it was tried


@pytest.mark.parametrize("metadata", [True, False])
def test_a_batch_is_found_by_its_marker_or_by_its_file(endpoint: ScriptedModel, metadata: bool) -> None:
    endpoint.change(batches={"metadata": metadata})

    async def look(batches: OpenAIBatches) -> None:
        for _ in range(2):
            await submitted(batches, "other")
        file_id = await batches.upload("mine", BytesIO(batches.line("one", REQUEST, FOUND)))
        assert await batches.find("mine", file_id) is None
        mine = await batches.create("mine", file_id)
        for _ in range(105):  # more than a page
            await submitted(batches, "other")
        found = await batches.find("mine" if metadata else "unknown", "unknown" if metadata else file_id)
        assert found is not None
        assert found.id == mine.id

    with_client(endpoint, look)


def test_rows_come_one_by_one_whatever_stands_beside_them(endpoint: ScriptedModel) -> None:
    bad = {"0": "error", "1": "refused", "2": "garbage", "3": "stranger", "4": "cut", "5": "nothing", "6": "twice"}
    endpoint.change(batches={"bad": bad})
    _, results = with_client(endpoint, lambda batches: ended(batches, *"abcdefgh"))
    usable = [result.custom_id for result in results if result.reply is not None]
    assert usable == ["f" * 64, "e", "g", "g", "h"]
    assert {result.custom_id for result in results if result.reply is None} == {None, "a", "b"}
    (cut,) = [r.reply for r in results if r.custom_id == "e"]
    assert cut is not None
    assert cut.finish_reason == "length"


def test_an_expired_batch_has_what_was_answered(endpoint: ScriptedModel) -> None:
    endpoint.change(batches={"ends": "expired", "answered": 1})
    batch, results = with_client(endpoint, lambda batches: ended(batches, "a", "b"))
    assert (batch.status, batch.done) == ("expired", 2)
    assert [(r.custom_id, r.reply is None) for r in results] == [("a", False), ("b", True)]


def test_a_failed_batch_tells_why(endpoint: ScriptedModel) -> None:
    endpoint.change(batches={"ends": "failed"})
    batch, results = with_client(endpoint, lambda batches: ended(batches, "a"))
    assert (batch.status, batch.error, results) == ("failed", "token_limit_exceeded", [])


def test_cancelling(endpoint: ScriptedModel) -> None:
    endpoint.change(batches={"looks": 5, "answered": 1})

    async def cancel(batches: OpenAIBatches) -> list[str]:
        batch = await submitted(batches, "a", "b")
        first = await batches.cancel(batch.id)
        then = await batches.state(batch.id)
        again = await batches.cancel(batch.id)  # it has ended: no error
        return [first.status, then.status, again.status]

    assert with_client(endpoint, cancel) == ["cancelling", "cancelled", "cancelled"]


def test_what_is_gone(endpoint: ScriptedModel) -> None:
    async def gone(batches: OpenAIBatches) -> None:
        assert (await batches.state("nothing")).status == "unknown"
        batch, _ = await ended(batches, "a")
        endpoint.batches.files.clear()
        assert [result async for result in batches.results(batch)] == []
        with pytest.raises(ModelBadRequest):
            await batches.create("m", "no-such-file")

    with_client(endpoint, gone)


def test_results_that_break_off_are_read_again_later(endpoint: ScriptedModel) -> None:
    async def read(batches: OpenAIBatches) -> list[BatchResult]:
        batch, whole = await ended(batches, "a")
        endpoint.change(batches={"breaks": True})
        with pytest.raises(ModelUnreachable):
            [result async for result in batches.results(batch)]
        return whole

    assert [result.custom_id for result in with_client(endpoint, read)] == ["a"]


def test_an_endpoint_that_answers_every_address_with_a_page(endpoint: ScriptedModel) -> None:
    endpoint.change(batches={"page": True})
    with pytest.raises(BatchNotOffered):
        with_client(endpoint, lambda batches: batches.check())
    for call in CALLS:
        with pytest.raises(ModelServerError):
            with_client(endpoint, call)


def test_files_are_deleted(endpoint: ScriptedModel) -> None:
    async def delete(batches: OpenAIBatches) -> None:
        batch, _ = await ended(batches, "a")
        await batches.upload("left behind", BytesIO(b"x"))
        assert len(endpoint.batches.files) == 3
        await batches.delete_files(batch.file_ids)
        await batches.delete_upload("another")
        assert len(endpoint.batches.files) == 1
        await batches.delete_upload("left behind")
        assert endpoint.batches.files == {}

    with_client(endpoint, delete)


WHOLE = {
    "custom_id": "a",
    "response": {
        "status_code": 200,
        "body": {
            "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1},
            "model": "m",
        },
    },
    "error": None,
}


def changed(*path: Any, to: Any) -> bytes:
    row = json.loads(json.dumps(WHOLE))
    place = row
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(row).encode()


def test_a_row_with_only_what_is_needed() -> None:
    reply = result_of(json.dumps(WHOLE).encode(), "e").reply
    assert reply is not None
    assert (reply.text, reply.usage) == ("yes", Usage(prompt_tokens=3, completion_tokens=1, calls=1))


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe", b"[]", b"null", b"7", b'{"custom_id": 7}', b"[" * 100_000, b'{"a": NaN}']
)
def test_a_line_of_which_nothing_is_known(line: bytes) -> None:
    assert result_of(line, "e") == BatchResult(custom_id=None, reply=None)


@pytest.mark.parametrize(
    "line",
    [
        changed("error", to={"code": "x"}),
        changed("response", to=None),
        changed("response", to=[]),
        changed("response", "status_code", to=500),
        changed("response", "body", to="<html>"),
        changed("response", "body", to={}),
        changed("response", "body", "choices", to=[]),
        changed("response", "body", "choices", to="x"),
        changed("response", "body", "choices", to=[7]),
        changed("response", "body", "choices", 0, "message", to=None),
        changed("response", "body", "choices", 0, "message", to=3),
        changed("response", "body", "choices", 0, "finish_reason", to=None),
    ],
)
def test_a_row_that_cannot_be_used(line: bytes) -> None:
    assert result_of(line, "e") == BatchResult(custom_id="a", reply=None)


@pytest.mark.parametrize(
    "line",
    [
        changed("response", "body", "choices", 0, "message", "content", to=[1]),
        changed("response", "body", "choices", 0, "logprobs", to={"content": [1]}),
        changed("response", "body", "choices", 0, "logprobs", to={"content": [{"token": 1, "logprob": "x"}]}),
        changed("response", "body", "usage", to={"prompt_tokens": "many", "completion_tokens": 1}),
        changed("response", "body", "usage", to={"prompt_tokens": -1, "completion_tokens": 1}),
        changed("response", "body", "usage", to={"prompt_tokens": 10**30, "completion_tokens": 1}),
        changed("response", "body", "usage", to=5),
        changed("response", "body", "model", to={"a": 1}),
    ],
)
def test_what_is_odd_in_a_row_is_left_out_as_in_a_live_call(line: bytes) -> None:
    body = json.dumps(json.loads(line)["response"]["body"]).encode()
    assert result_of(line, "e").reply == read_completion(body, endpoint="e", latency_s=0.0)
