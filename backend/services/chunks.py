"""What a worker does with one queue message: annotate a chunk of a job's tasks, write back, end what is all done."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from time import monotonic

from backend.core.errors import (
    AgentUnknown,
    ConfigError,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
    LimitFarOff,
    ModelError,
    PrelabelError,
    SettingsError,
)
from backend.core.values import Agent, JobState, TaskState
from backend.ports.queue import Queue
from backend.ports.store import BATCH, HALTED, JobRow, ProjectRow, Record, Store
from backend.services.annotate import Caller, ChunkRun, annotate_records
from backend.services.budgets import budget_reached
from backend.services.enlisting import still_named
from backend.services.hand import Hand
from backend.services.jobs import enqueue_tasks
from backend.services.meanwhile import written_back_meanwhile
from backend.services.projects import Projects
from backend.services.same_settings import RESTART
from backend.services.writeback import Writer

_log = logging.getLogger(__name__)

CallerContext = Callable[[Agent, JobRow | None], AbstractAsyncContextManager[Caller]]
_PREPARED = 4  # for so many calls in flight one more task is in hand, being prepared or stored meanwhile
_SHORTEST_DELAY_S, _LONGEST_DELAY_S = 5.0, 900.0  # of tasks given back because the model's limit is far off
_LOOK_S = 1.0  # how often a worker looks whether its job was paused or cancelled


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
    go_on_s: float = 0.0  # so long a bulk message takes further tasks of its job
    stopping: Callable[[], bool] = lambda: False  # whether nothing more is to be begun in this process

    def work(self, job_id: int, task_ids: Sequence[int], claimant: str) -> None:
        """Annotate what is still to do of these tasks, write back, end what is all done. Idempotent.

        The tasks may belong to a later job by now: that one is ended with them, or goes on where this one stopped.
        """
        job = self.store.job(job_id)
        if job is None:
            _log.warning("a queue message names a job that is not in the database", extra={"job": job_id})
            return
        self.store.give_back(job.id, claimant)
        row = self.store.project(job.project_id)
        stopped = job.state in HALTED
        if not stopped and row is not None:
            with self.queue.at_work(claimant):
                error = self._annotate(job, row, task_ids, claimant)
            if error is not None:
                self._halt(job, row, error)
            stopped = error is not None or self._is_halted(job.id)
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
            _log.error("predictions wait to be written", extra={"project": project_id, "reason": error.for_log})
        self.queue.enqueue_write_back(project_id)
        return None

    def _halt(self, job: JobRow, row: ProjectRow, error: PrelabelError) -> None:
        """Pause the job where it may go on by itself (`services/sweeper.py` sees to it), else stop it."""
        extra = {"job": job.id, "reason": error.for_log}
        if isinstance(error, SettingsError) or (isinstance(error, ModelError) and error.heals):
            if self.store.pause_job(job.id, str(error), by="fault"):
                _log.error("job paused", extra=extra)
            return
        stopped = self.store.set_job_state(job.id, JobState.STOPPED, str(error))
        _log.error("job stopped", extra=extra)
        if stopped and isinstance(error, ProjectChanged) and row.auto_start and not job.is_limited:
            task_ids = {*self.store.job_task_ids(job.id, list(TaskState)), *still_named(job)}
            self.queue.enqueue_auto_start(job.project_id, sorted(task_ids))

    def _annotate(self, job: JobRow, row: ProjectRow, task_ids: Sequence[int], claimant: str) -> PrelabelError | None:
        """Annotate what can be claimed; returns why the job cannot go on."""
        try:
            question = self.projects.question(row, job.agent)
        except (ConfigError, AgentUnknown) as error:
            return error
        if question.version != job.version:
            return other_version(row, job.version, question.version)
        if job.state == JobState.QUEUED:
            self.store.set_job_state(job.id, JobState.RUNNING)
        halted = _now_and_then(lambda: self._is_halted(job.id))

        async def annotate() -> PrelabelError | None:
            go_on_s = 0.0 if self.interactive or job.lane == BATCH else self.go_on_s
            hand = Hand(
                self.store, job, task_ids, claimant, few=self.concurrency, go_on_s=go_on_s, only=partial(self._own, job)
            )
            writing = written_back_meanwhile(self.writer, job.project_id)
            async with self.caller(question.agent, job) as caller, writing:
                run = await annotate_records(
                    hand.more(),
                    question,
                    caller,
                    self.store,
                    concurrency=self.concurrency + self.concurrency // _PREPARED,
                    further=hand.more,
                    is_halted=lambda: self.stopping() or halted(),
                )
            return self._after(job, run, hand.left(run.released))

        try:
            return asyncio.run(annotate())
        except SettingsError as error:  # there is no model to ask: nothing was claimed
            return error

    def _after(self, job: JobRow, run: ChunkRun, left: Sequence[int]) -> PrelabelError | None:
        """See to the tasks that were given back; returns why the job cannot go on."""
        if run.stopped_by is not None:
            return run.stopped_by
        if run.over_budget is not None:
            reason = budget_reached(job, self.store)
            if self.store.pause_job(job.id, reason, by="budget"):
                _log.warning("job paused", extra={"job": job.id, "reason": reason})
        elif left and not self._is_halted(job.id):  # one that was halted may have been resumed meanwhile
            self._put_off(job, left, run.far_off)
        return None

    def _is_halted(self, job_id: int) -> bool:
        job = self.store.job(job_id)
        return job is not None and job.state in HALTED

    def _own(self, job: JobRow, claimed: Sequence[Record]) -> list[Record]:
        """Without the tasks of other jobs where either of the two has a budget or a pace: each is asked on its own
        account, by a message of its own. A task that somebody has opened meanwhile is not kept waiting for that."""
        ids = {record.job_id for record in claimed} - {job.id, None}
        owners = [owner for owner in (self.store.job(i) for i in ids if i is not None) if owner is not None]
        others = {o.id for o in owners if o.is_limited or (job.is_limited and o.kind != "predict")}
        if others:
            self._give_to_owners(job, [record for record in claimed if record.job_id in others])
        return [record for record in claimed if record.job_id not in others]

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
        self._give_to_owners(job, left)
        own = [record.task_id for record in left if record.job_id == job.id]
        if own and not self._is_halted(job.id):  # it was resumed meanwhile, and found these running
            self.queue.enqueue_chunk(job.id, own, interactive=self.interactive)

    def _give_to_owners(self, job: JobRow, left: Sequence[Record]) -> None:
        """Release these; the jobs that own them get messages for them."""
        self.store.release([record.id for record in left])
        taken_over: defaultdict[int, list[int]] = defaultdict(list)
        for record in left:
            if record.job_id is not None and record.job_id != job.id:
                taken_over[record.job_id].append(record.task_id)
        for owner, owned in taken_over.items():
            enqueue_tasks(self.store, self.queue, owner, owned)


class ProjectChanged(ConfigError):
    """The project is no longer what the job was made for."""


def _now_and_then(look: Callable[[], bool]) -> Callable[[], bool]:
    """`look`, asked at most once a second; what it found in between."""
    next_look, found = 0.0, False

    def looked() -> bool:
        nonlocal next_look, found
        if monotonic() >= next_look:
            next_look, found = monotonic() + _LOOK_S, look()
        return found

    return looked


def other_version(row: ProjectRow, of_job: str, of_worker: str) -> ConfigError:
    """The project as it is stored gives whoever asked for the job one version and this worker another: then it is
    not the project that changed."""
    if row.version == of_job:
        told = f"version {of_worker} there, {of_job} here"
        return ConfigError(f"The worker was started with other settings ({told}): {RESTART}, then run again.")
    return ProjectChanged("The labeling config, the instructions or the agent changed meanwhile: run again.")
