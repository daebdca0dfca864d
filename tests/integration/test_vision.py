"""Images over real HTTP: whether a model sees them is found out once, and how they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backend.adapters.openai_model import OpenAIModel, describe
from backend.core.errors import ModelServerError
from backend.core.values import Message, Reply
from tests.fakes.pictures import data_uri, drawn
from tests.fakes.scripted_model import ScriptedModel
from tests.integration.test_openai_model import REQUEST, Remembered

pytestmark = pytest.mark.integration
ABOUT_IMAGE = replace(
    REQUEST,
    schema={
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    },
    messages=(
        Message(
            role="user",
            content='Data "photo":\n~~~\nImage 1\n~~~\n\n"colour": exactly one of these:\n- red\n- green\n- blue',
            images=(data_uri(drawn(colour="green")), data_uri(drawn(colour="blue"))),
        ),
    ),
)


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


def takes_images(endpoint: ScriptedModel, memory: Remembered | None = None, *, times: int = 1) -> list[bool]:
    async def asked() -> list[bool]:
        model = OpenAIModel(
            base_url=endpoint.base_url, api_key="k", timeout_s=10, memory=memory if memory is not None else Remembered()
        )
        try:
            return list(await asyncio.gather(*(model.takes_images("scripted") for _ in range(times))))
        finally:
            await model.close()

    return asyncio.run(asked())


def test_a_model_that_sees_the_colour_takes_images(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    assert takes_images(endpoint, memory, times=5) == [True] * 5
    calls = endpoint.counts()["calls"]
    assert takes_images(endpoint, memory) == [True]
    assert endpoint.counts()["calls"] == calls  # remembered
    (found,) = memory.rows.values()
    assert found.images is True
    assert describe(found)["images"] == "yes"


@pytest.mark.parametrize("how", ["refuse", "ignore"])
def test_a_model_that_refuses_or_overlooks_an_image_takes_none(endpoint: ScriptedModel, how: str) -> None:
    endpoint.change(**{how: ["images"]})
    memory = Remembered()
    assert takes_images(endpoint, memory) == [False]
    (found,) = memory.rows.values()
    assert found.images is False
    assert found.structured == "json_schema"  # what is remembered of text is not lowered by it
    assert describe(found)["images"] == "no"


def test_a_server_that_says_500_about_the_image(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    takes_images_before = takes_images(endpoint, memory)
    assert takes_images_before == [True]
    memory.rows = {key: replace(found, images=None) for key, found in memory.rows.items()}
    body = {"error": {"message": "image input is not supported - hint: you may need to provide the mmproj"}}
    endpoint.change(fail=[{"status": 500, "body": body}])
    assert takes_images(endpoint, memory) == [False]


def test_a_server_that_fails_says_nothing_about_images(endpoint: ScriptedModel) -> None:
    memory = Remembered()
    takes_images(endpoint, memory)
    memory.rows = {key: replace(found, images=None) for key, found in memory.rows.items()}
    endpoint.change(fail=[{"status": 500}])
    with pytest.raises(ModelServerError):
        takes_images(endpoint, memory)
    assert takes_images(endpoint, memory) == [True]


@pytest.mark.parametrize("refused", [[], ["json_schema"], ["json_schema", "json_object", "logprobs"]])
def test_images_are_sent_numbered_before_the_text(endpoint: ScriptedModel, refused: list[str]) -> None:
    endpoint.change(refuse=refused)

    async def asked() -> Reply:
        model = OpenAIModel(base_url=endpoint.base_url, api_key="k", timeout_s=10, memory=Remembered())
        try:
            return await model.ask(ABOUT_IMAGE)
        finally:
            await model.close()

    assert '"green"' in asyncio.run(asked()).text
    (message,) = endpoint.requests[-1]["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in message["content"] if "text" in part][:2] == ["Image 1:", "Image 2:"]
    assert message["content"][-1]["text"] == ABOUT_IMAGE.messages[0].content


def test_an_image_changes_the_key_of_a_request_and_text_alone_keeps_it() -> None:
    (message,) = ABOUT_IMAGE.messages
    other = replace(ABOUT_IMAGE, messages=(replace(message, images=message.images[:1]),))
    assert len({ABOUT_IMAGE.key, other.key, replace(ABOUT_IMAGE, messages=(replace(message, images=()),)).key}) == 3
