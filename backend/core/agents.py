"""Agents as they are registered: immutable, each version with its template's source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from backend.core.values import JSON, Agent, Example, canonical_hash

AGENT_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}"
_REFERENCE = re.compile(rf"(?P<name>{AGENT_NAME})(@(?P<hash>[0-9a-f]{{8}}))?")


@dataclass(frozen=True, kw_only=True)
class AgentVersion:
    """An agent and all that makes its answers. `hash` is over that; nothing of it ever changes."""

    agent: Agent
    template_source: str
    hash: str  # eight hex digits

    @classmethod
    def of(cls, agent: Agent, template_source: str) -> AgentVersion:
        content = {name: value for name, value in parameters_of(agent).items() if value not in (None, [])}
        return cls(
            agent=agent,
            template_source=template_source,
            hash=canonical_hash({**content, "template": template_source})[:8],
        )

    @property
    def reference(self) -> str:
        return f"{self.agent.name}@{self.hash}"


def parameters_of(agent: Agent) -> dict[str, JSON]:
    """Everything of an agent but its names, as JSON. A field that is added later is None or empty by default, or the
    hashes of what is registered would not be found again."""
    values = {f.name: getattr(agent, f.name) for f in fields(agent) if f.name not in ("name", "template")}
    return {**values, "examples": [{"data": dict(e.data), "answer": dict(e.answer)} for e in agent.examples]}


def agent_of(name: str, template: str, parameters: Mapping[str, JSON]) -> Agent:
    """The agent whose `parameters_of` these are."""
    known = {f.name for f in fields(Agent)} - {"name", "template", "examples"}
    values = {key: value for key, value in parameters.items() if key in known}
    examples = tuple(Example(data=e["data"], answer=e["answer"]) for e in parameters.get("examples") or ())
    return replace(Agent(name=name, template=template, model=str(values["model"])), **values, examples=examples)


def parse_reference(text: str) -> tuple[str, str | None] | None:
    """NAME or NAME@HASH as its two parts; None for anything else."""
    found = _REFERENCE.fullmatch(text)
    return (found["name"], found["hash"]) if found else None
