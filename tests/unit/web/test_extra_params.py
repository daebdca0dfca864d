"""Label Studio's "extra params" of a backend, which come in `/setup`, choose the project's agent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.core.agents import AgentVersion
from tests.fakes.installation import AGENT, CONFIG, Installation


def setup(client: FlaskClient, **body: Any) -> str:
    answer = client.post("/setup", json={"project": "1.1000000000", "schema": CONFIG, **body})
    assert answer.status_code == 200
    return str(answer.json["model_version"])


@pytest.fixture
def careful(installation: Installation) -> AgentVersion:
    version = AgentVersion.of(replace(AGENT, name="careful"), installation.projects.template_source)
    installation.store.add_agent(version)
    return version


@pytest.mark.parametrize("as_string", [False, True])
@pytest.mark.parametrize("with_hash", [False, True])
def test_an_agent_is_chosen(
    installation: Installation, client: FlaskClient, careful: AgentVersion, as_string: bool, with_hash: bool
) -> None:
    chosen = {"agent": careful.reference if with_hash else "careful", "other": 1}
    version = setup(client, extra_params=json.dumps(chosen) if as_string else chosen)
    assert version.startswith("careful@")
    assert installation.version(1) == version
    assert [message.work for message in installation.queue.messages] == ["sync_project"]


def test_without_extra_params_it_is_as_before(client: FlaskClient, careful: AgentVersion) -> None:
    plain = setup(client)
    assert plain.startswith("tests@")
    chosen = setup(client, extra_params={"agent": "careful"})
    assert setup(client) == chosen  # a request that does not carry any
    assert setup(client, extra_params=None) == plain
    assert setup(client, extra_params={}) == plain


@pytest.mark.parametrize("wrong", ["nobody", 5, ["careful"], "\x00", "x" * 10_000, {"agent": "careful"}])
def test_what_is_not_known_changes_nothing(
    installation: Installation, client: FlaskClient, careful: AgentVersion, wrong: Any
) -> None:
    before = setup(client, extra_params={"agent": "careful"})
    assert setup(client, extra_params={"agent": wrong}) == before
    row = installation.store.project(1)
    assert row is not None
    assert str(row.agent_problem).startswith("Label Studio's extra params are not followed")
    assert len(str(row.agent_problem)) < 300


def test_an_unsupported_config_has_the_name_of_its_agent(client: FlaskClient, careful: AgentVersion) -> None:
    assert setup(client, schema="<View/>", extra_params={"agent": "careful"}) == "careful@unsupported"
