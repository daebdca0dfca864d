"""The work queue and the lock of a project's one writer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class QueueLevel:
    """How one queue stands."""

    waiting: int  # messages
    started: int  # that a worker has in hand
    scheduled: int  # for later
    failed: int  # that are tried no more
    oldest_s: float | None  # how long the first of those that wait has; None: none waits, or it cannot be told
    workers: int  # that gave a sign of life lately


@dataclass(frozen=True, kw_only=True)
class QueueServer:
    """What the queue's server says of itself. None: it does not tell."""

    keeps: bool | None  # it writes down what it is told, so that a restart loses at most a second
    evicts: bool | None  # it throws keys away when its memory is full
    ahead_s: float  # its clock, before this machine's


class Queue(Protocol):
    """The work queue. Raises `QueueError` when it cannot be reached."""

    def ping(self) -> None: ...

    def enqueue_chunk(
        self, job_id: int, task_ids: Sequence[int], *, interactive: bool, delay_s: float = 0.0
    ) -> None: ...

    def enqueue_enlisting(self, job_id: int, read_to: int | None) -> None:
        """Ask for the job's next tasks to be read. Nothing is added while a message for reading on from there waits
        or is worked on by somebody who lives."""
        ...

    def enqueue_sync(self, project_id: int) -> None:
        """Ask for the project to be read again and its version aligned. Nothing is added while one such waits."""
        ...

    def sync_started(self, project_id: int) -> None:
        """What changes from now on may be missing in what is read: `enqueue_sync` adds a message again."""
        ...

    def enqueue_auto_start(self, project_id: int, task_ids: Sequence[int]) -> None: ...

    def enqueue_write_back(self, project_id: int, *, at_once: bool = False) -> None:
        """Ask for the project to be written back in a while, or now. Nothing is added while one such waits."""
        ...

    def enqueue_check(self, project_id: int) -> None:
        """Ask for the project to be compared with Label Studio. Nothing is added for a while after one such."""
        ...

    def enqueue_annotations(self, project_id: int, task_ids: Sequence[int], annotation_ids: Sequence[int]) -> None:
        """Ask for the annotations of these tasks, and of the tasks of these annotations, to be compared."""
        ...

    def enqueue_catch_up(self, project_id: int) -> None:
        """Ask for what changed among the project's annotations to be read. Nothing is added for a while after one
        such."""
        ...

    def enqueue_refit(self, project_id: int) -> None:
        """Ask for the project's scores to be fitted again. Nothing is added while one such waits."""
        ...

    def refit_started(self, project_id: int) -> None:
        """What is verified from now on may be missing in the fit: `enqueue_refit` adds a message again."""
        ...

    def checked_at(self, project_id: int) -> datetime | None:
        """When the last comparison began that came to its end; None where nobody knows."""
        ...

    def set_checked(self, project_id: int, began: datetime) -> None: ...

    def at_work(self, claimant: str) -> AbstractContextManager[None]:
        """For whoever works on the message of this name: says that it lives. Soon after its death nothing says so."""
        ...

    def silent(self, claimants: Collection[str]) -> set[str]:
        """Those of these messages that nobody says to be at work on."""
        ...

    def jobs_named(self) -> set[int]:
        """The jobs for whose tasks there is a message: one that waits, is to come later, or is worked on."""
        ...

    def sweeper_lock(self) -> AbstractContextManager[Callable[[], None] | None]:
        """For the one sweeper of the installation, as `writer_lock`."""
        ...

    def writer_at(self, project_id: int) -> bool:
        """Whether somebody has the writer's lock of the project."""
        ...

    def write_back_started(self, project_id: int) -> None:
        """What is left from now on is another message's: `enqueue_write_back` adds one again."""
        ...

    def enqueue_batch_step(self, job_id: int, *, after: int = 0, delay_s: float = 0.0) -> None:
        """Ask for a step of the job's batches (`services/batch_lane.py`), over the tasks with an id above `after`.
        Nothing is added while one such waits."""
        ...

    def batch_step_started(self, job_id: int) -> None:
        """What is to do from now on is another message's: `enqueue_batch_step` adds one again."""
        ...

    def depth(self) -> dict[str, int]: ...

    def levels(self) -> Mapping[str, QueueLevel]:
        """Of each queue. Changes nothing."""
        ...

    def failures(self) -> Mapping[str, int]:
        """The classes of the errors for which the newest failed messages were given up."""
        ...

    def server(self) -> QueueServer: ...

    def workers(self) -> int:
        """How many have given a sign of life lately."""
        ...

    def bulk_workers(self) -> int:
        """How many of them work at runs."""
        ...

    def workers_started_with(self) -> list[Mapping[str, str]]:
        """The fingerprints of their settings that running workers tell (`services/same_settings.py`)."""
        ...

    def writer_lock(self, project_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        """For the one writer of a project: inside, a function that raises when the lock has been lost; None when
        another writer is at it. A writer that dies loses it within half a minute."""
        ...

    def batch_at(self, job_id: int) -> bool:
        """Whether somebody is at the job's batches."""
        ...

    def batch_lock(self, job_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        """For the one that is at a job's batches, as `writer_lock`."""
        ...
