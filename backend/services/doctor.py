"""Is everything there that pre-annotation needs? One line a check: ok, wrong or unknown, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from backend.core.errors import LabelStudioError, PrelabelError
from backend.core.values import JSON
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import Store
from backend.services.connect import connection_problems
from backend.services.projects import Projects

_VARIABLES = {"backend": "ML_BLOCK_LOCAL_IP=false", "webhook": "SSRF_PROTECTION_ENABLED=false"}


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
    model: Callable[[], JSON]
    webhook_secret: str | None
    has_key: bool

    def checks(self, project_id: int | None, backend_url: str | None) -> Iterator[Check]:
        """In the order in which things must work; each is looked at even if one before it is wrong."""
        yield _check("database", lambda: f"{self.store.ping()} answers and its schema is there")
        yield _check("redis", self._redis)
        yield self._workers()
        yield _check("model endpoint", self._model)
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
            yield from self._project(project_id)

    def _redis(self) -> str:
        self.queue.ping()
        depth = self.queue.depth()
        return "answers; waiting messages: " + ", ".join(f"{n} {name}" for name, n in depth.items())

    def _workers(self) -> Check:
        try:
            workers = self.queue.workers()
        except PrelabelError as error:
            return Check(name="workers", status="wrong", detail=str(error))
        if workers:
            return Check(name="workers", status="ok", detail=f"{workers} running")
        return Check(name="workers", status="note", detail="none is running: start `prelabel worker`.")

    def _model(self) -> str:
        return "; ".join(f"{key}: {value}" for key, value in dict(self.model()).items())

    def _backend_url(self, url: str) -> Check:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return Check(name="backend url", status="wrong", detail=f"{url} is no http(s) URL: give one.")
        try:
            refusals = self.labels.address_refusals(url)
        except LabelStudioError as error:
            return Check(name="backend url", status="wrong", detail=str(error))
        if not refusals:
            return Check(name="backend url", status="ok", detail=f"Label Studio accepts {url}")
        if any("reserved" in words for words in refusals.values()):
            variables = " and ".join(_VARIABLES[what] for what in refusals)
            detail = (
                f"Label Studio refuses {url} because it is a local or private address: set {variables} in "
                "Label Studio's environment and restart it."
            )
        else:
            detail = f"Label Studio refuses {url} ({next(iter(refusals.values()))}): give an address that it can use."
        return Check(name="backend url", status="wrong", detail=detail)

    def _project(self, project_id: int) -> Iterator[Check]:
        try:
            project = self.labels.project(project_id)
        except LabelStudioError as error:
            yield Check(name="project", status="wrong", detail=str(error))
            return
        yield Check(name="project", status="ok", detail=f'"{project.title}", {project.task_count} tasks')
        row, _ = self.projects.remember(project_id, project.label_config, project.instructions)
        if row.version is None:
            yield Check(name="labeling config", status="wrong", detail="; ".join(row.refusals))
            return
        yield Check(name="labeling config", status="ok", detail=f"supported; current version {row.version}")
        for refusal in row.refusals:
            yield Check(name="labeling config", status="note", detail=f"not pre-annotated: {refusal}")
        try:
            problems = connection_problems(self.labels, project_id, row.version, self.webhook_secret)
        except LabelStudioError as error:
            problems = [str(error)]
        for problem in problems:
            detail = f"{problem}: run `prelabel connect --project {project_id} --backend-url URL`."
            yield Check(name="connection", status="wrong", detail=detail)
        if not problems:
            yield Check(name="connection", status="ok", detail="backend, version, webhook and tab are in order")
        yield self._import_flag(project_id)

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
