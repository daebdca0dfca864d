"""Golden questions of which only a half was made: an import, or a call after it, of which nobody heard the end.

A task is taken for a copy only where nothing else can be meant: `golden end` deletes what is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
)
from backend.core.golden import UNDER_WAY, GoldenTask
from backend.core.scorings import content_version
from backend.core.values import canonical_hash
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels
from backend.ports.store import ProjectRow, Store
from backend.services.projects import answerable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GoldenRecovering:
    """For who holds the project's writer lock. Raises `ConfigError`, `StoreError` and a `LabelStudioError`."""

    store: Store
    labels: Labels
    clock: Clock

    def recover(self, row: ProjectRow) -> list[GoldenTask]:
        """Note the copies whose ids were not heard, forget those that came to nothing, and tell Label Studio how many
        are to annotate the others. Returns those that may still come."""
        waiting = [one for one in self.store.golden_tasks(row.id) if one.task_id is None]
        left = self._unfound(row, waiting) if waiting else []
        over = [one for one in left if self.clock() - one.made_at > UNDER_WAY]
        if over:
            _log.warning("golden questions came to nothing", extra={"project": row.id, "tasks": len(over)})
            self.store.drop_golden([one.id for one in over if one.id is not None])
        try:
            self.tell_overlaps(self.store.golden_tasks(row.id))
        except (LabelStudioUnreachable, LabelStudioUnauthorized):
            raise
        except LabelStudioError as error:  # is tried again, and keeps nobody from anything else
            extra = {"project": row.id, "status": error.status}
            _log.warning("Label Studio refuses how many are to annotate golden questions", extra=extra)
        return [one for one in left if one not in over]

    def tell_overlaps(self, tasks: Sequence[GoldenTask]) -> None:
        """Each once: where a call fails, the next look goes on."""
        for one in tasks:
            if one.task_id is None or one.overlap is None:
                continue
            try:
                self.labels.set_overlap(one.task_id, one.overlap)
            except LabelStudioNotFound:
                _log.info("a golden question was deleted", extra={"project": one.project_id, "task": one.task_id})
            self.store.update_golden([replace(one, overlap=None)])

    def _unfound(self, row: ProjectRow, waiting: Sequence[GoldenTask]) -> list[GoldenTask]:
        """Those that are not in Label Studio; the others are noted."""
        left = list(waiting)
        for task in self.labels.annotated_tasks(row.id, self._alike(row, waiting)):
            for one in left:
                if _is_copy(task, one):
                    self.store.update_golden([replace(one, task_id=task.id)])
                    left.remove(one)
                    break
        return left

    def _alike(self, row: ProjectRow, waiting: Sequence[GoldenTask]) -> list[int]:
        """Later tasks that show the same, of which nothing is known here: what was asked of a model is ordinary."""
        hashes = {one.data_hash for one in waiting}
        later = self.labels.tasks(row.id, answerable(row.label_config).variables, after=min(o.above for o in waiting))
        alike = sorted(task.id for task in later if task.data_hash in hashes)
        known = self.store.golden_copies(row.id, alike)
        for version in {content_version(name) for name in (row.version, *(o.written_as for o in waiting)) if name}:
            known |= self.store.records(row.id, version, alike).keys()
        return [task_id for task_id in alike if task_id not in known]


def _is_copy(task: AnnotatedTask, one: GoldenTask) -> bool:
    """Whether it has all of the data, and came with the very prediction, at that time."""
    return (
        task.id > one.above
        and canonical_hash(dict(task.data)) == one.whole_hash
        and any(
            p.version == one.written_as
            and p.result == [dict(region) for region in one.result]
            and abs(p.created_at - one.made_at) <= UNDER_WAY
            for p in task.predictions
        )
    )
