"""Label Studio, the queue and a model in memory: for tests and for trying things. The store in memory is
`SqlStore("sqlite://")`.

`MemoryLabels` answers as Label Studio 1.23.2 was seen to answer, its refusals included.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
    ModelError,
    QueueError,
)
from backend.core.values import JSON, Prediction, Reply, Request, Task
from backend.labeling.config import parse_config
from backend.ports import Backend, Capabilities, Project, Tab, Webhook, WrittenPrediction

_RESERVED = "URL resolves to a reserved network address (block: 127.0.0.0/8)"


@dataclass(kw_only=True)
class MemoryProject:
    """A project with everything in it; dicts by id."""

    project: Project
    shows_predictions: bool = True
    tasks: dict[int, Mapping[str, JSON]] = field(default_factory=dict)
    predictions: dict[int, Prediction] = field(default_factory=dict)
    backends: dict[int, Backend] = field(default_factory=dict)
    secrets: dict[int, Mapping[str, JSON]] = field(default_factory=dict)  # a backend's auth fields, by its id
    webhooks: dict[int, Webhook] = field(default_factory=dict)
    tabs: dict[int, Tab] = field(default_factory=dict)
    settings: dict[str, JSON] = field(default_factory=dict)  # other fields that were set


class MemoryLabels:
    """`backend.ports.Labels`. The public attributes are switches and may be changed at any time."""

    def __init__(self) -> None:
        self.projects: dict[int, MemoryProject] = {}
        self.reachable = True
        self.key_is_good = True
        self.fast = True  # the memory-efficient import, which validates nothing; off: invalid items are dropped
        self.blocks_backends = False  # ML_BLOCK_LOCAL_IP
        self.blocks_webhooks = False  # SSRF_PROTECTION_ENABLED
        self.backend_answers = True  # whether Label Studio reaches the backends
        self.refused_tasks: set[int] = set()  # a prediction for one of these is refused with 400
        self.calls: list[tuple[str, int]] = []  # (method, how many items) of every writing call
        self._last_id = 0
        self._lock = threading.RLock()

    # --- what a person does in Label Studio -------------------------------------------------------------------------

    def add_project(
        self, label_config: str, tasks: Sequence[Mapping[str, JSON]] = (), *, instructions: str = ""
    ) -> int:
        """A new project with these tasks; returns its id. The tasks' ids follow in order."""
        project = Project(
            id=self._next_id(),
            title="Project",
            label_config=label_config,
            instructions=instructions,
            model_version=None,
            task_count=0,
        )
        self.projects[project.id] = MemoryProject(project=project)
        self.add_tasks(project.id, tasks)
        return project.id

    def add_tasks(self, project_id: int, tasks: Sequence[Mapping[str, JSON]]) -> list[int]:
        ids = [self._next_id() for _ in tasks]
        self._project(project_id).tasks.update(zip(ids, tasks, strict=True))
        return ids

    def edit_project(self, project_id: int, **changes: JSON) -> None:
        """Change `label_config`, `instructions`, `title` or `model_version` as its settings page does."""
        found = self._project(project_id)
        found.project = replace(found.project, **changes)

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Their predictions go with them."""
        found = self._project(project_id)
        for task_id in task_ids:
            found.tasks.pop(task_id, None)
        found.predictions = {i: p for i, p in found.predictions.items() if p.task_id not in task_ids}

    def written(self, project_id: int, task_id: int, version: str | None = None) -> list[Prediction]:
        """The predictions on a task, oldest first; those of `version` only where it is given."""
        found = self._project(project_id).predictions.values()
        return [p for p in found if p.task_id == task_id and version in (None, p.model_version)]

    # --- the installation -------------------------------------------------------------------------------------------

    def version(self) -> str:
        self._check()
        return "1.23.2"

    def whoami(self) -> str:
        self._check()
        return "somebody@example.com"

    def key_kind(self) -> str:
        return "legacy token"

    # --- projects and tasks -----------------------------------------------------------------------------------------

    def project(self, project_id: int) -> Project:
        found = self._get(project_id)
        return replace(found.project, task_count=len(found.tasks))

    def set_model_version(self, project_id: int, version: str) -> None:
        self.set_project(project_id, {"model_version": version})

    def set_project(self, project_id: int, fields: Mapping[str, JSON]) -> None:
        found = self._get(project_id)
        version = fields.get("model_version", found.project.model_version)
        named = {b.title for b in found.backends.values()} | {p.model_version for p in found.predictions.values()}
        if version != found.project.model_version and version and version not in named:
            raise _refused("Model version doesn't exist either as live model or as static predictions.")
        self._wrote("set_project")
        found.project = replace(found.project, model_version=version or None)
        found.settings |= {name: value for name, value in fields.items() if name != "model_version"}

    def tasks(
        self,
        project_id: int,
        variables: Sequence[str],
        *,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
    ) -> Iterator[Task]:
        found = self._get(project_id)
        has = {p.task_id for p in found.predictions.values() if p.model_version == without_version}
        wanted = set(found.tasks) - has if ids is None else set(ids) & set(found.tasks)
        for task_id in sorted(wanted):
            data = {name: value for name, value in found.tasks[task_id].items() if name in set(variables)}
            yield Task(id=task_id, project_id=project_id, data=data)

    def existing_tasks(self, project_id: int, ids: Sequence[int]) -> set[int]:
        return set(ids) & set(self._get(project_id).tasks)

    # --- predictions ------------------------------------------------------------------------------------------------

    def import_predictions(self, project_id: int, predictions: Sequence[Prediction]) -> int:
        found = self._get(project_id)
        self._wrote("import_predictions", len(predictions))
        for prediction in predictions:
            if prediction.task_id not in found.tasks:
                raise _refused(f'contains invalid "task" field: task ID {prediction.task_id} not found in project')
            if prediction.task_id in self.refused_tasks:
                raise _refused("the prediction is refused")
        taken = [p for p in predictions if self.fast or not _faults(found, p)]
        for prediction in taken:
            found.predictions[self._next_id()] = prediction
        return len(taken)

    def predictions(self, project_id: int, task_id: int) -> list[WrittenPrediction]:
        if task_id not in self._get(project_id).tasks:
            raise _refused("Select a valid choice. That choice is not one of the available choices.")
        return [p for p in self.all_predictions(project_id) if p.task_id == task_id]

    def all_predictions(self, project_id: int) -> list[WrittenPrediction]:
        return [
            WrittenPrediction(id=number, task_id=p.task_id, model_version=p.model_version)
            for number, p in self._get(project_id).predictions.items()
        ]

    def update_prediction(self, prediction_id: int, prediction: Prediction) -> None:
        found = self._having("predictions", prediction_id)
        self._wrote("update_prediction")
        old = found.predictions[prediction_id]
        self._refuse_invalid(found, prediction)
        found.predictions[prediction_id] = replace(old, result=prediction.result, score=prediction.score)

    def create_prediction(self, prediction: Prediction) -> int:
        self._check()
        found = next((p for p in self.projects.values() if prediction.task_id in p.tasks), None)
        if found is None:
            raise _refused(f'Invalid pk "{prediction.task_id}" - object does not exist.')
        self._refuse_invalid(found, prediction)
        self._wrote("create_prediction")
        number = self._next_id()
        found.predictions[number] = prediction
        return number

    def delete_prediction(self, prediction_id: int) -> None:
        self._wrote("delete_prediction")
        del self._having("predictions", prediction_id).predictions[prediction_id]

    def fast_import(self, project_id: int) -> bool | None:
        self._get(project_id)
        return self.fast

    # --- the connection ---------------------------------------------------------------------------------------------

    def address_refusals(self, backend_url: str) -> dict[str, str]:
        self._check()
        switches = {"backend": self.blocks_backends, "webhook": self.blocks_webhooks}
        return {what: _RESERVED for what, blocked in switches.items() if blocked}

    def backends(self, project_id: int) -> list[Backend]:
        state = "CO" if self.backend_answers else "DI"
        return [replace(backend, state=state) for backend in self._get(project_id).backends.values()]

    def save_backend(self, project_id: int, backend_id: int | None, fields: Mapping[str, JSON]) -> Backend:
        found = self._get(project_id)
        old = None if backend_id is None else self._having("backends", backend_id).backends[backend_id]
        backend = Backend(
            id=old.id if old else self._next_id(),
            url=fields.get("url", old.url if old else ""),
            title=fields.get("title", old.title if old else ""),
            state="CO",
            error=None,
        )
        if self.blocks_backends:
            raise LabelStudioError("Label Studio refused it.", status=403, detail=_RESERVED)
        if not self.backend_answers:
            raise _refused(f"Can't connect to ML backend {backend.url}, health check failed.")
        self._wrote("save_backend")
        found.backends[backend.id] = backend
        found.secrets[backend.id] = {k: v for k, v in fields.items() if k.startswith(("auth_", "basic_auth"))}
        if old is None:
            self._after_connecting(found, backend)
        return backend

    def webhooks(self, project_id: int) -> list[Webhook]:
        return list(self._get(project_id).webhooks.values())

    def save_webhook(self, project_id: int, webhook_id: int | None, fields: Mapping[str, JSON]) -> None:
        found = self._get(project_id)
        if self.blocks_webhooks:
            raise LabelStudioError("Label Studio refused it.", status=403, detail=_RESERVED)
        old = None if webhook_id is None else self._having("webhooks", webhook_id).webhooks[webhook_id]
        self._wrote("save_webhook")
        number = old.id if old else self._next_id()
        found.webhooks[number] = Webhook(
            id=number,
            url=fields.get("url", old.url if old else ""),
            active=bool(fields.get("is_active", old.active if old else True)),
            headers=fields.get("headers", old.headers if old else {}),
        )

    def delete_webhook(self, webhook_id: int) -> None:
        self._wrote("delete_webhook")
        del self._having("webhooks", webhook_id).webhooks[webhook_id]

    def tabs(self, project_id: int) -> list[Tab]:
        return list(self._get(project_id).tabs.values())

    def save_tab(self, project_id: int, tab_id: int | None, data: Mapping[str, JSON]) -> Tab:
        found = self._get(project_id)
        self._wrote("save_tab")
        number = self._next_id() if tab_id is None else self._having("tabs", tab_id).tabs[tab_id].id
        found.tabs[number] = Tab(id=number, title=str(data.get("title", "")), data=dict(data))
        return found.tabs[number]

    def _after_connecting(self, found: MemoryProject, backend: Backend) -> None:
        """What Label Studio does by itself: the title becomes the version, and there is a webhook without headers."""
        if found.shows_predictions and not found.project.model_version:
            found.project = replace(found.project, model_version=backend.title)
        target = backend.url.rstrip("/") + "/webhook"
        if not self.blocks_webhooks and all(w.url != target for w in found.webhooks.values()):
            number = self._next_id()
            found.webhooks[number] = Webhook(id=number, url=target, active=True, headers={})

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.reachable:
            raise LabelStudioUnreachable("Label Studio cannot be reached: check that it is running.")
        if not self.key_is_good:
            raise LabelStudioUnauthorized("Label Studio does not accept LABEL_STUDIO_API_KEY.", status=401)

    def _get(self, project_id: int) -> MemoryProject:
        self._check()
        if project_id not in self.projects:
            raise LabelStudioNotFound(f"Label Studio has no project {project_id}.", status=404)
        return self.projects[project_id]

    def _project(self, project_id: int) -> MemoryProject:
        return self.projects[project_id]

    def _having(self, kind: str, number: int) -> MemoryProject:
        """The project that has the thing of this kind and id."""
        self._check()
        for found in self.projects.values():
            if number in getattr(found, kind):
                return found
        raise LabelStudioNotFound(f"Label Studio has no {number} among its {kind}.", status=404)

    def _refuse_invalid(self, found: MemoryProject, prediction: Prediction) -> None:
        faults = _faults(found, prediction)
        if prediction.task_id in self.refused_tasks or faults:
            raise _refused(f"Error validating prediction: {faults}")

    def _wrote(self, method: str, items: int = 1) -> None:
        self._check()
        with self._lock:
            self.calls.append((method, items))

    def _next_id(self) -> int:
        with self._lock:
            self._last_id += 1
            return self._last_id


def _refused(detail: str) -> LabelStudioError:
    return LabelStudioError(f"Label Studio refused it: {detail}", status=400, detail=detail)


def _faults(found: MemoryProject, prediction: Prediction) -> list[str]:
    result = [dict(region) for region in prediction.result]
    return parse_config(found.project.label_config).validate(result, prediction.score)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One queue message: the name of a work function of `backend.worker` and its arguments."""

    id: str
    work: str  # "annotate_chunk", "sync_project" or "auto_start"
    arguments: tuple[JSON, ...]
    interactive: bool = True


