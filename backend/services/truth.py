"""A project compared with Label Studio, where the truth is: what it lost, and what was edited since it was answered."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from backend.core.values import JobState, Task, TaskState
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import HALTED, JobRow, ProjectRow, Record, Store
from backend.services.golden_copies import GoldenCopies
from backend.services.golden_recovering import GoldenRecovering
from backend.services.jobs import Jobs, enqueue_tasks, start_created
from backend.services.projects import answerable
from backend.services.scorings import in_use, to_write

_log = logging.getLogger(__name__)
_UNSEEN = timedelta(minutes=1)  # what was delivered later may be on its way yet; clocks differ, too
_LATEST = timedelta(minutes=2)  # so long a call that nobody waits for any more may still be worked on
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
        self._golden_half_made(row)
        recent = [job for job in self.store.jobs_since(began - _RECENT) if job.project_id == row.id]
        scorings = self.store.scorings(row.id, row.version)
        if to_write(scorings) == in_use(scorings):  # else all predictions are being written anew, under another name
            self._golden_lost(row, row.version)
            self._lost(row, row.version)
            self._doubled(row, row.version)
        self._outdated(row, row.version, recent)
        self._edited(row, row.version, recent)
        self.queue.set_checked(project_id, began)

    def _lost(self, row: ProjectRow, version: str) -> None:
        """Predictions that Label Studio was given and does not hold: of a restored backup, or a killed server.

        One count each where all is well.
        """
        before, shown = self.clock() - _UNSEEN, self.store.shown_version(row.id, version)
        given = self.store.delivered(row.id, version, before=before)
        there = self._there(row, shown) if given else 0
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

    @property
    def _golden(self) -> GoldenCopies:
        return GoldenCopies(store=self.store, labels=self.labels)

    def _golden_half_made(self, row: ProjectRow) -> None:
        """Unless somebody makes or writes them just now: then another look does it."""
        if row.id not in self.store.projects_with_unfinished_golden():
            return
        with self.queue.writer_lock(row.id) as keep:
            if keep is not None:
                GoldenRecovering(store=self.store, labels=self.labels, clock=self.clock).recover(row)

    def _golden_lost(self, row: ProjectRow, version: str) -> None:
        if self._golden.check(row, self.store.shown_version(row.id, version), self.clock):
            self.queue.enqueue_write_back(row.id, at_once=True)

    def _there(self, row: ProjectRow, shown: str) -> int:
        """How many predictions of ordinary tasks Label Studio holds."""
        return self.labels.version_counts(row.id).get(shown, 0) - self._golden.written(row.id, shown)

    def _doubled(self, row: ProjectRow, version: str) -> None:
        """Predictions that Label Studio stored of a dead writer's last call after all, beside those that were written
        in their place: one is left of each. Where there are not more than were given, none is looked at."""
        doubted = self.store.in_doubt(row.id, version, before=self.clock() - _LATEST)
        if not doubted:
            return
        given = self.store.delivered(row.id, version, before=self.clock())  # before what is there is counted
        shown = self.store.shown_version(row.id, version)
        if self._there(row, shown) <= given:
            self.store.end_doubt(row.id, version, doubted)
            return
        _log.warning("predictions may be there twice", extra={"project": row.id, "tasks": len(doubted)})
        self.store.offer_again(row.id, version, doubted)
        self.queue.enqueue_write_back(row.id, at_once=True)

    def _outdated(self, row: ProjectRow, version: str, recent: Sequence[JobRow]) -> None:
        """Jobs that had all answers, and not all of them written, when the project changed. Where work begins by
        itself, their tasks are asked anew, as those of a job are that the change stops."""
        anew: set[int] = set()
        for job in recent if row.auto_start else ():
            of_project = job.agent is None and not job.is_limited and job.version != version
            if of_project and job.state == JobState.DONE and self.store.progress(job.id).outdated:
                anew |= set(self.store.job_task_ids(job.id, list(TaskState)))
        anew -= set(self.store.records(row.id, version, sorted(anew))) if anew else set()
        task_ids = sorted(self.labels.existing_tasks(row.id, sorted(anew))) if anew else []
        if task_ids:
            _log.info("tasks of a changed project are asked anew", extra={"project": row.id, "tasks": len(task_ids)})
            start_created(self.store, self.queue, row, task_ids)

    def _edited(self, row: ProjectRow, version: str, recent: Sequence[JobRow]) -> None:
        """Tasks whose data changed since a job that is open, or was lately, read them: asked again where the jobs to
        which they belong may ask, and on their account."""
        if not recent:
            return
        begun = min(job.created_at for job in recent)
        since = max(begun, self.queue.checked_at(row.id) or begun) - _UNSEEN
        changed = list(self.labels.changed_tasks(row.id, answerable(row.label_config).variables, since=since))
        records = self.store.records(row.id, version, [task.id for task in changed]) if changed else {}
        edited = [(t, r) for t in changed if (r := records.get(t.id)) is not None and r.data_hash != t.data_hash]
        if not edited:
            return
        _log.info("edited tasks are asked again", extra={"project": row.id, "tasks": len(edited)})
        by_job: defaultdict[int, list[tuple[Task, Record]]] = defaultdict(list)
        for task, record in edited:
            if record.job_id is not None:
                by_job[record.job_id].append((task, record))
        anew: list[Task] = []
        for job_id, those in by_job.items():
            free = self._is_free(job_id)
            anew += [task for task, record in those if free and record.state.finished]
            self._renew(job_id, [task for task, record in those if not (free and record.state.finished)])
        if anew:
            self.jobs.start(row.id, version, "edited", anew)

    def _is_free(self, job_id: int) -> bool:
        """Whether what the job answered may be asked again by another one, now and on nobody's account."""
        job = self.store.job(job_id)
        return job is None or not (job.is_limited or job.state in HALTED)

    def _renew(self, job_id: int, tasks: Sequence[Task]) -> None:
        """Within their job: asked at once, or with what else it has to do once it goes on."""
        renewed = self.store.renew(job_id, tasks)
        job = self.store.job(job_id)
        if renewed and job is not None and job.state not in HALTED:
            for start in range(0, len(renewed), self.jobs.chunk_size):
                enqueue_tasks(self.store, self.queue, job_id, renewed[start : start + self.jobs.chunk_size])
