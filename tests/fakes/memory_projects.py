"""The projects of a Label Studio in memory: what a person does in them, and switches for what may go wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from backend.core.errors import LabelStudioNotFound, LabelStudioUnauthorized, LabelStudioUnreachable
from backend.core.values import JSON, Prediction
from backend.ports.labels import Backend, Project, Tab, Webhook


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


class MemoryProjects:
    """The public attributes are switches and may be changed at any time."""

    def __init__(self) -> None:
        self.projects: dict[int, MemoryProject] = {}
        self.reachable = True
        self.key_is_good = True
        self.fast = True  # the memory-efficient import, which validates nothing; off: invalid items are dropped
        self.blocks_backends = False  # ML_BLOCK_LOCAL_IP
        self.blocks_webhooks = False  # SSRF_PROTECTION_ENABLED
        self.backend_answers = True  # whether Label Studio reaches the backends
        self.refused_tasks: set[int] = set()  # a prediction for one of these is refused with 400
        self.changed: set[int] = set()  # tasks that somebody changed lately
        self.overlaps: dict[int, int] = {}  # task -> how many are to annotate it, where that was set
        self.calls: list[tuple[str, int]] = []  # (method, how many items) of every writing call
        self._last_id = 0
        self._lock = threading.RLock()

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
        self.projects[project_id].tasks.update(zip(ids, tasks, strict=True))
        return ids

    def edit_project(self, project_id: int, **changes: JSON) -> None:
        """Change `label_config`, `instructions`, `title` or `model_version` as its settings page does."""
        found = self.projects[project_id]
        found.project = replace(found.project, **changes)

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Their predictions go with them."""
        found = self.projects[project_id]
        for task_id in task_ids:
            found.tasks.pop(task_id, None)
        found.predictions = {i: p for i, p in found.predictions.items() if p.task_id not in task_ids}

    def written(self, project_id: int, task_id: int, version: str | None = None) -> list[Prediction]:
        """The predictions on a task, oldest first; those of `version` only where it is given."""
        found = self.projects[project_id].predictions.values()
        return [p for p in found if p.task_id == task_id and version in (None, p.model_version)]

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

    def _having(self, kind: str, number: int) -> MemoryProject:
        """The project that has the thing of this kind and id."""
        self._check()
        for found in self.projects.values():
            if number in getattr(found, kind):
                return found
        raise LabelStudioNotFound(f"Label Studio has no {number} among its {kind}.", status=404)

    def _wrote(self, method: str, items: int = 1) -> None:
        self._check()
        with self._lock:
            self.calls.append((method, items))

    def _next_id(self) -> int:
        with self._lock:
            self._last_id += 1
            return self._last_id
