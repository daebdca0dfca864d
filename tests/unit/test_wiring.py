"""Which endpoint, key and limits an agent's calls have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.adapters.openai_model import OpenAIModel, SetBy
from backend.adapters.sql.records import LEASE
from backend.core.agents import AgentVersion
from backend.core.errors import SettingsError, TemplateError
from backend.core.retry import MAX_ATTEMPTS
from backend.core.values import Agent, Example
from backend.ports.governor import GovernorLevel
from backend.ports.meters import LIMIT_WAIT_SECONDS
from backend.services.keeping import LONGEST_S as LONGEST_KEEPING_S
from backend.services.message_time import LONGEST_CHUNK_S
from backend.settings import Settings
from backend.wiring import Parts
from tests.fakes.installation import AGENT, Installation

OWN = {"openai_base_url": "http://usual/v1", "openai_api_key": "usual-key", "database_url": "sqlite://"}


def agent(**changes: Any) -> Agent:
    return Agent(name="careful", model="m", template="default.v1", **changes)


def endpoint_and_key(parts: Parts, one: Agent | None) -> tuple[str, str]:
    async def look() -> tuple[str, str]:
        async with parts.endpoints.model(agent=one) as model:
            return model.endpoint, model.client.api_key

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (None, ("http://usual/v1", "usual-key")),
        (agent(), ("http://usual/v1", "usual-key")),
        (agent(base_url="http://own/v1"), ("http://own/v1", "usual-key")),
        (agent(base_url="http://own/v1", key_variable="OWN_KEY"), ("http://own/v1", "own-key")),
        (agent(key_variable="OWN_KEY"), ("http://usual/v1", "own-key")),
    ],
)
def test_an_agent_is_asked_at_its_endpoint_with_its_key(
    monkeypatch: pytest.MonkeyPatch, one: Agent | None, expected: tuple[str, str]
) -> None:
    monkeypatch.setenv("OWN_KEY", "own-key")
    assert endpoint_and_key(Parts(Settings(**OWN)), one) == expected


def test_a_key_that_is_not_set_is_told_by_the_name_of_its_variable() -> None:
    with pytest.raises(SettingsError, match="takes its key from ABSENT_KEY, which is not set"):
        endpoint_and_key(Parts(Settings(**OWN)), agent(key_variable="ABSENT_KEY"))


def test_calls_with_another_key_have_limits_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "own-key")
    parts = Parts(Settings(**OWN))

    async def names(one: Agent | None) -> tuple[str, ...]:
        async with parts.endpoints.governor("http://usual/v1", one) as governor:
            return tuple(governor.names("m"))

    usual, own = asyncio.run(names(None)), asyncio.run(names(agent(key_variable="OWN_KEY")))
    assert asyncio.run(names(agent())) == usual
    assert set(usual) & set(own) == set()


def test_limits_are_told_of_agents_with_an_endpoint_of_their_own_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "own-key")
    installation = Installation()
    parts = installation.parts(**OWN)
    del vars(parts.endpoints)["limits"]
    for name, model, more in (
        ("own", "own-model", {"base_url": "http://own/v1"}),
        ("keyed", "own-model", {"base_url": "http://own/v1", "key_variable": "OWN_KEY"}),
        ("idle", "never-asked", {"base_url": "http://idle/v1"}),
        ("keyless", "own-model", {"base_url": "http://keyless/v1", "key_variable": "ABSENT_KEY"}),
    ):
        one = replace(AGENT, name=name, model=model, examples=(Example(data={"a": 1}, answer={"b": 2}),), **more)
        installation.store.add_agent(AgentVersion.of(one, parts.projects.template_source))
    installation.meters.add(LIMIT_WAIT_SECONDS, "own-model")
    installation.meters.add(LIMIT_WAIT_SECONDS, "other-model")

    class Told:
        def __init__(self, used: int) -> None:
            self.used = used

        async def level(self, model: str) -> GovernorLevel:
            return GovernorLevel(
                requests_per_minute=None,
                tokens_per_minute=None,
                requests_used=self.used,
                tokens_used=0,
                in_flight=0,
                window=None,
                paused_s=0.0,
            )

    @asynccontextmanager
    async def governor(endpoint: str, agent: Agent | None = None) -> AsyncIterator[Told]:
        parts.settings.endpoint_key(agent.key_variable if agent else None)
        yield Told(7 if agent is not None and agent.key_variable else 1)

    vars(parts.endpoints)["governor"] = governor
    found = {place: level.requests_used for place, level in parts.endpoints.limits().items()}
    usual = "http://usual/v1"
    assert found == {(usual, "gpt-4o-mini"): 1, (usual, "other-model"): 1, ("http://own/v1", "own-model"): 7}


def test_a_template_of_the_settings_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ shape }}{% endblock %}")
    with pytest.raises(TemplateError, match="between two lines of its fence"):
        Parts(Settings(**OWN, prompts_dir=tmp_path, template="mine")).projects  # noqa: B018


def test_the_batch_api_that_a_run_needs_is_that_of_its_agent_s_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    installation = Installation(cached=True)
    asked: list[str] = []
    parts = installation.parts(**OWN)
    project_id, _ = installation.project("good")
    other = AgentVersion.of(replace(AGENT, name="other", base_url="http://own/v1"), parts.projects.template_source)
    installation.store.add_agent(other)

    class Offered:
        def __init__(self, model: OpenAIModel) -> None:
            self.endpoint = model.endpoint

        async def check(self) -> None:
            asked.append(self.endpoint)

    monkeypatch.setattr("backend.endpoints.OpenAIBatches", Offered)
    parts.start_run(project_id, lane="batch")
    parts.start_run(project_id, lane="batch", agent="other")
    parts.projects.choose(installation.labels, project_id, "other")
    parts.start_run(project_id, lane="batch")
    assert asked == ["http://usual/v1", "http://own/v1", "http://own/v1"]


def test_a_message_has_time_for_the_longest_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr("backend.wiring.RedisQueue", lambda url, *, chunk_timeout_s: given.append(chunk_timeout_s))
    for timeout_s in (120.0, 3600.0):
        Parts(Settings(**OWN, request_timeout_s=timeout_s)).queue  # noqa: B018
        assert given[-1] > LONGEST_CHUNK_S + LONGEST_KEEPING_S + 1.25 * MAX_ATTEMPTS * timeout_s
    assert LEASE.total_seconds() > given[-1]


@pytest.mark.parametrize(
    ("one", "key", "base_url", "model"),
    [
        (None, "OPENAI_API_KEY", "OPENAI_BASE_URL", "PRELABEL_MODEL"),
        (agent(), "OPENAI_API_KEY", "OPENAI_BASE_URL", "`model` of the agent 'careful'"),
        (
            agent(base_url="http://own/v1", key_variable="OWN_KEY"),
            *("OWN_KEY", "`base_url` of the agent 'careful'", "(`prelabel agents show careful`)"),
        ),
    ],
)
def test_errors_name_what_sets_an_agent_s_endpoint(
    monkeypatch: pytest.MonkeyPatch, one: Agent | None, key: str, base_url: str, model: str
) -> None:
    monkeypatch.setenv("OWN_KEY", "own-key")

    async def set_by() -> SetBy:
        async with Parts(Settings(**OWN)).endpoints.model(agent=one) as opened:
            return opened.set_by

    told = asyncio.run(set_by())
    assert (told.key, base_url in told.base_url, model in told.model) == (key, True, True)
