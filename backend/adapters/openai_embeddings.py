"""The embeddings of any endpoint that speaks OpenAI's `/embeddings`. What it sends is taken number by number."""

from __future__ import annotations

import asyncio
import json
import math
from array import array
from collections.abc import Sequence

import httpx
import openai

from backend.adapters.openai_model import OpenAIModel, timed_out, translate
from backend.core.errors import ContextTooLong, ModelBadRequest, ModelServerError
from backend.core.values import JSON
from backend.ports.embeddings import Embedded, Vector

MAX_NUMBERS = 16_384  # of a vector
_MAX_BYTES_A_TEXT = 32 * MAX_NUMBERS


class OpenAIEmbeddings:
    """`backend.ports.embeddings.Embedder` over the client of a model."""

    def __init__(self, model: OpenAIModel) -> None:
        self._client = model.client
        self._timeout_s = model.timeout_s
        self._set_by = model.set_by
        self.endpoint = model.endpoint

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        try:
            async with asyncio.timeout(self._timeout_s):
                raw = await self._client.post("/embeddings", cast_to=httpx.Response, body=body)
        except TimeoutError as error:
            raise timed_out(self.endpoint) from error
        except openai.OpenAIError as error:
            translated = translate(error, self.endpoint, self._set_by)
            if isinstance(translated, ContextTooLong):  # not of the prompt, which can be made shorter
                raise ModelBadRequest(
                    f"A text is too long for the embeddings model at {self.endpoint}: use another `embeddings_model`."
                ) from error
            raise translated from error
        found = read_embeddings(raw.content, len(texts))
        if found is None:
            raise ModelServerError(f"The endpoint {self.endpoint} gave embeddings that cannot be used.")
        return found


def read_embeddings(content: bytes, count: int) -> Embedded | None:
    """The vectors of an answer to `count` texts; None where it does not hold just these. Never raises."""
    if len(content) > 10_000 + count * _MAX_BYTES_A_TEXT:
        return None
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, dict) for row in rows):
        return None
    by_place = {place: row.get("embedding") for row in rows if type(place := row.get("index")) is int}
    vectors = [_vector(by_place.get(place)) for place in range(count)]
    found = [vector for vector in vectors if vector is not None]
    if len(found) != count or len({len(vector) for vector in found}) > 1:
        return None
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return Embedded(vectors=tuple(found), prompt_tokens=tokens if type(tokens) is int and tokens >= 0 else None)


def _vector(numbers: JSON) -> Vector | None:
    if not isinstance(numbers, list) or not 0 < len(numbers) <= MAX_NUMBERS:
        return None
    try:
        vector = array("f", numbers)
    except (TypeError, OverflowError, ValueError):
        return None
    return vector if all(map(math.isfinite, vector)) else None
