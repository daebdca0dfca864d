"""Endpoints at which every call costs one cent."""

from __future__ import annotations

from collections.abc import Container

from backend.core.values import Agent, Request, Usage
from backend.ports.model import Capabilities


class PricedEndpoints:
    """`backend.services.trial_usage.KnownEndpoints`. `stored`: the keys of requests whose replies are."""

    def __init__(self, stored: Container[str] = (), known: Capabilities | None = None) -> None:
        self.stored = stored
        self.known = known

    def cost(self, model: str, usage: Usage, agent: Agent) -> float | None:
        return usage.calls / 100

    def capabilities(self, agent: Agent) -> Capabilities | None:
        return self.known

    def is_stored(self, agent: Agent, request: Request) -> bool:
        return request.key in self.stored
