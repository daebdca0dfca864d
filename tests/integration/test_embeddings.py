"""Vectors from an endpoint, put together as they are in a worker: its key, its account at the governor, its store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.core.errors import ModelUnauthorized
from backend.core.values import Agent
from backend.ports.embeddings import Vector
from backend.settings import Settings
from backend.wiring import Parts
from scripts.services import Redis
from tests.fakes.scripted_model import ScriptedModel

pytestmark = pytest.mark.integration

KEY = "sk-secret"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(api_key=KEY) as running:
        yield running


@pytest.fixture
def other() -> Iterator[ScriptedModel]:
    with ScriptedModel(api_key=KEY) as running:
        yield running


@pytest.fixture
def agent(other: ScriptedModel) -> Agent:
    return Agent(
        name="near",
        model="scripted",
        template="default.v1",
        retrieved=3,
        selector="embeddings",
        embeddings_model="small",
        embeddings_url=other.base_url,
    )


@pytest.fixture
def parts(redis: Redis, model: ScriptedModel, tmp_path: Path) -> Iterator[Parts]:
    made = opened(redis, model, tmp_path)
    yield made
    made.store.close()


def opened(redis: Redis, model: ScriptedModel, folder: Path, key: str = KEY) -> Parts:
    settings = {
        "REDIS_URL": redis.url,
        "DATABASE_URL": f"sqlite:///{folder}/vectors.sqlite3",
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": key,
        "PRELABEL_MODEL": "scripted",
    }
    parts = Parts(Settings.model_validate(settings))
    parts.store.migrate()
    return parts


def embedded(parts: Parts, agent: Agent, *texts: str) -> list[Vector]:
    async def once() -> list[Vector]:
        async with parts.endpoints.caller(agent) as caller:
            return list(await caller.embed("small", texts))

    return asyncio.run(once())


def test_each_text_goes_to_the_endpoint_once(
    parts: Parts, agent: Agent, model: ScriptedModel, other: ScriptedModel
) -> None:
    first = embedded(parts, agent, "a big apple", "one tree")
    assert list(first[0][:2]) == [2.0, 1.0]
    assert embedded(parts, agent, "one tree", "a big apple", "new") == [
        first[1],
        first[0],
        *embedded(parts, agent, "new"),
    ]
    assert [body["input"] for body in other.embedded] == [["a big apple", "one tree"], ["new"]]
    assert list(model.embedded) == []


def test_its_calls_are_in_the_governors_account(parts: Parts, agent: Agent, other: ScriptedModel) -> None:
    embedded(parts, agent, *(f"text {n}" for n in range(40)))
    assert [len(body["input"]) for body in other.embedded] == [32, 8]

    async def level() -> int:
        async with parts.endpoints.governor(other.base_url, agent) as governor:
            return (await governor.level("small")).requests_used

    assert asyncio.run(level()) == 2


def test_without_an_address_of_its_own_it_is_the_models(parts: Parts, agent: Agent, model: ScriptedModel) -> None:
    embedded(parts, replace(agent, embeddings_url=None), "a text")
    assert len(model.embedded) == 1


def test_what_add_tells_and_refuses(
    parts: Parts, agent: Agent, redis: Redis, model: ScriptedModel, tmp_path: Path
) -> None:
    assert parts.endpoints.describe_model(agent)["embeddings"] == "small, 26 numbers a text"
    assert "embeddings" not in parts.endpoints.describe_model(replace(agent, embeddings_model=None))
    with pytest.raises(ModelUnauthorized, match="does not accept OPENAI_API_KEY"):
        embedded(opened(redis, model, tmp_path, "wrong"), agent, "another text")
