"""The annotations of a Label Studio in memory: what people do with tasks, and what the API tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from backend.core.values import JSON
from backend.ports.labels import AnnotatedTask, Annotation, HeldPrediction
from tests.fakes.memory_projects import MemoryProjects

EARLY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """An annotation and the task that it belongs to."""

    task_id: int
    annotation: Annotation


class MemoryAnnotations(MemoryProjects):
    """Its clock is `now`, which each deed moves on by a second. A prediction is there since `EARLY`, or since
    `made_at` says."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.made_at: dict[int, datetime] = {}  # prediction -> when it was made
        self.annotations: dict[int, Submitted] = {}
        self.names: dict[int, str] = {}  # of users

    # --- what people do -------------------------------------------------------------------------------------------

    def annotate(
        self,
        task_id: int,
        result: JSON,
        *,
        parent: int | None = None,
        by: int | None = 1,
        lead_time_s: float | None = 5.0,
        skipped: bool = False,
        action: bool = False,
    ) -> int:
        """Submit an annotation; returns its id. `action`: Label Studio's own, of a prediction, by nobody."""
        now = self._tick(task_id)
        annotation = Annotation(
            id=self._next_id(),
            result=result,
            annotator_id=by,
            updated_by=None if action else by,
            lead_time_s=None if action else lead_time_s,
            parent_prediction=parent,
            was_cancelled=skipped,
            ground_truth=False,
            created_at=now,
            updated_at=now,
        )
        self.annotations[annotation.id] = Submitted(task_id=task_id, annotation=annotation)
        return annotation.id

    def reannotate(self, annotation_id: int, **changes: JSON) -> None:
        """Submit it again with other fields."""
        known = self.annotations[annotation_id]
        changed = replace(known.annotation, updated_at=self._tick(known.task_id), **changes)
        self.annotations[annotation_id] = replace(known, annotation=changed)

    def delete_annotation(self, annotation_id: int) -> None:
        self._tick(self.annotations.pop(annotation_id).task_id)

    def edit_task(self, project_id: int, task_id: int, data: Mapping[str, JSON]) -> None:
        self.projects[project_id].tasks[task_id] = data
        self._tick(task_id)

    def _tick(self, task_id: int) -> datetime:
        self.now += timedelta(seconds=1)
        self.changed.add(task_id)
        return self.now

    # --- what the API tells ---------------------------------------------------------------------------------------

    def annotated_tasks(self, project_id: int, ids: Sequence[int]) -> Iterator[AnnotatedTask]:
        found = self._get(project_id)
        for task_id in sorted(set(ids) & set(found.tasks)):
            held = [
                HeldPrediction(
                    id=number,
                    version=p.model_version,
                    result=[dict(region) for region in p.result],
                    created_at=self.made_at.get(number, EARLY),
                )
                for number, p in found.predictions.items()
                if p.task_id == task_id
            ]
            known = {prediction.id for prediction in held}
            annotations = [s.annotation for s in self.annotations.values() if s.task_id == task_id]
            yield AnnotatedTask(
                id=task_id,
                data=found.tasks[task_id],
                annotations=tuple(
                    a if a.parent_prediction in known else replace(a, parent_prediction=None) for a in annotations
                ),
                predictions=tuple(held),
            )

    def annotation_counts(self, project_id: int, *, since: datetime | None = None) -> Iterator[tuple[int, int]]:
        """Changed is whatever stands in `changed`."""
        tasks = self._get(project_id).tasks
        for task_id in sorted(tasks if since is None else self.changed & set(tasks)):
            count = sum(s.task_id == task_id for s in self.annotations.values())
            if count or since is not None:
                yield task_id, count

    def annotation_total(self, project_id: int) -> int:
        tasks = self._get(project_id).tasks
        return sum(s.task_id in tasks for s in self.annotations.values())
