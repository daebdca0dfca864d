"""The work queue and the lock of a project's one writer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol


class Queue(Protocol):
    """The work queue. Raises `QueueError` when it cannot be reached."""

    def ping(self) -> None: ...

    def enqueue_chunk(
        self, job_id: int, task_ids: Sequence[int], *, interactive: bool, delay_s: float = 0.0
    ) -> None: ...

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

    def depth(self) -> dict[str, int]: ...

    def workers(self) -> int:
        """How many have given a sign of life lately."""
        ...

    def workers_started_with(self) -> list[Mapping[str, str]]:
        """The fingerprints of their settings that running workers tell (`services/same_settings.py`)."""
        ...

    def writer_lock(self, project_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        """For the one writer of a project: inside, a function that raises when the lock has been lost; None when
        another writer is at it. A writer that dies loses it within half a minute."""
        ...
