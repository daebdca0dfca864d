"""The agents of this installation: the one of the settings, and those that are registered; which one a project has."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from backend.core.agents import AgentVersion, parse_reference
from backend.core.errors import AgentUnknown, InputError
from backend.core.text import storable
from backend.core.values import JSON
from backend.ports.agents import RegisteredAgent, RegisteredAgents
from backend.ports.store import ProjectRow

_log = logging.getLogger(__name__)
_MOST_NAMED = 10
_MOST_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class Agents:
    """Registered agents beside `default`, the one of the settings, which goes by its name whatever is registered."""

    store: RegisteredAgents
    default: AgentVersion

    def find(self, text: str) -> AgentVersion:
        """The agent that NAME (its newest version that is not retired) or NAME@HASH means. Raises `AgentUnknown`."""
        found = self._known(text)
        if found is None:
            names = dict.fromkeys([self.default.agent.name, *(a.version.agent.name for a in self._offered())])
            told = ", ".join(list(names)[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
            raise AgentUnknown(
                f"There is no agent {text[:_MOST_CHARS]!r}: choose one of {told} (`prelabel agents list`)."
            )
        return found

    def of(self, row: ProjectRow | None) -> AgentVersion:
        """The project's agent: by the extra params of its backend, else by choice, else that of the settings."""
        for reference in (row.extra_agent, row.agent) if row is not None else ():
            if reference is None:
                continue
            found = self._known(reference)
            if found is not None:
                return found
            _log.warning("a project's agent is not in the database", extra={"agent": reference})
        return self.default

    def maker(self, row: ProjectRow, version: str) -> AgentVersion:
        """The agent that a version of the project's predictions was made for, which may have another one by now."""
        made = [v.agent for v in self.store.project_versions(project_id=row.id) if v.version == version]
        known = self._known(made[0]) if made else None
        if known is None and made and (parse_reference(made[0]) or ("",))[0] == self.default.agent.name:
            return self.default  # as the settings have it now
        return known or self.of(row)

    def reference(self, version: AgentVersion) -> str:
        """What to remember of a choice. The agent of the settings changes with them: only its name."""
        return version.agent.name if version.agent.name == self.default.agent.name else version.reference

    def follow(self, row: ProjectRow, extra_params: JSON) -> ProjectRow:
        """The row after what Label Studio's extra params say of an agent. A choice that cannot be followed changes
        nothing but `agent_problem`."""
        try:
            wanted = wanted_agent(extra_params)
            extra = self.reference(self.find(wanted)) if wanted is not None else None
        except (AgentUnknown, InputError) as error:
            problem = f"Label Studio's extra params are not followed: {error}"
            if problem != row.agent_problem:
                _log.warning("extra params are not followed", extra={"project": row.id, "reason": error.for_log})
            return replace(row, agent_problem=problem)
        return replace(row, extra_agent=extra, agent_problem=None)

    def need_free(self, name: str) -> None:
        """Raises `InputError` for the name of the settings' agent: it would never be found."""
        if name == self.default.agent.name:
            raise InputError(
                f"The name {name!r} is that of the agent from the settings (PRELABEL_AGENT): take another one."
            )

    def retire(self, text: str) -> int:
        """Retire NAME, all its versions, or NAME@HASH; returns how many. Raises `AgentUnknown`."""
        name, digest = parse_reference(text) or ("", None)
        if name == self.default.agent.name:
            raise InputError(f"{name!r} is the agent from the settings, which cannot be retired: set PRELABEL_AGENT.")
        if not any(a.version.agent.name == name and digest in (None, a.version.hash) for a in self.store.agents()):
            self.find(text)
        return self.store.retire_agent(name, digest)

    def _known(self, text: str) -> AgentVersion | None:
        name, digest = parse_reference(text) or ("", None)
        if name == self.default.agent.name and digest in (None, self.default.hash):
            return self.default
        found = self.store.agent(name, digest) if name else None
        return found.version if found is not None else None

    def _offered(self) -> list[RegisteredAgent]:
        return [a for a in self.store.agents() if a.retired_at is None]


def wanted_agent(extra_params: JSON) -> str | None:
    """The agent that extra params name; None where they name none. An object, or a string that holds one.

    Raises `InputError` where they name something else than an agent.
    """
    if isinstance(extra_params, str):
        try:
            extra_params = json.loads(extra_params)
        except (ValueError, RecursionError):
            return None
    wanted = extra_params.get("agent") if isinstance(extra_params, Mapping) else None
    if wanted is None or wanted == "":
        return None
    if not isinstance(wanted, str) or parse_reference(wanted) is None:
        raise InputError('"agent" must be the name of an agent, or NAME@HASH.')
    return str(storable(wanted))
