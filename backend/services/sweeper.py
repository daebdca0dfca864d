"""What was lost is queued again, from what the database knows: a worker that was killed, a Redis that was emptied, a
writer that died, an endpoint that is well again. One at a time does it for the whole installation.

It acts only on what it has seen for a while: between a message's being taken and its first sign of life nothing is
lost. To queue something twice is harmless: a message claims what is still to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backend.core.errors import PrelabelError
from backend.core.values import JobState, TaskState
from backend.ports.clock import Clock
from backend.ports.queue import Queue
from backend.ports.store import BATCH, READING, JobRow, Store
from backend.services.enlisting import revive
from backend.services.rescoring import GRACE

_log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=8)  # so long something looks lost before it is; longer than a sign of life is away
_ENLISTING_S = {"run": 120.0}  # a command that reads a large project gives a sign with each page
_ENLISTING_OTHERS_S = 20.0
_FIRST_PROBE_S, _LAST_PROBE_S = 5.0, 30.0
_FIRST_WRITE_S, _LAST_WRITE_S = 10.0, 30.0
_FIRST_STEP_S, _LAST_STEP_S = 10.0, 30.0  # of a job's batches: some fail each time, and may be well again by themselves
_WELL_FOR = timedelta(minutes=1)  # after so long without a fault, the next one is probed soon again
_CHECKED_FOR = timedelta(minutes=10)  # after its end a job's project is compared with Label Studio
MOST_AWAITED_TASKS = 2  # of a `/predict`: somebody has opened them


@dataclass
class Since:
    """Since when something has been as it is."""

    _seen: dict[Hashable, datetime] = field(default_factory=dict)

    def lasting(self, found: set[Hashable], now: datetime, least: timedelta) -> set[Hashable]:
        """Those of `found` that have been found for that long; what is not found now begins anew."""
        self._seen = {one: self._seen.get(one, now) for one in found}
        return {one for one, since in self._seen.items() if now - since >= least}


@dataclass
class Spacing:
    """Attempts at something, at growing distances up to a longest one, in seconds."""

    first_s: float
    last_s: float
    _next: dict[Hashable, tuple[datetime, float]] = field(default_factory=dict)

    def due(self, what: Hashable, now: datetime) -> bool:
        at, delay_s = self._next.get(what, (now, self.first_s))
        if now - at > _WELL_FOR:
            delay_s = self.first_s
        if now < at:
            return False
        self._next[what] = (now + timedelta(seconds=delay_s), min(self.last_s, 2 * delay_s))
        return True


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """The sweeper of an installation. It remembers from one look to the next."""

    store: Store
    queue: Queue
    well: Callable[[JobRow], PrelabelError | None]  # why a job that a fault pauses cannot go on yet
    clock: Clock
    chunk_size: int
    _silent: Since = field(default_factory=Since)
    _unnamed: Since = field(default_factory=Since)
    _unwritten: Since = field(default_factory=Since)
    _probes: Spacing = field(default_factory=lambda: Spacing(_FIRST_PROBE_S, _LAST_PROBE_S))
    _steps: Spacing = field(default_factory=lambda: Spacing(_FIRST_STEP_S, _LAST_STEP_S))
    _settlings: Spacing = field(default_factory=lambda: Spacing(_FIRST_WRITE_S, _LAST_WRITE_S))
    _writes: Spacing = field(default_factory=lambda: Spacing(_FIRST_WRITE_S, _LAST_WRITE_S))

    def look(self) -> None:
        """Once over everything. Raises `StoreError` and `QueueError`."""
        jobs = self.store.open_jobs()
        self._put_back(jobs)
        self._queue_again(jobs)
        revive(self.store, self.queue)
        for job_id in self.store.open_batch_jobs():  # where its next step waits already, nothing is added
            if not self.queue.batch_at(job_id) and self._steps.due(job_id, self.clock()):
                self.queue.enqueue_batch_step(job_id)
        self._write()
        self._resume([job for job in jobs if job.state == JobState.PAUSED and job.paused_by == "fault"])
        recent = {job.project_id for job in self.store.jobs_since(self.clock() - _CHECKED_FOR)}
        for project_id in recent | set(self.store.projects_with_unfinished_golden()):
            self.queue.enqueue_check(project_id)
        self._settle()
        for project_id in self.store.projects_to_catch_up():  # webhooks get lost
            self.queue.enqueue_catch_up(project_id)

    def _settle(self) -> None:
        """Scores that come into use, and what they replaced."""
        for project_id in self.store.projects_to_settle(shown_before=self.clock() - GRACE):
            if self._settlings.due(project_id, self.clock()):
                self.queue.enqueue_refit(project_id)

    def _put_back(self, jobs: Sequence[JobRow]) -> None:
        """What somebody had in hand who gives no sign of life."""
        silent = self.queue.silent(self.store.claimants([job.id for job in jobs]))
        dead = {str(one) for one in self._silent.lasting(set(silent), self.clock(), PATIENCE)}
        for job in jobs if dead else ():
            task_ids = self.store.release_claims(job.id, dead)
            if task_ids:
                _log.warning("tasks of a dead worker are put back", extra={"job": job.id, "tasks": len(task_ids)})
            if task_ids and job.state in (JobState.QUEUED, JobState.RUNNING):
                self._enqueue(job, task_ids)

    def _queue_again(self, jobs: Sequence[JobRow]) -> None:
        """Jobs of which the queue knows nothing, though they have tasks to do; or which nobody ended."""
        named = self.queue.jobs_named()
        candidates = [job for job in jobs if job.state in READING and job.lane != BATCH]
        unnamed: set[Hashable] = {job.id for job in candidates if job.id not in named}
        lost = self._unnamed.lasting(unnamed, self.clock(), PATIENCE)
        for job in candidates:
            if job.id in lost and (job.state != JobState.ENLISTING or self._enlisting_ended(job)):
                queued = self.store.job_task_ids(job.id, [TaskState.QUEUED])
                if queued:
                    _log.warning(
                        "tasks without a message are queued again", extra={"job": job.id, "tasks": len(queued)}
                    )
                self._enqueue(job, queued)
                self.store.finish_job_if_done(job.id)

    def _enlisting_ended(self, job: JobRow) -> bool:
        """A job whose tasks nobody reads any more. What is known of it goes on, or, where that is a part of a run
        that somebody asked for, it is stopped."""
        if job.reading:  # by workers
            return False
        quiet_s = _ENLISTING_S.get(job.kind, _ENLISTING_OTHERS_S)
        if self.store.enlisted_since(job.id, self.clock() - timedelta(seconds=quiet_s)):
            return False
        if job.kind == "run":
            reason = "The command that read its tasks ended before it had them all: run again."
            self.store.set_job_state(job.id, JobState.STOPPED, reason)
            return False
        return self.store.set_job_state(job.id, JobState.QUEUED)

    def _write(self) -> None:
        """Answers that Label Studio lacks, and nobody writes."""
        unwritten: set[Hashable] = {p for p in self.store.projects_to_write() if not self.queue.writer_at(p)}
        for project_id in self._unwritten.lasting(unwritten, self.clock(), PATIENCE):
            if isinstance(project_id, int) and self._writes.due(project_id, self.clock()):
                self.queue.enqueue_write_back(project_id, at_once=True)

    def _resume(self, paused: Sequence[JobRow]) -> None:
        """Jobs whose model refused, once it answers again."""
        for version in {job.version for job in paused}:
            of_version = [job for job in paused if job.version == version]
            if not self._probes.due(version, self.clock()):
                continue
            error = self.well(of_version[0])
            if error is not None:
                _log.info("jobs stay paused", extra={"jobs": len(of_version), "reason": error.for_log})
                continue
            for job in of_version:
                if self.store.resume_job(job.id):
                    _log.info("job goes on", extra={"job": job.id})
                    if job.reading:
                        self.queue.enqueue_enlisting(job.id, job.read_to)
                    self._enqueue(job, self.store.job_task_ids(job.id, [TaskState.QUEUED]))

    def _enqueue(self, job: JobRow, task_ids: Sequence[int]) -> None:
        if job.lane == BATCH:  # looks for its tasks itself
            self.queue.enqueue_batch_step(job.id)
            return
        interactive = job.kind == "predict" and job.total <= MOST_AWAITED_TASKS
        for start in range(0, len(task_ids), self.chunk_size):
            self.queue.enqueue_chunk(job.id, task_ids[start : start + self.chunk_size], interactive=interactive)
