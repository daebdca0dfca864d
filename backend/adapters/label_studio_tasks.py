"""Tasks that are made in a Label Studio project, and deleted. A part of `LabelStudioApi`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import httpx

from backend.core.errors import LabelStudioError
from backend.core.values import JSON
from backend.ports.labels import NewTask

_AT_ONCE = 500  # tasks of one action


class TaskWriting(ABC):
    """The methods of `backend.ports.labels.Labels` that make and delete tasks."""

    @abstractmethod
    def _call(self, method: str, path: str, **kwargs: Any) -> httpx.Response: ...

    @abstractmethod
    def _get(self, path: str, **params: Any) -> dict[str, Any]: ...

    @abstractmethod
    def _strange(self, path: str) -> LabelStudioError: ...

    def newest_task(self, project_id: int) -> int:
        first = {"page": 1, "page_size": 1, "fields": "task_only", "include": "id"}
        answer = self._get("/api/tasks", project=project_id, query=json.dumps({"ordering": ["-tasks:id"]}), **first)
        return max((int(raw["id"]) for raw in answer.get("tasks", [])), default=0)

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> list[int]:
        path = f"/api/projects/{project_id}/import"
        answer = self._call("POST", path, params={"return_task_ids": "true"}, json=[_body(task) for task in tasks])
        try:
            found = answer.json()
        except ValueError:
            found = None
        ids = found.get("task_ids") if isinstance(found, dict) else None
        if not isinstance(ids, list) or len(ids) != len(tasks) or not all(isinstance(one, int) for one in ids):
            error = self._strange(path)
            error.may_be_done = True  # it was no refusal
            raise error
        return ids

    def set_overlap(self, task_id: int, annotators: int) -> None:
        self._call("PATCH", f"/api/tasks/{task_id}/", json={"overlap": annotators})

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        for start in range(0, len(task_ids), _AT_ONCE):  # never an empty list, which might mean all
            included = list(task_ids[start : start + _AT_ONCE])
            body = {"selectedItems": {"all": False, "included": included}}
            self._call("POST", "/api/dm/actions", params={"id": "delete_tasks", "project": project_id}, json=body)


def _body(task: NewTask) -> dict[str, JSON]:
    prediction: dict[str, JSON] = {"model_version": task.model_version, "result": [dict(one) for one in task.result]}
    if task.score is not None:
        prediction["score"] = task.score
    return {"data": dict(task.data), "predictions": [prediction]}
