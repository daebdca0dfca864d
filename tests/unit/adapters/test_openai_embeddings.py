"""Embeddings: what an endpoint sends is taken only where it is one vector for each text."""

from __future__ import annotations

import asyncio
import json
from array import array
from typing import Any

import httpx2
import openai
import pytest

from backend.adapters.openai_embeddings import MAX_NUMBERS, OpenAIEmbeddings, read_embeddings
from backend.adapters.openai_model import OpenAIModel, SetBy
from backend.core.errors import ModelBadRequest, ModelError, ModelServerError, ModelUnauthorized, ModelUnknown
from backend.ports.embeddings import Embedded
from tests.fakes.installation import HandClock, memory_store


def row(index: Any, *numbers: Any) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": list(numbers)}


def read(answer: Any, count: int = 2) -> Embedded | None:
    return read_embeddings(json.dumps(answer).encode(), count)


def test_vectors_stand_in_the_texts_order() -> None:
    found = read({"data": [row(1, 3, 4.5), row(0, 1, 2)], "usage": {"prompt_tokens": 7}})
    assert found == Embedded(vectors=(array("f", [1, 2]), array("f", [3, 4.5])), prompt_tokens=7)


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": "7"}]
)
def test_tokens_that_are_not_told_are_not_known(usage: Any) -> None:
    found = read({"data": [row(0, 1)], "usage": usage}, 1)
    assert found is not None
    assert found.prompt_tokens is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"data": None},
        {"data": {"0": row(0, 1)}},
        {"data": [row(0, 1)]},
        {"data": [row(0, 1), row(1, 1), row(2, 1)]},
        {"data": [row(0, 1), row(0, 1)]},
        {"data": [row(0, 1), row(True, 1)]},
        {"data": [row(0, 1), row([], 1)]},
        {"data": [row(0, 1), None]},
        {"data": [row(0, 1), row(1)]},
        {"data": [row(0, 1), row(1, 1, 2)]},
        {"data": [row(0, 1), row(1, "1")]},
        {"data": [row(0, 1), row(1, None)]},
        {"data": [row(0, 1), row(1, 1e300)]},
        {"data": [row(0, 1), row(1, 10**400)]},
        {"data": [row(0, 1), row(1, float("nan"))]},
        {"data": [row(0, 1), {"index": 1, "embedding": "AAAA"}]},
        {"data": [row(n, *[0.0] * (MAX_NUMBERS + 1)) for n in range(2)]},
    ],
)
def test_anything_else_is_no_answer(answer: Any) -> None:
    assert read(answer) is None


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff", b"[" * 100_000, b" " * 10_000_000])
def test_what_is_no_json_is_no_answer(content: bytes) -> None:
    assert read_embeddings(content, 1) is None


def embed(handler: Any, *texts: str) -> Embedded:
    async def once() -> Embedded:
        model = OpenAIModel(
            base_url="http://model/v1",
            api_key="key",
            timeout_s=5,
            memory=memory_store(HandClock()),
            set_by=SetBy(model="`embeddings_model` of the agent 'a'"),
        )
        await model.client.close()
        transport = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
        model.client = openai.AsyncOpenAI(
            base_url="http://model/v1", api_key="key", max_retries=0, http_client=transport
        )
        try:
            return await OpenAIEmbeddings(model).embed("small", texts)
        finally:
            await model.close()

    return asyncio.run(once())


def test_all_texts_go_in_one_call() -> None:
    asked: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={"data": [row(0, 1.0), row(1, 2.0)]})

    assert embed(answer, "one", "two").vectors == (array("f", [1.0]), array("f", [2.0]))
    assert asked == [("/v1/embeddings", {"model": "small", "input": ["one", "two"], "encoding_format": "float"})]


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, {}, ModelUnauthorized, "does not accept OPENAI_API_KEY"),
        (404, {}, ModelUnknown, "has no such model or route: check `embeddings_model` of the agent 'a'"),
        (
            400,
            {"error": {"message": "maximum context length"}},
            ModelBadRequest,
            "A text is too long for the embeddings",
        ),
        (500, {}, ModelServerError, "failed with HTTP 500"),
        (200, {"data": []}, ModelServerError, "gave embeddings that cannot be used"),
    ],
)
def test_what_goes_wrong_is_one_of_our_errors(status: int, body: Any, error: type[ModelError], words: str) -> None:
    with pytest.raises(error, match=words):
        embed(lambda _: httpx2.Response(status, json=body), "one")
