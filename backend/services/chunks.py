"""What a worker does with one queue message: annotate a chunk of a job's tasks, write back, end what is all done."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from backend.core.errors import AgentUnknown, ConfigError, LimitFarOff, SettingsError
from backend.core.values import Agent, JobState
from backend.ports.queue import Queue
from backend.ports.store import JobRow, ProjectRow, Store
from backend.services.annotate import Caller, annotate_records
from backend.services.hand import Hand
from backend.services.jobs import enqueue_tasks
from backend.services.meanwhile import written_back_meanwhile
from backend.services.projects import Projects
from backend.services.same_settings import RESTART
from backend.services.writeback import Writer

_log = logging.getLogger(__name__)

CallerContext = Callable[[Agent], AbstractAsyncContextManager[Caller]]
_HALTED = (JobState.PAUSED, JobState.CANCELLED, JobState.STOPPED)
_PREPARED = 4  # for so many calls in flight one more task is in hand, being prepared or stored meanwhile
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
    go_on_s: float = 0.0  # so long a bulk message takes further tasks of its job

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
        stopped = job.state in _HALTED
        if not stopped and row is not None:
            reason = self._annotate(job, row, task_ids, claimant)
            stopped = reason is not None
            if reason is not None:
                _log.error("job stopped", extra={"job": job.id, "reason": reason})
                self.store.set_job_state(job.id, JobState.STOPPED, reason)
        if stopped:
            self._hand_on(job, task_ids, claimant)
        self.writer.write_back(job.project_id)
        owners = {job.id: job} | {owner.id: owner for owner in self.store.owners(job.project_id, job.version, task_ids)}
        ended = [owner for owner in owners.values() if self.store.finish_job_if_done(owner.id)]
        if any(owner.kind != "predict" for owner in ended):
            # Where no backend is connected, Label Studio takes the version only once there is a prediction of it.
            self.projects.sync(self.writer.labels, job.project_id)

    def write_back(self, project_id: int) -> None:
        """Write back what the chunks had to leave: to another writer that died, or because it was held."""
        if self.writer.write_back(project_id):
            self.projects.sync(self.writer.labels, project_id)

    def _annotate(self, job: JobRow, row: ProjectRow, task_ids: Sequence[int], claimant: str) -> str | None:
        """Annotate what can be claimed; returns why the job must stop."""
        try:
            question = self.projects.question(row, job.agent)
        except (ConfigError, AgentUnknown) as error:
            return str(error)
        if question.version != job.version:
            return why_other_version(row, job.version, question.version)
        if job.state == JobState.QUEUED:
            self.store.set_job_state(job.id, JobState.RUNNING)

        async def annotate() -> str | None:
            go_on_s = 0.0 if self.interactive else self.go_on_s
            hand = Hand(self.store, job, task_ids, claimant, few=self.concurrency, go_on_s=go_on_s)
            writing = written_back_meanwhile(self.writer, job.project_id)
            async with self.caller(question.agent) as caller, writing:
                in_hand = self.concurrency + self.concurrency // _PREPARED
                run = await annotate_records(
                    hand.more(), question, caller, self.store, concurrency=in_hand, further=hand.more
                )
            if run.stopped_by is not None:
                return str(run.stopped_by)
            left = hand.left(run.released)
            if left:
                self._put_off(job, left, run.far_off)
            return None

        try:
            return asyncio.run(annotate())
        except SettingsError as error:  # there is no model to ask: nothing was claimed
            return str(error)

    def _put_off(self, job: JobRow, task_ids: Sequence[int], far_off: LimitFarOff | None) -> None:
        """A message for what was given back, for when the model's limit has room again."""
        delay_s = min(max(far_off.wait_s if far_off else 0.0, _SHORTEST_DELAY_S), _LONGEST_DELAY_S)
        reason = str(far_off or "The message took too long.")
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
            enqueue_tasks(self.store, self.queue, owner, owned)


def why_other_version(row: ProjectRow, of_job: str, of_worker: str) -> str:
    """The project as it is stored gives whoever asked for the job one version and this worker another: then it is
    not the project that changed."""
    if row.version == of_job:
        told = f"version {of_worker} there, {of_job} here"
        return f"The worker was started with other settings ({told}): {RESTART}, then run again."
    return "The labeling config, the instructions or the agent changed meanwhile: run again."
