"""Fills the files that an endpoint's batch API takes, and submits them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO
from uuid import uuid4

from backend.core.errors import ModelError, QueueError
from backend.ports.batches import BatchEndpoint, Batches
from backend.ports.model import Capabilities
from backend.services.batch_requests import Wanted

MAX_REQUESTS, MAX_BYTES = 50_000, 200_000_000  # of one file, as OpenAI takes it


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of requests that were to go into a batch."""

    taken: frozenset[str]  # custom ids of those that are in a file now
    too_long: frozenset[str]  # of those that no file takes


@dataclass
class _Filling:
    """The batch that is being filled."""

    id: int
    marker: str
    file: BinaryIO
    requests: int = 0
    bytes: int = 0


@dataclass
class BatchFiles:
    """The files of one job's round. `keep` raises when another worker may be at the job."""

    store: Batches
    endpoint: BatchEndpoint
    found: Capabilities
    job_id: int
    round: int
    keep: Callable[[], None]
    scratch: Callable[[], BinaryIO]  # a file that is gone when it is closed
    max_requests: int = MAX_REQUESTS
    max_bytes: int = MAX_BYTES
    submitted: int = 0
    _filling: _Filling | None = field(default=None, init=False)

    async def add(self, wanted: Iterable[Wanted]) -> Added:
        """Put requests into the file, those not that are in an unread batch; a file that is full is submitted."""
        taken: set[str] = set()
        too_long: set[str] = set()
        waiting: list[tuple[Wanted, bytes]] = []
        waiting_bytes = 0
        for one in {w.named.custom_id: w for w in wanted}.values():
            line = self.endpoint.line(one.named.custom_id, one.request, self.found)
            if len(line) > self.max_bytes:
                too_long.add(one.named.custom_id)
                continue
            if not self._has_room(len(waiting) + 1, waiting_bytes + len(line)):
                taken |= self._take(waiting)
                waiting, waiting_bytes = [], 0
                await self.submit()
            waiting.append((one, line))
            waiting_bytes += len(line)
        return Added(taken=frozenset(taken | self._take(waiting)), too_long=frozenset(too_long))

    async def submit(self) -> None:
        """Give what has been collected to the endpoint. That it is about to be there is stored before, its id after.

        A call that fails in a way that leaves open whether it arrived leaves the batch as it is noted: it is looked
        for. One that is refused leaves nothing.
        """
        filling, self._filling = self._filling, None
        if filling is None:
            return
        with filling.file:
            if not filling.requests:
                self.store.drop_batch(filling.id)
                return
            filling.file.seek(0)
            try:
                file_id = await self.endpoint.upload(filling.marker, filling.file)
                self.keep()
                if not self.store.batch_creating(filling.id, file_id):
                    await self.endpoint.delete_files([file_id])
                    raise QueueError("Another worker is at this job's batches.")
                batch = await self.endpoint.create(filling.marker, file_id)
            except ModelError as error:
                if not error.transient:
                    await self.endpoint.delete_upload(filling.marker)
                    self.store.drop_batch(filling.id)
                raise
            self.store.batch_submitted(filling.id, batch.id)
            self.submitted += 1

    def close(self) -> None:
        """Let go of a file that was not submitted."""
        if self._filling is not None:
            self._filling.file.close()

    def _has_room(self, requests: int, size: int) -> bool:
        there = self._filling
        if there is not None:
            requests, size = requests + there.requests, size + there.bytes
        return requests <= self.max_requests and size <= self.max_bytes

    def _take(self, lines: list[tuple[Wanted, bytes]]) -> set[str]:
        if not lines:
            return set()
        if self._filling is None:
            marker = uuid4().hex
            batch_id = self.store.begin_batch(self.job_id, marker, endpoint=self.endpoint.name, round=self.round)
            self._filling = _Filling(id=batch_id, marker=marker, file=self.scratch())
        filling = self._filling
        taken = self.store.add_to_batch(filling.id, [one.named for one, _ in lines])
        for one, line in lines:
            if one.named.custom_id in taken:
                filling.file.write(line)
                filling.requests += 1
                filling.bytes += len(line)
        return taken
