"""The annotations of a Label Studio project, as its HTTP API gives them. A part of `LabelStudioApi`."""

from __future__ import annotations

import heapq
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backend.adapters.task_views import task_filter
from backend.core.errors import LabelStudioError
from backend.core.values import JSON
from backend.ports.labels import AnnotatedTask, Annotation, HeldPrediction

ANNOTATED_PAGE = 100  # tasks with all that was said of them
COUNT_PAGE = 500  # tasks with two numbers
# Of a task; and, as the names hold at every level, of its annotations. Predictions come whole.
_INCLUDED = ",".join(
    (
        *("id", "data", "annotations", "predictions"),
        *("result", "completed_by", "updated_by", "lead_time", "parent_prediction", "was_cancelled", "ground_truth"),
        *("created_at", "updated_at"),
    )
)


class AnnotationReading(ABC):
    """The methods of `backend.ports.labels.Labels` that are about annotations."""

    @abstractmethod
    def _get(self, path: str, **params: Any) -> dict[str, Any]: ...

    @abstractmethod
    def _strange(self, path: str) -> LabelStudioError: ...

    def annotated_tasks(self, project_id: int, ids: Sequence[int]) -> Iterator[AnnotatedTask]:
        ids = sorted(set(ids))
        for start in range(0, len(ids), ANNOTATED_PAGE):
            included = ids[start : start + ANNOTATED_PAGE]
            answer = self._get(
                "/api/tasks",
                project=project_id,
                page=1,
                page_size=ANNOTATED_PAGE,
                fields="all",  # annotations and predictions come in no other way; `include` leaves the rest out
                include=_INCLUDED,
                query=json.dumps({"selectedItems": {"all": False, "included": included}, "ordering": ["tasks:id"]}),
            )
            try:
                yield from [_annotated(raw) for raw in answer.get("tasks", [])]
            except (LookupError, TypeError, ValueError, AttributeError):
                raise self._strange("/api/tasks") from None

    def annotation_counts(self, project_id: int, *, since: datetime | None = None) -> Iterator[tuple[int, int]]:
        if since is not None:
            moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            yield from self._counts(project_id, task_filter("updated_at", "greater", "Datetime", moment))
            return
        # One after the other: a condition on the id can be added to no "or".
        kinds = ("total_annotations", "cancelled_annotations")
        last = 0
        for found in heapq.merge(*(self._counts(project_id, task_filter(k, "greater", "Number", 0)) for k in kinds)):
            if found[0] != last:
                yield found
            last = found[0]

    def annotation_total(self, project_id: int) -> int:
        found = self._get(f"/api/projects/{project_id}")
        return sum(found.get(name) or 0 for name in ("total_annotations_number", "skipped_annotations_number"))

    def _counts(self, project_id: int, condition: Mapping[str, JSON]) -> Iterator[tuple[int, int]]:
        """Pages are read by id: tasks that change meanwhile do not shift the ones behind them out of sight."""
        last = 0
        while True:
            items = [task_filter("id", "greater", "Number", last), condition]
            answer = self._get(
                "/api/tasks",
                project=project_id,
                page=1,
                page_size=COUNT_PAGE,
                fields="task_only",
                include="id,total_annotations,cancelled_annotations",
                query=json.dumps({"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}),
            )
            page = answer.get("tasks", [])
            for raw in page:
                yield raw["id"], (raw.get("total_annotations") or 0) + (raw.get("cancelled_annotations") or 0)
            if len(page) < COUNT_PAGE:
                return
            last = page[-1]["id"]


def _annotated(raw: Mapping[str, Any]) -> AnnotatedTask:
    data = raw.get("data")
    return AnnotatedTask(
        id=raw["id"],
        data=data if isinstance(data, dict) else {},
        annotations=tuple(_annotation(one) for one in raw.get("annotations") or ()),
        predictions=tuple(
            HeldPrediction(
                id=one["id"],
                version=one.get("model_version"),
                result=one.get("result") or [],
                created_at=_moment(one["created_at"]),
            )
            for one in raw.get("predictions") or ()
        ),
    )


def _annotation(raw: Mapping[str, Any]) -> Annotation:
    lead_time = raw.get("lead_time")
    known = isinstance(lead_time, int | float) and math.isfinite(lead_time) and lead_time >= 0
    return Annotation(
        id=raw["id"],
        result=raw.get("result") or [],
        annotator_id=_id_in(raw.get("completed_by")),
        updated_by=_id_in(raw.get("updated_by")),
        lead_time_s=float(lead_time) if known and lead_time is not None else None,
        parent_prediction=_id_in(raw.get("parent_prediction")),
        was_cancelled=bool(raw.get("was_cancelled")),
        ground_truth=bool(raw.get("ground_truth")),
        created_at=_moment(raw["created_at"]),
        updated_at=_moment(raw["updated_at"]),
    )


def _id_in(raw: JSON) -> int | None:
    """An id, or the id of an object that stands in its place."""
    found = raw.get("id") if isinstance(raw, Mapping) else raw
    return found if isinstance(found, int) else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
