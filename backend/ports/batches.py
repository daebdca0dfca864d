"""An endpoint's batch API, and what is remembered of the batches that were given to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol

from backend.core.values import Reply, Request, Usage
from backend.ports.model import Capabilities

ENDED = ("completed", "failed", "expired", "cancelled", "unknown")  # "unknown": the endpoint has no such batch


@dataclass(frozen=True, kw_only=True)
class EndpointBatch:
    """A batch as the endpoint tells of it."""

    id: str
    status: str  # "validating", "in_progress", "finalizing", "cancelling", or one of `ENDED`
    done: int = 0  # requests that were answered or failed so far
    file_ids: tuple[str, ...] = ()  # all that it has there: what was sent and what came of it
    result_file_ids: tuple[str, ...] = ()  # answers and errors, as far as there are any
    error: str | None = None  # the code of what made it fail as a whole

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """One line of a result file. Of a line that cannot be read nothing is known."""

    custom_id: str | None
    reply: Reply | None  # None: the request failed, or the line cannot be used


class BatchEndpoint(Protocol):
    """An endpoint's batch API. Raises a `ModelError`."""

    @property
    def name(self) -> str:
        """The endpoint, as `services/cached_model.py` knows it."""
        ...

    async def check(self) -> None:
        """Raises `BatchNotOffered` where there is no batch API. Submits nothing."""
        ...

    def line(self, custom_id: str, request: Request, found: Capabilities) -> bytes:
        """A request's line of the file, with its end: what a live call would send."""
        ...

    async def upload(self, marker: str, lines: BinaryIO) -> str:
        """The id of the file. `marker` is in its name."""
        ...

    async def create(self, marker: str, file_id: str) -> EndpointBatch: ...

    async def find(self, marker: str, file_id: str) -> EndpointBatch | None:
        """The batch that was created with this marker or of this file; None: there is none."""
        ...

    async def state(self, batch_id: str) -> EndpointBatch: ...

    def results(self, batch: EndpointBatch) -> AsyncIterator[BatchResult]:
        """The lines of its answers and errors, in whatever order."""
        ...

    async def cancel(self, batch_id: str) -> EndpointBatch: ...

    async def delete_files(self, file_ids: Collection[str]) -> None:
        """As far as the endpoint allows it."""
        ...

    async def delete_upload(self, marker: str) -> None:
        """Delete a file that `upload` may have left."""
        ...


class BatchState(StrEnum):
    """How far a batch is here. The endpoint's own word is its `status`."""

    FILLING = "filling"  # its requests are collected; nothing of it is at the endpoint but perhaps its file
    CREATING = "creating"  # it may be at the endpoint, under its marker or its file's id
    SUBMITTED = "submitted"  # its id is known
    COLLECTED = "collected"  # what there is to read has been read and is stored
    ENDED = "ended"  # its files at the endpoint are deleted, too


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """A request that is in a batch which has not been read."""

    custom_id: str  # the key under which its reply is looked for
    request_key: str
    logprobs: bool  # whether token probabilities are wanted


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """A batch of a job."""

    id: int
    job_id: int
    marker: str  # unique, and told to the endpoint: by it a batch is found whose id was not stored
    round: int  # of the job, from 1
    endpoint: str
    state: BatchState
    file_id: str | None
    endpoint_id: str | None  # the batch's id there
    status: str | None  # as the endpoint told it last
    error: str | None  # the endpoint's code of what made it fail as a whole
    requests: int
    done: int  # as the endpoint told it last
    answered: int  # replies that could be stored
    usage: Usage  # of all of its answers, those that could not be used too; nothing before they are read
    submitted_at: datetime | None
    updated_at: datetime


class Batches(Protocol):
    """What is stored of batches. Raises `StoreError`. A request is in one unread batch at most."""

    def begin_batch(self, job_id: int, marker: str, *, endpoint: str, round: int) -> int:
        """An empty batch; returns its id here."""
        ...

    def add_to_batch(self, batch_id: int, requests: Sequence[BatchRequest]) -> set[str]:
        """Add those that are in no unread batch; returns their custom ids."""
        ...

    def batch_creating(self, batch_id: int, file_id: str) -> bool:
        """Note that it is about to be created of this file; False: it was dropped meanwhile, and must not be."""
        ...

    def batch_submitted(self, batch_id: int, endpoint_id: str) -> None: ...

    def note_batch(self, batch_id: int, *, status: str, done: int, error: str | None) -> None:
        """What the endpoint tells of it."""
        ...

    def batch_collected(self, batch_id: int, *, answered: int, usage: Usage) -> None:
        """It has been read; `usage` is that of all its answers. Its requests may go into another one."""
        ...

    def batch_ended(self, batch_id: int) -> None: ...

    def drop_batch(self, batch_id: int) -> None:
        """Forget one that the endpoint does not have, with its requests."""
        ...

    def batches(self, job_id: int) -> list[BatchRow]: ...

    def requests_of_batch(self, batch_id: int) -> dict[str, BatchRequest]: ...

    def jobs_that_asked(self, custom_ids: Collection[str]) -> dict[str, int]:
        """Of these requests those that are in an unread batch, and the job whose batch it is."""
        ...

    def open_batch_jobs(self) -> list[int]:
        """Jobs that need a step of `services/batch_lane.py`: those with a batch that has not ended, whatever their
        state, and those of the batch lane that go on and have a task queued."""
        ...
