"""Registered agents, and which version of a project's predictions each of them makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.core.agents import AgentVersion


@dataclass(frozen=True, kw_only=True)
class RegisteredAgent:
    """One version of an agent, as it is registered."""

    version: AgentVersion
    created_at: datetime
    added_at: datetime  # the last time: what was added last is the newest version of its name
    retired_at: datetime | None  # no longer found by its name alone


@dataclass(frozen=True, kw_only=True)
class ProjectVersion:
    """A version of a project's predictions, and the agent that makes them."""

    project_id: int
    version: str
    agent: str  # name@hash
    created_at: datetime


class RegisteredAgents(Protocol):
    """Raises `StoreError`."""

    def add_agent(self, version: AgentVersion) -> bool:
        """Register it as the newest version of its name; False where it was registered before. What was retired is
        there again."""
        ...

    def agent(self, name: str, digest: str | None = None) -> RegisteredAgent | None:
        """The version with that hash, retired or not; without one the newest that is not retired."""
        ...

    def agents(self) -> list[RegisteredAgent]:
        """By name, the newest version of each first."""
        ...

    def retire_agent(self, name: str, digest: str | None = None) -> int:
        """Retire one version, or all of the name; returns how many were not retired before."""
        ...

    def note_project_version(self, project_id: int, version: str, agent: str, question: str) -> None:
        """Remember which agent makes a version. `question` is the same for versions that ask the same of a task:
        a hash over labeling config and instructions."""
        ...

    def project_versions(self, *, project_id: int | None = None, agent: str | None = None) -> list[ProjectVersion]:
        """Those of a project or of an agent (name@hash), oldest first."""
        ...

    def versions_beside(self, project_id: int) -> list[str]:
        """The versions of jobs that have an agent of their own, where they ask the same of a task as the project's
        current version does."""
        ...
