"""Label Studio's API in memory. It answers as Label Studio 1.23.2 was seen to answer, its refusals included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from backend.core.errors import LabelStudioError
from backend.core.values import JSON, Prediction, Task
from backend.labeling.parsing import parse_config
from backend.ports.labels import Backend, NewTask, Project, Tab, Webhook, WrittenPrediction
from tests.fakes.memory_annotations import MemoryAnnotations
from tests.fakes.memory_projects import MemoryProject
from tests.fakes.memory_views import shown

_RESERVED = "URL resolves to a reserved network address (block: 127.0.0.0/8)"


class MemoryLabels(MemoryAnnotations):
    """`backend.ports.labels.Labels`. The switches are in `MemoryProjects`."""

    def version(self) -> str:
        self._check()
        return "1.23.2"

    def whoami(self) -> str:
        self._check()
        return "somebody@example.com"

    def people(self) -> Mapping[int, str]:
        self._check()
        return self.names

    def key_kind(self) -> str:
        return "legacy token"

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
        after: int = 0,
    ) -> Iterator[Task]:
        found = self._get(project_id)
        has = {p.task_id for p in found.predictions.values() if p.model_version == without_version}
        wanted = {n for n in found.tasks if n > after} - has if ids is None else set(ids) & set(found.tasks)
        for task_id in sorted(wanted):
            data = {name: value for name, value in found.tasks[task_id].items() if name in set(variables)}
            yield Task(id=task_id, project_id=project_id, data=data)

    def task_ids(
        self,
        project_id: int,
        *,
        view: Mapping[str, JSON] | None = None,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
    ) -> Iterator[int]:
        found = self._get(project_id)
        has = {p.task_id for p in found.predictions.values() if p.model_version == without_version}
        wanted = set(found.tasks) - has if ids is None else (set(ids) & set(found.tasks)) - has
        yield from sorted(number for number in wanted if shown(view or {}, number, found.tasks[number]))

    def untouched(self, project_id: int) -> tuple[int, int]:
        found = self._get(project_id)
        busy = {p.task_id for p in found.predictions.values()} | {s.task_id for s in self.annotations.values()}
        free = set(found.tasks) - busy
        return len(free), max(free, default=0)

    def changed_tasks(self, project_id: int, variables: Sequence[str], *, since: datetime) -> Iterator[Task]:
        """Whatever stands in `changed`: this Label Studio has no clock."""
        return self.tasks(project_id, variables, ids=sorted(self.changed))

    def version_counts(self, project_id: int) -> Mapping[str, int]:
        return Counter(str(p.model_version) for p in self._get(project_id).predictions.values())

    def delete_version(self, project_id: int, version: str) -> None:
        found = self._get(project_id)
        self._wrote("delete_version")
        current = found.project.model_version
        if current in {version, *(backend.title for backend in found.backends.values())}:
            found.project = replace(found.project, model_version=None)
        for number in [n for n, p in found.predictions.items() if p.model_version == version]:
            del found.predictions[number]

    def existing_tasks(self, project_id: int, ids: Sequence[int]) -> set[int]:
        return set(ids) & set(self._get(project_id).tasks)

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
        return [
            WrittenPrediction(id=number, task_id=p.task_id, model_version=p.model_version)
            for number, p in self._get(project_id).predictions.items()
            if p.task_id == task_id
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

    def accept_predictions(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        found, parents = self._get(project_id), {s.annotation.parent_prediction for s in self.annotations.values()}
        for number, prediction in found.predictions.items():
            if prediction.task_id in task_ids and prediction.model_version == version and number not in parents:
                self.annotate(prediction.task_id, list(prediction.result), parent=number, action=True)

    def newest_task(self, project_id: int) -> int:
        return max(self._get(project_id).tasks, default=0)

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> list[int]:
        found = self._get(project_id)
        self._wrote("import_tasks", len(tasks))
        ids = self.add_tasks(project_id, [task.data for task in tasks])
        for task_id, task in zip(ids, tasks, strict=True):
            number = self._next_id()
            self.made_at[number] = self.now
            found.predictions[number] = Prediction(
                task_id=task_id, model_version=task.model_version, result=task.result, score=task.score
            )
        return ids

    def set_overlap(self, task_id: int, annotators: int) -> None:
        self._having("tasks", task_id)
        self._wrote("set_overlap")
        self.overlaps[task_id] = annotators

    def fast_import(self, project_id: int) -> bool | None:
        self._get(project_id)
        return self.fast

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
        if old is not None and old.title != backend.title and found.project.model_version == old.title:
            found.project = replace(found.project, model_version=backend.title)
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

    def _refuse_invalid(self, found: MemoryProject, prediction: Prediction) -> None:
        faults = _faults(found, prediction)
        if prediction.task_id in self.refused_tasks or faults:
            raise _refused(f"Error validating prediction: {faults}")


def _refused(detail: str) -> LabelStudioError:
    return LabelStudioError(f"Label Studio refused it: {detail}", status=400, detail=detail)


def _faults(found: MemoryProject, prediction: Prediction) -> list[str]:
    result = [dict(region) for region in prediction.result]
    return parse_config(found.project.label_config).validate(result, prediction.score)
