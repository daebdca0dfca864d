"""A project compared with Label Studio, where the truth is: what it lost, and what was edited since it was answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from backend.core.values import Task
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.jobs import Jobs
from backend.services.projects import answerable
from backend.services.scorings import in_use, to_write

_log = logging.getLogger(__name__)
_UNSEEN = timedelta(minutes=1)  # what was delivered later may be on its way yet; clocks differ, too
_RECENT = timedelta(minutes=10)  # after its end the tasks of a job are still compared


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Looks at projects; what it finds goes the ways that are there: the write-back, and a job."""

    store: Store
    labels: Labels
    queue: Queue
    clock: Clock
    jobs: Jobs

    def check(self, project_id: int) -> None:
        """Raises a `LabelStudioError`, `StoreError` and `QueueError`."""
        row = self.store.project(project_id)
        if row is None or row.version is None:
            return
        began = self.clock()
        self._lost(row, row.version)
        self._edited(row, row.version)
        self.queue.set_checked(project_id, began)

    def _lost(self, row: ProjectRow, version: str) -> None:
        """Predictions that Label Studio was given and does not hold: of a restored backup, or a killed server.

        One count each where all is well.
        """
        if to_write(scorings := self.store.scorings(row.id, version)) != in_use(scorings):
            return  # all of them are being written anew, under another name
        before, shown = self.clock() - _UNSEEN, self.store.shown_version(row.id, version)
        given = self.store.delivered(row.id, version, before=before)
        there = self.labels.version_counts(row.id).get(shown, 0) if given else 0
        if there >= given:
            return
        known = self.store.delivered_task_ids(row.id, version, before=before)
        lost = sorted(known & {task.id for task in self.labels.tasks(row.id, (), without_version=shown)})
        if lost:
            _log.warning("Label Studio lost predictions", extra={"project": row.id, "tasks": len(lost)})
            self.store.offer_again(row.id, version, lost)
            self.queue.enqueue_write_back(row.id, at_once=True)
        if len(lost) < given - there:
            gone = sorted(known - self.labels.existing_tasks(row.id, sorted(known)))
            self.store.set_tasks_deleted(row.id, version, gone)

    def _edited(self, row: ProjectRow, version: str) -> None:
        """Tasks whose data changed since a job that is open, or was lately, read them: asked again."""
        recent = [job for job in self.store.jobs_since(self.clock() - _RECENT) if job.project_id == row.id]
        if not recent:
            return
        begun = min(job.created_at for job in recent)
        since = max(begun, self.queue.checked_at(row.id) or begun) - _UNSEEN
        changed = list(self.labels.changed_tasks(row.id, answerable(row.label_config).variables, since=since))
        edited = self._with_other_data(changed, version)
        if edited:
            _log.info("edited tasks are asked again", extra={"project": row.id, "tasks": len(edited)})
            self.jobs.start(row.id, version, "edited", edited)

    def _with_other_data(self, changed: list[Task], version: str) -> list[Task]:
        if not changed:
            return []
        records = self.store.records(changed[0].project_id, version, [task.id for task in changed])
        return [t for t in changed if (r := records.get(t.id)) is not None and r.data_hash != t.data_hash]
