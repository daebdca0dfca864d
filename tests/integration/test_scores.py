"""Where a score comes from, over real HTTP: what the endpoint gives decides, and is found out once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from backend.adapters.openai_model import OpenAIModel
from backend.core.values import Outcome
from backend.services.annotate import Caller, annotate_task
from tests.fakes.memory_media import MemoryMedia
from tests.fakes.scripted_model import ScriptedModel
from tests.integration.test_openai_model import Remembered
from tests.samples import SENTIMENT, question, task

pytestmark = pytest.mark.integration
SPANS = (
    '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="PER"/></Labels>'
    '<Rating name="stars" toName="text"/></View>'
)


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


def annotated(endpoint: ScriptedModel, xml: str = SENTIMENT, *, tasks: int = 1, **agent: Any) -> list[Outcome]:
    async def asked() -> list[Outcome]:
        model = OpenAIModel(base_url=endpoint.base_url, api_key="k", timeout_s=10, memory=Remembered())
        caller = Caller(model=model, media=MemoryMedia(), sleep=asyncio.sleep, random=random.random)
        try:
            asking = question(xml, confidence=agent.pop("confidence", "auto"), **agent)
            return [await annotate_task(asking, task(text=f"Ann loves it {n}"), caller) for n in range(tasks)]
        finally:
            await model.close()

    return asyncio.run(asked())


def test_token_probabilities_take_one_call(endpoint: ScriptedModel) -> None:
    (found,) = annotated(endpoint, SPANS)
    assert [f.method for f in found.fields] == ["value_logprob", "label_logprob"]
    assert found.usage.calls == 1
    assert found.score is not None


@pytest.mark.parametrize("change", [{"refuse": ["logprobs"]}, {"ignore": ["logprobs"]}])
def test_without_them_five_answers_are_compared(endpoint: ScriptedModel, change: dict[str, Any]) -> None:
    endpoint.change(**change)
    first, second = annotated(endpoint, SPANS, tasks=2)
    assert [f.method for f in first.fields] == ["agreement", "agreement"]
    assert (first.usage.calls, second.usage.calls) == (5, 5)
    assert first.score is not None
    probes = len(endpoint.requests) - 10
    assert probes <= 3  # once for both tasks
    asked = list(endpoint.requests)[-5:]
    assert [body["temperature"] for body in asked] == [0.0, 0.7, 0.7, 0.7, 0.7]
    assert len({body["seed"] for body in asked}) == 5


def test_an_endpoint_that_takes_no_temperature_is_asked_without(endpoint: ScriptedModel) -> None:
    endpoint.change(refuse=["logprobs", "temperature", "seed"])
    (found,) = annotated(endpoint)
    assert (found.usage.calls, found.fields[0].method) == (5, "agreement")
    assert "temperature" not in endpoint.requests[-1]