class MemoryQueue:
    """`backend.ports.Queue`: messages wait in `messages` until `run_all`."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.reachable = True
        self.worker_count = 1
        self._writers: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()
        self._last_id = 0

    def ping(self) -> None:
        if not self.reachable:
            raise QueueError("Redis cannot be used: check REDIS_URL and that the server is running.")

    def enqueue_chunk(self, job_id: int, task_ids: Sequence[int], *, interactive: bool) -> None:
        self._enqueue("annotate_chunk", job_id, list(task_ids), interactive=interactive)

    def enqueue_sync(self, project_id: int) -> None:
        self.ping()
        if not any(m.work == "sync_project" and m.arguments == (project_id,) for m in self.messages):
            self._enqueue("sync_project", project_id)

    def sync_started(self, project_id: int) -> None:
        """Nothing to note: a message that is being worked on no longer waits."""
        self.ping()

    def enqueue_auto_start(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._enqueue("auto_start", project_id, list(task_ids))

    def depth(self) -> dict[str, int]:
        self.ping()
        interactive = sum(m.interactive for m in self.messages)
        return {"interactive": interactive, "bulk": len(self.messages) - interactive}

    def workers(self) -> int:
        self.ping()
        return self.worker_count

    @contextmanager
    def writer_lock(self, project_id: int) -> Iterator[Callable[[], None] | None]:
        self.ping()
        with self._lock:
            lock = self._writers.setdefault(project_id, threading.Lock())
        got = lock.acquire(blocking=False)
        try:
            yield self.ping if got else None
        finally:
            if got:
                lock.release()

    def run_all(self, handler: Callable[[Message], None]) -> int:
        """Hand every message to `handler` until none waits; returns how many. One that raises waits again."""
        done = 0
        while self.messages:
            message = self.messages.popleft()
            try:
                handler(message)
            except BaseException:
                self.messages.appendleft(message)
                raise
            done += 1
        return done

    def _enqueue(self, work: str, *arguments: JSON, interactive: bool = True) -> None:
        self.ping()
        with self._lock:
            self._last_id += 1
            message = Message(id=f"message-{self._last_id}", work=work, arguments=arguments, interactive=interactive)
        self.messages.append(message)


class FunctionModel:
    """`backend.ports.Model` from a function that gives a reply, or raises or gives a `ModelError`."""

    def __init__(self, function: Callable[[Request], Reply | ModelError]) -> None:
        self._function = function
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Reply:
        self.requests.append(request)
        answer = self._function(request)
        if isinstance(answer, ModelError):
            raise answer
        return answer

    async def capabilities(self, model: str) -> Capabilities:
        return Capabilities(structured="json_schema", logprobs=20)
