"""An agent's version is over all that can change an answer, and what is stored is the agent again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from backend.core.agents import AgentVersion, agent_of, parameters_of, parse_reference
from backend.core.values import Agent, Example, version_of

AGENT = Agent(name="a", model="m", template="default.v1")
EXAMPLE = Example(data={"text": "good"}, answer={"sentiment": "positive"})
OTHER: dict[str, Any] = {
    "model": "other",
    "temperature": 0.5,
    "max_tokens": 9,
    "seed": None,
    "reasks": 2,
    "context_tokens": 999,
    "max_options": 9,
    "image_side": 99,
    "confidence": "logprob",
    "samples": 3,
    "sample_temperature": 0.1,
    "document_pages": 2,
    "relations": False,
    "base_url": "http://h/v1",
    "key_variable": "KEY",
    "reasoning_effort": "low",
    "examples": (EXAMPLE,),
    "retrieved": 5,
    "selector": "random",
    "guidance": "Mind the irony.",
    "embeddings_model": "small",
    "embeddings_url": "http://e/v1",
    "calibrated": {"of": "b", "means": {}},
    "provider": "student",
}
LATER = ("guidance", "calibrated", "provider")


def test_every_parameter_makes_another_version() -> None:
    assert set(OTHER) == {f.name for f in fields(Agent)} - {"name", "template"}
    versions = [AgentVersion.of(replace(AGENT, **{name: value}), "x").hash for name, value in OTHER.items()]
    versions += [AgentVersion.of(AGENT, "x").hash, AgentVersion.of(AGENT, "y").hash]
    assert len(set(versions)) == len(versions)


def test_a_name_and_a_files_name_make_none() -> None:
    assert AgentVersion.of(replace(AGENT, name="b", template="c"), "x").hash == AgentVersion.of(AGENT, "x").hash


@pytest.mark.parametrize("agent", [AGENT, replace(AGENT, **OTHER)])
def test_what_is_stored_is_the_agent_again(agent: Agent) -> None:
    assert agent_of(agent.name, agent.template, json.loads(json.dumps(parameters_of(agent)))) == agent


def test_parameters_of_a_later_release_are_left_out() -> None:
    assert agent_of("a", "default.v1", {**parameters_of(AGENT), "later": 1}) == AGENT


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("careful", ("careful", None)),
        ("a.b-c_1@0123abcd", ("a.b-c_1", "0123abcd")),
        *((text, None) for text in ("", "@0123abcd", "a@", "a@0123ABCD", "a b", "a@0123abcd\n", "-a", "x" * 41, "é")),
    ],
)
def test_references(text: str, parts: tuple[str, str | None] | None) -> None:
    assert parse_reference(text) == parts


def told(agent: Agent) -> str:
    return version_of(agent, template_source="x", config_fingerprint="f", instructions="")


def test_versions_of_before_agents_could_be_registered_stay() -> None:
    assert told(AGENT) == "a@e7d16dba"


@pytest.mark.parametrize("name", ["base_url", "key_variable", "reasoning_effort", "examples", "retrieved", *LATER])
def test_what_is_new_counts_where_it_is_set(name: str) -> None:
    assert told(replace(AGENT, **{name: OTHER[name]})) != told(AGENT)


def test_another_number_or_choice_of_retrieved_examples_is_another_version() -> None:
    agents = [replace(AGENT, retrieved=k, selector=how) for k in (5, 10) for how in ("tfidf", "random")]
    agents += [AGENT, replace(agents[0], context_tokens=2_000)]
    assert len({told(agent) for agent in agents}) == len(agents)
    assert told(replace(AGENT, selector="random")) == told(AGENT)  # nothing is chosen
