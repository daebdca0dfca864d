"""How a call ends that has no answer: which class, and whether it may have been paid for."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import openai
import pytest

from backend.adapters.openai_model import SetBy, translate
from backend.core.errors import ModelError, ModelTimeout, ModelUnreachable

ENDPOINT = "http://m/v1"


def failed(error: Exception) -> ModelError:
    """A call on whose way this happens, as the client tells it."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    async def ask() -> ModelError:
        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with openai.AsyncOpenAI(base_url=ENDPOINT, api_key="k", max_retries=0, http_client=http) as client:
            with pytest.raises(openai.OpenAIError) as caught:
                await client.post("/chat/completions", cast_to=httpx.Response, body={})
        return translate(caught.value, ENDPOINT, SetBy())

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("error", "expected", "lost"),
    [
        (httpx.ConnectError("refused"), ModelUnreachable, False),
        (httpx.ConnectTimeout("nobody there"), ModelUnreachable, False),
        (httpx.ReadError("reset"), ModelUnreachable, True),
        (httpx.WriteError("reset"), ModelUnreachable, True),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), ModelUnreachable, True),
        (httpx.ReadTimeout("no answer"), ModelTimeout, True),
        (httpx2.ConnectError("refused"), ModelUnreachable, False),
        (httpx2.ConnectTimeout("nobody there"), ModelUnreachable, False),
        (httpx2.ReadError("reset"), ModelUnreachable, True),
    ],
)
def test_only_what_was_not_sent_is_surely_free(error: Exception, expected: type[ModelError], lost: bool) -> None:
    translated = failed(error)
    assert (type(translated), translated.lost) == (expected, lost)
    assert str(translated).startswith(f"The model endpoint {ENDPOINT} ")
