"""One look at the tasks of a job of the batch lane: who goes on, who waits, and for what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from backend.core.values import TaskState
from backend.dialogue import Question
from backend.ports.queue import Queue
from backend.ports.store import JobRow, Store
from backend.services.annotate import Caller
from backend.services.batch_files import BatchFiles
from backend.services.batch_requests import StoredReplies, Wanted, wanted_for

_PAGE = 25  # tasks that are looked at together: their images are all in memory
_LONGEST_S = 240.0  # then the next step goes on, as in `batch_out.py`


@dataclass(kw_only=True)
class Walk:
    """Cuts what can go on into chunks for the workers, and puts what is missing into the files of a round."""

    store: Store
    queue: Queue
    job: JobRow
    question: Question
    caller: Caller
    stored: StoredReplies
    files: BatchFiles | None  # None: there is no further round
    chunk_size: int
    holders: set[int] = field(default_factory=set)  # other jobs in whose batches requests of this one are
    waiting: bool = False  # some tasks wait for a batch
    chunked: bool = False  # some tasks were given to the workers
    ready: list[int] = field(default_factory=list)

    async def go(self, after: int) -> int:
        """Look at the tasks with an id above `after`; returns the id up to which it came in time, 0 at the end."""
        queued = [n for n in self.store.job_task_ids(self.job.id, [TaskState.QUEUED]) if n > after]
        left, started = 0, monotonic()
        for page in _pages(queued):
            await self._look(page)
            if monotonic() - started > _LONGEST_S and page[-1] != queued[-1]:
                left = page[-1]
                break
        self._give_out(1)
        if self.files is not None:
            await self.files.submit()
        return left

    async def _look(self, task_ids: Sequence[int]) -> None:
        records = self.store.records(self.job.project_id, self.job.version, task_ids).values()
        mine = [r for r in records if r.job_id == self.job.id and r.state is TaskState.QUEUED]
        found = await asyncio.gather(*(wanted_for(r, self.question, self.caller, self.stored) for r in mine))
        live = await self._left_to_workers([wanted for some in found for wanted in some])
        for record, some in zip(mine, found, strict=True):
            if all(wanted.named.custom_id in live for wanted in some):
                self.ready.append(record.task_id)
            else:
                self.waiting = True
        self._give_out(self.chunk_size)

    async def _left_to_workers(self, wanted: Sequence[Wanted]) -> set[str]:
        """The custom ids of what no batch will answer; the others are in one from now on."""
        asked = {one.named.custom_id for one in wanted}
        live: set[str] = set()
        if self.files is not None:
            added = await self.files.add(wanted)
            asked -= added.taken | added.too_long
            live |= added.too_long
        held = self.store.jobs_that_asked(asked)
        self.holders |= set(held.values()) - {self.job.id}
        # What another job had in a batch until just now has an answer, or goes into the next round.
        return live if self.files is not None else live | (asked - set(held))

    def _give_out(self, least: int) -> None:
        """Messages of a chunk's size, the last one with at least so many tasks."""
        size = self.chunk_size
        while len(self.ready) >= least:
            chunk, self.ready = self.ready[:size], self.ready[size:]
            self.queue.enqueue_chunk(self.job.id, chunk, interactive=False)
            self.chunked = True


def _pages(task_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(task_ids), _PAGE):
        yield task_ids[start : start + _PAGE]
