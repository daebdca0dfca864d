"""Is everything there that pre-annotation needs? One line a check: ok, wrong or unknown, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from backend.core.errors import LabelStudioError, PrelabelError, SettingsError, StoreError
from backend.core.values import JSON, Agent
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import Store
from backend.services.connect import address_problem, connection_problems
from backend.services.projects import Projects, what_is_answered
from backend.services.same_settings import SameSettings


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the report."""

    name: str
    status: str  # "ok", "wrong" or "note": worth knowing, no failure
    detail: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """The parts to be looked at. `model` probes the endpoint and describes it; it raises a `ModelError`."""

    labels: Labels
    store: Store
    queue: Queue
    projects: Projects
    model: Callable[[Agent], JSON]
    same_settings: SameSettings
    webhook_secret: str | None
    has_key: bool
    operation: Callable[[], Iterator[Check]]  # how it runs: queues, limits, jobs, disk (`services/operation.py`)

    def checks(self, project_id: int | None, backend_url: str | None) -> Iterator[Check]:
        """In the order in which things must work; each is looked at even if one before it is wrong."""
        yield _check("database", lambda: f"{self.store.ping()} answers and its schema is there")
        redis = _check("redis", self._redis)
        yield redis
        yield self._workers(redis_is_there=redis.status == "ok")
        yield from self.operation()
        yield _check("model endpoint", lambda: self._model(project_id))
        if not self.has_key:
            yield Check(
                name="label studio key",
                status="wrong",
                detail="LABEL_STUDIO_API_KEY is not set: make a token in Label Studio under Account & Settings.",
            )
            return
        reachable = _check("label studio", lambda: f"Label Studio {self.labels.version()} answers")
        yield reachable
        if reachable.status == "wrong":
            return
        yield _check("label studio key", lambda: f"{self.labels.key_kind()} of {self.labels.whoami()}")
        if backend_url is not None:
            yield self._backend_url(backend_url)
        if project_id is not None:
            yield from self._project(project_id, backend_url)
        elif backend_url is not None and (service := self._service([backend_url])) is not None:
            yield service

    def _redis(self) -> str:
        self.queue.ping()
        depth = self.queue.depth()
        return "answers; waiting messages: " + ", ".join(f"{n} {name}" for name, n in depth.items())

    def _workers(self, *, redis_is_there: bool) -> Check:
        if not redis_is_there:  # its own line says what to do
            return Check(name="workers", status="wrong", detail="not known without Redis")
        try:
            workers, problem = self.queue.workers(), self.same_settings.worker_problem()
        except PrelabelError as error:
            return Check(name="workers", status="wrong", detail=str(error))
        if problem is not None:
            return Check(name="workers", status="wrong", detail=problem)
        if workers:
            return Check(name="workers", status="ok", detail=f"{workers} running")
        return Check(name="workers", status="note", detail="none is running: start `prelabel worker`.")

    def _worker_has_other_settings(self) -> bool:
        try:
            return self.same_settings.worker_problem() is not None
        except PrelabelError:
            return False  # nobody knows, and another line says why

    def _service(self, urls: list[str]) -> Check | None:
        """Wrong settings or credentials of the service; None when nothing is known against it."""
        try:
            problems = [self.same_settings.service_problem(url) for url in urls]
        except SettingsError as error:
            problems = [str(error)]
        found = [problem for problem in problems if problem is not None]
        return Check(name="service", status="wrong", detail=found[0]) if found else None

    def _model(self, project_id: int | None) -> str:
        """Of the project's agent, as far as it is known."""
        agents = self.projects.agents
        try:
            agent = agents.of(self.store.project(project_id) if project_id is not None else None)
        except StoreError:  # the database has a line of its own
            agent = agents.default
        return "; ".join(f"{key}: {value}" for key, value in dict(self.model(agent.agent)).items())

    def _backend_url(self, url: str) -> Check:
        try:
            problem = address_problem(self.labels, url)
        except LabelStudioError as error:
            problem = str(error)
        if problem is not None:
            return Check(name="backend url", status="wrong", detail=problem)
        return Check(name="backend url", status="ok", detail=f"Label Studio accepts {url}")

    def _project(self, project_id: int, backend_url: str | None) -> Iterator[Check]:
        try:
            project = self.labels.project(project_id)
        except LabelStudioError as error:
            yield Check(name="project", status="wrong", detail=str(error))
            return
        yield Check(name="project", status="ok", detail=f'"{project.title}", {project.task_count} tasks')
        row = self.projects.look(project_id, project.label_config, project.instructions)
        if row.version is None:
            yield Check(name="labeling config", status="wrong", detail=what_is_answered(row.label_config))
            return
        yield Check(name="labeling config", status="ok", detail=f"supported; current version {row.version}")
        agent = self.projects.agents.of(row)
        if agent != self.projects.agents.default:
            yield Check(name="agent", status="ok", detail=agent.reference)
        if row.agent_problem is not None:
            yield Check(name="agent", status="wrong", detail=row.agent_problem)
        if row.refusals:
            detail = f"not pre-annotated: {what_is_answered(row.label_config)}"
            yield Check(name="labeling config", status="note", detail=detail)
        yield self._connection(project_id, self.store.shown_version(project_id, row.version), backend_url)
        yield self._import_flag(project_id)

    def _connection(self, project_id: int, version: str, backend_url: str | None) -> Check:
        """A service or a worker with other settings comes first: it undoes whatever else is advised."""
        if self._worker_has_other_settings():
            detail = "not looked at while a worker runs with other settings"
            return Check(name="connection", status="note", detail=detail)
        try:
            urls = [backend.url for backend in self.labels.backends(project_id)]
            service = self._service(list(dict.fromkeys([backend_url.rstrip("/"), *urls] if backend_url else urls)))
            if service is not None:
                return service
            problems = connection_problems(self.labels, project_id, version, self.webhook_secret)
        except LabelStudioError as error:
            return Check(name="connection", status="wrong", detail=str(error))
        if problems:
            command = f"prelabel connect --project {project_id} --backend-url {backend_url or 'URL'}"
            return Check(name="connection", status="wrong", detail=f"{'; '.join(problems)}: run `{command}`.")
        return Check(name="connection", status="ok", detail="backend, version, webhook and tab are in order")

    def _import_flag(self, project_id: int) -> Check:
        flag = "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"
        name = "predictions import"
        try:
            fast = self.labels.fast_import(project_id)
        except LabelStudioError as error:
            return Check(name=name, status="wrong", detail=str(error))
        if fast:
            return Check(name=name, status="ok", detail="the memory-efficient import is on")
        state = "off" if fast is False else "not known to be on"
        detail = f"the memory-efficient import is {state}: set {flag}=true in Label Studio's environment."
        return Check(name=name, status="note", detail=detail)


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, status="ok", detail=look())
    except PrelabelError as error:
        return Check(name=name, status="wrong", detail=str(error))
