"""What whoever operates an installation wants to know of its store, over all projects and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.core.values import TaskState


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Where a database that is a file lies."""

    folder: str
    free_bytes: int
    filesystem: str | None  # as the kernel names it, "ext4" or "nfs4"; None: not known here


@dataclass(frozen=True, kw_only=True)
class PausedJob:
    """A job that waits for somebody, or for something to be well again."""

    id: int
    project_id: int
    reason: str | None
    paused_by: str | None  # "person" or "fault"


class Overview(Protocol):
    """Cheap to ask: none of it reads every record. Raises `StoreError`."""

    def task_totals(self) -> Mapping[tuple[int, TaskState], int]:
        """(project, state) -> tasks, over all versions and jobs."""
        ...

    def job_totals(self) -> Mapping[str, int]:
        """State -> jobs."""
        ...

    def paused_jobs(self, limit: int = 20) -> list[PausedJob]:
        """The newest paused jobs."""
        ...

    def undelivered_total(self) -> int:
        """Finished records that Label Studio does not have and is to have, of all projects: not those of versions that
        a change has made outdated."""
        ...

    def late_deliveries(self, since: datetime, limit: int = 10_000) -> int:
        """How many of the current versions have been finished and undelivered since before `since`; up to `limit`."""
        ...

    def disk(self) -> Disk | None:
        """None where the database is no file."""
        ...
