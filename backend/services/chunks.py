"""What a worker does with one queue message: annotate a chunk of a job's tasks, write back, end what is all done."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from backend.core.errors import (
    ConfigError,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
    LimitFarOff,
    ModelError,
    PrelabelError,
    SettingsError,
)
from backend.core.values import JobState, TaskState
from backend.ports.queue import Queue
from backend.ports.store import JobRow, ProjectRow, Store
from backend.services.annotate import Caller, annotate_records
from backend.services.projects import Projects
from backend.services.same_settings import RESTART
from backend.services.writeback import Writer

_log = logging.getLogger(__name__)

CallerContext = Callable[[], AbstractAsyncContextManager[Caller]]
_HALTED = (JobState.PAUSED, JobState.CANCELLED, JobState.STOPPED)
_SHORTEST_DELAY_S, _LONGEST_DELAY_S = 5.0, 900.0  # of tasks given back because the model's limit is far off


@dataclass(frozen=True, kw_only=True)
class ChunkWorker:
    """What a worker does with one queue message."""

    store: Store
    projects: Projects
    writer: Writer
    queue: Queue
    caller: CallerContext
    concurrency: int
    interactive: bool = False  # from which queue its messages are
    stopping: Callable[[], bool] = lambda: False  # whether nothing more is to be begun in this process

    def work(self, job_id: int, task_ids: Sequence[int], claimant: str) -> None:
        """Annotate what is still to do of these tasks, write back, end what is all done. Idempotent.

        The tasks may belong to a later job by now: that one is ended with them, or goes on where this one stopped.
        """
        job = self.store.job(job_id)
        if job is None:
            _log.warning("a queue message names a job that is not in the database", extra={"job": job_id})
            return
        row = self.store.project(job.project_id)
        stopped = job.state in _HALTED
        if not stopped and row is not None:
            with self.queue.at_work(claimant):
                error = self._annotate(job, row, task_ids, claimant)
            stopped = error is not None
            if error is not None:
                self._halt(job, row, error)
        if stopped:
            self._hand_on(job, task_ids, claimant)
        written = self._deliver(job.project_id)
        owners = {job.id: job} | {owner.id: owner for owner in self.store.owners(job.project_id, job.version, task_ids)}
        ended = [owner for owner in owners.values() if self.store.finish_job_if_done(owner.id)]
        if written is not None and any(owner.kind != "predict" for owner in ended):
            # Where no backend is connected, Label Studio takes the version only once there is a prediction of it.
            self.projects.sync(self.writer.labels, job.project_id)

    def write_back(self, project_id: int) -> None:
        """Write back what the chunks had to leave: to another writer that died, or because it was held."""
        if self._deliver(project_id):
            self.projects.sync(self.writer.labels, project_id)

    def _deliver(self, project_id: int) -> int | None:
        """Write back what is due: how many predictions; None where it is left to a later message."""
        try:
            if not self.stopping():
                return self.writer.write_back(project_id)
        except (LabelStudioUnreachable, LabelStudioUnauthorized) as error:
            _log.error("predictions wait to be written", extra={"project": project_id, "reason": str(error)})
        self.queue.enqueue_write_back(project_id)
        return None

    def _halt(self, job: JobRow, row: ProjectRow, error: PrelabelError) -> None:
        """Pause the job where it may go on by itself (`services/sweeper.py` sees to it), else stop it."""
        extra = {"job": job.id, "reason": str(error)}
        if isinstance(error, SettingsError) or (isinstance(error, ModelError) and error.heals):
            if self.store.pause_job(job.id, str(error), by="fault"):
                _log.error("job paused", extra=extra)
            return
        stopped = self.store.set_job_state(job.id, JobState.STOPPED, str(error))
        _log.error("job stopped", extra=extra)
        if stopped and isinstance(error, ProjectChanged) and row.auto_start:
            self.queue.enqueue_auto_start(job.project_id, self.store.job_task_ids(job.id, list(TaskState)))

    def _annotate(self, job: JobRow, row: ProjectRow, task_ids: Sequence[int], claimant: str) -> PrelabelError | None:
        """Annotate what can be claimed; returns why the job cannot go on."""
        try:
            question = self.projects.question(row)
        except ConfigError as error:
            return error
        if question.version != job.version:
            return _other_version(row, job.version, question.version)
        if job.state == JobState.QUEUED:
            self.store.set_job_state(job.id, JobState.RUNNING)

        async def annotate() -> PrelabelError | None:
            async with self.caller() as caller:
                records = self.store.claim(job.version, job.project_id, task_ids, claimant)
                run = await annotate_records(
                    records, question, caller, self.store, concurrency=self.concurrency, stopping=self.stopping
                )
            if run.stopped_by is not None:
                return run.stopped_by
            if run.released:
                self._put_off(job, [r.task_id for r in records if r.id in set(run.released)], run.far_off)
            return None

        try:
            return asyncio.run(annotate())
        except SettingsError as error:  # there is no model to ask: nothing was claimed
            return error

    def _put_off(self, job: JobRow, task_ids: Sequence[int], far_off: LimitFarOff | None) -> None:
        """A message for what was given back, for when the model's limit has room again."""
        delay_s = min(max(far_off.wait_s if far_off else 0.0, _SHORTEST_DELAY_S), _LONGEST_DELAY_S)
        reason = str(far_off or "The message took too long.")
        if self.stopping():
            delay_s, reason = 0.0, "The worker stops."
        extra = {"job": job.id, "tasks": len(task_ids), "seconds": round(delay_s), "reason": reason}
        _log.info("tasks are put off", extra=extra)
        self.queue.enqueue_chunk(job.id, task_ids, interactive=self.interactive, delay_s=delay_s)

    def _hand_on(self, job: JobRow, task_ids: Sequence[int], claimant: str) -> None:
        """Give back what a stopped job's message has in hand; a later job that took it over gets a message for it.

        That job found these tasks running when it was queued, so that no message of its own names them.
        """
        left = self.store.claim(job.version, job.project_id, task_ids, claimant)
        self.store.release([record.id for record in left])
        taken_over: defaultdict[int, list[int]] = defaultdict(list)
        for record in left:
            if record.job_id is not None and record.job_id != job.id:
                taken_over[record.job_id].append(record.task_id)
        for owner, owned in taken_over.items():
            self.queue.enqueue_chunk(owner, owned, interactive=False)


class ProjectChanged(ConfigError):
    """The project is no longer what the job was made for."""


def _other_version(row: ProjectRow, of_job: str, of_worker: str) -> ConfigError:
    """The project as it is stored gives whoever asked for the job one version and this worker another: then it is
    not the project that changed."""
    if row.version == of_job:
        told = f"version {of_worker} there, {of_job} here"
        return ConfigError(f"The worker was started with other settings ({told}): {RESTART}, then run again.")
    return ProjectChanged("The labeling config or the instructions changed meanwhile: run again.")
