"""Commands, service and workers must run with the same settings: each computes the version for itself.

Where they differ, they overwrite each other's version for ever, and no other advice helps. So the service (in
`/health`) and each worker (in Redis) tell fingerprints of what they were started with. Only fingerprints: `/health`
may be open to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend import __version__
from backend.core.errors import QueueError, SettingsError
from backend.core.values import Agent, canonical_hash
from backend.ports.queue import Queue
from backend.ports.service import Service

RESTART = "restart `prelabel serve` and `prelabel worker` with the same environment"
_FINGERPRINT_CHARS = 8
_EXPLAINED = {"DATABASE_URL": "DATABASE_URL, by default a file in the folder in which each was started"}


def fingerprints(agent: Agent, *, template_source: str, database: str, endpoint: str) -> dict[str, str]:
    """Variable -> fingerprint of everything that makes the version, of the model's endpoint, and of the database.

    Two names may lead to one PostgreSQL server, so that only what is on SQLite is told apart by its place.
    """
    values = {
        "PRELABEL_AGENT": agent.name,
        "PRELABEL_MODEL": agent.model,
        "OPENAI_BASE_URL": endpoint,
        "PRELABEL_TEMPLATE": template_source,
        "PRELABEL_TEMPERATURE": agent.temperature,
        "PRELABEL_MAX_TOKENS": agent.max_tokens,
        "PRELABEL_REASKS": agent.reasks,
        "PRELABEL_CONFIDENCE": agent.confidence,
        "PRELABEL_SAMPLES": agent.samples,
        "PRELABEL_SAMPLE_TEMPERATURE": agent.sample_temperature,
        "PRELABEL_MEDIA_MAX_SIDE": agent.image_side,
        "PRELABEL_MEDIA_MAX_PAGES": agent.document_pages,
        "PRELABEL_MAX_OPTIONS": agent.max_options,
        "PRELABEL_CONTEXT_TOKENS": agent.context_tokens,
        "PRELABEL_RELATIONS": agent.relations,
        "DATABASE_URL": database if database.startswith("sqlite") else "postgresql",
        "Prelabel's own version": __version__,
    }
    return {name: canonical_hash(value)[:_FINGERPRINT_CHARS] for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class SameSettings:
    """Compares what others were started with to `here`, this process's own fingerprints."""

    queue: Queue
    service: Service
    here: Mapping[str, str]

    def need(self, backend_urls: list[str]) -> None:
        """Raises `SettingsError` when a worker, or the service at one of these addresses, runs with others."""
        try:
            problem = self.worker_problem()
        except QueueError:
            problem = None  # who needs Redis says so
        for url in backend_urls:
            problem = problem or self.service_problem(url)
        if problem is not None:
            raise SettingsError(problem)

    def worker_problem(self) -> str | None:
        """One sentence, or None. Raises `QueueError`."""
        for there in self.queue.workers_started_with():
            if names := self._differing(there):
                return _sentence("A worker", names)
        return None

    def service_problem(self, url: str) -> str | None:
        """One sentence, or None. Raises `SettingsError` when the service wants other credentials."""
        there = self.service.started_with(url)
        names = self._differing(there) if there is not None else []
        return _sentence(f"The service at {url}", names) if names else None

    def _differing(self, there: Mapping[str, str]) -> list[str]:
        return [name for name, value in self.here.items() if name in there and there[name] != value]


def _sentence(who: str, names: list[str]) -> str:
    told = ", ".join(_EXPLAINED.get(name, name) for name in names)
    return f"{who} was started with other settings than this command (different: {told}): {RESTART}."
