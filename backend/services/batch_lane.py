"""Jobs through an endpoint's batch API: what a job's tasks ask is given to the endpoint in files, and the answers are
stored as any reply is (`cached_model.py`). The tasks are then worked off as usual, and find their replies there.

A job goes on in steps. Each looks at the batches that are out (`batch_out.py`); when none is left, it looks at the
tasks (`batch_walk.py`): those whose conversation can be held to its end become chunks for the workers, the others'
next requests go into the next round of batches (`batch_files.py`). After the last round the workers ask what is
missing. A step may be killed anywhere and be run again: what it does is noted before and after, and what is at the
endpoint is found there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import BinaryIO

from backend.core.errors import AgentUnknown, ConfigError, InputError, LimitFarOff, ModelError, SettingsError
from backend.core.values import Agent, JobState
from backend.dialogue import Question
from backend.ports.batches import BatchEndpoint, BatchRow, BatchState
from backend.ports.clock import Clock
from backend.ports.queue import Queue
from backend.ports.store import BATCH, JobRow, Store
from backend.services.annotate import Caller
from backend.services.batch_files import MAX_BYTES, MAX_REQUESTS, BatchFiles
from backend.services.batch_out import BatchesOut
from backend.services.batch_requests import StoredReplies
from backend.services.batch_walk import Walk
from backend.services.chunks import other_version
from backend.services.projects import Projects

_log = logging.getLogger(__name__)

BatchContext = Callable[[Agent], AbstractAsyncContextManager[tuple[Caller, BatchEndpoint]]]
CACHE_IS_OFF = "The batch lane keeps its replies in the cache, which is off: set PRELABEL_CACHE_DAYS to 1 or more."


def check_agent(agent: Agent) -> None:
    """Raises `InputError` for an agent whose prompts may be others when a batch comes back: no reply would fit; and for
    those that read stored answers or none."""
    if agent.is_student:
        raise InputError(f"The agent {agent.name!r} is a student, which asks no endpoint: run it without --lane batch.")
    if agent.calibrated:
        raise InputError(
            f"The agent {agent.name!r} reads again what was answered, and asks hardly anything: run it without "
            "--lane batch."
        )
    if agent.retrieved:
        raise InputError(
            f"The agent {agent.name!r} shows verified tasks as examples, which change while a batch is away: run it "
            "without --lane batch, or take an agent without `retrieved`."
        )


@dataclass(frozen=True, kw_only=True)
class Again:
    """When the next step is to come, and over which tasks."""

    delay_s: float
    after: int = 0  # task id: the tasks up to it have been looked at


@dataclass(frozen=True, kw_only=True)
class BatchLane:
    """What a worker does with one message about a job's batches."""

    store: Store
    projects: Projects
    queue: Queue
    endpoint: BatchContext
    clock: Clock
    scratch: Callable[[], BinaryIO]  # a file that is gone when it is closed
    cache_is_on: bool
    rounds: int  # of batches; what is still missing after the last one is asked live
    poll_s: float  # between two looks at a batch
    chunk_size: int
    max_requests: int = MAX_REQUESTS
    max_bytes: int = MAX_BYTES

    def step(self, job_id: int, after: int = 0) -> None:
        """Do what there is to do now, and ask for the next step. Safe to run twice, at once too.

        The next one is asked for while this one is seen to be at it: the sweeper then asks for none. It goes on where
        this one ended even if somebody else has asked for a step meanwhile, which would begin at the first task: that
        would cost a round.
        """
        self.queue.batch_step_started(job_id)
        job = self.store.job(job_id)
        if job is None or job.lane != BATCH:
            return
        with self.queue.batch_lock(job_id) as keep:
            again = Again(delay_s=self.poll_s, after=after) if keep is None else self._step(job, after, keep)
            if again is not None and again.after:
                self.queue.batch_step_started(job_id)
            if again is not None:
                self.queue.enqueue_batch_step(job_id, after=again.after, delay_s=again.delay_s)

    def _step(self, job: JobRow, after: int, keep: Callable[[], None]) -> Again | None:
        """One step under the lock. What will pass is waited for, what will not stops the job."""
        try:
            if not self.cache_is_on:
                raise SettingsError(CACHE_IS_OFF)
            return asyncio.run(self._go_on(job, after, keep))
        except LimitFarOff as error:
            return Again(delay_s=max(self.poll_s, error.wait_s), after=after)
        except (AgentUnknown, ConfigError, SettingsError, ModelError) as error:
            if isinstance(error, ModelError) and error.transient:
                _log.warning("the batches are looked at later", extra={"job": job.id, "reason": error.for_log})
                return Again(delay_s=max(self.poll_s, error.retry_after_s or 0.0), after=after)
            if isinstance(error, SettingsError) or (isinstance(error, ModelError) and error.heals):
                if self.store.pause_job(job.id, str(error), by="fault"):  # the sweeper sees to it that it goes on
                    _log.error("job paused", extra={"job": job.id, "reason": error.for_log})
            else:
                self._stop(job, str(error))
            return None

    def _stop(self, job: JobRow, reason: str) -> None:
        if not job.state.ended and self.store.set_job_state(job.id, JobState.STOPPED, reason):
            _log.error("job stopped", extra={"job": job.id, "reason": reason})

    async def _go_on(self, job: JobRow, after: int, keep: Callable[[], None]) -> Again | None:
        project = self.store.project(job.project_id)
        if project is None:
            return None
        async with self.endpoint(self.projects.made_for(project, job).agent) as (caller, endpoint):
            if not after:  # else the tasks are being looked at, while the first of their batches are out
                out = BatchesOut(store=self.store, endpoint=endpoint, clock=self.clock, job=job, stop=self._stop)
                if await out.look():
                    return Again(delay_s=self.poll_s)
            now = self.store.job(job.id)
            if now is None or now.state not in (JobState.QUEUED, JobState.RUNNING):
                return None
            question = self.projects.question(project, job.agent)
            if question.version != job.version:
                self._stop(job, str(other_version(project, job.version, question.version)))
                return None
            self.store.set_job_state(job.id, JobState.RUNNING)
            return await self._walk(job, question, caller, endpoint, after=after, keep=keep)

    async def _walk(
        self,
        job: JobRow,
        question: Question,
        caller: Caller,
        endpoint: BatchEndpoint,
        *,
        after: int,
        keep: Callable[[], None],
    ) -> Again | None:
        """Look at the tasks, submit what is missing, and say when to come again."""
        found = await caller.model.capabilities(question.agent.model)
        files = BatchFiles(
            store=self.store,
            endpoint=endpoint,
            found=found,
            job_id=job.id,
            round=_round(self.store.batches(job.id)),
            keep=keep,
            scratch=self.scratch,
            max_requests=self.max_requests,
            max_bytes=self.max_bytes,
        )
        walk = Walk(
            store=self.store,
            queue=self.queue,
            job=job,
            question=question,
            caller=caller,
            stored=StoredReplies(replies=self.store, endpoint=endpoint.name, found=found),
            files=files if files.round <= self.rounds else None,
            chunk_size=self.chunk_size,
        )
        try:
            left = await walk.go(after)
        finally:
            files.close()
        for holder in walk.holders:
            self.queue.enqueue_batch_step(holder)
        if left:
            return Again(delay_s=0.0, after=left)
        if walk.waiting:
            return Again(delay_s=self.poll_s)
        if not walk.chunked:  # an empty message still writes back what is due and ends the job
            self.queue.enqueue_chunk(job.id, [], interactive=False)
        return None


def _round(rows: Sequence[BatchRow]) -> int:
    """The round that a new batch belongs to: the present one while batches are out, else the next."""
    out = any(row.state is not BatchState.ENDED for row in rows)
    latest = max((row.round for row in rows), default=0)
    return latest if out else latest + 1
