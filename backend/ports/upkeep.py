"""What the sweeper needs of the store: what is open, who is at it, and what Label Studio should hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from backend.ports.store import JobRow


class Upkeep(Protocol):
    """Part of the store. Raises `StoreError`."""

    def open_jobs(self) -> list[JobRow]:
        """Jobs that have not ended, the oldest first; those that are being enlisted and those that pause too."""
        ...

    def jobs_since(self, moment: datetime) -> list[JobRow]:
        """Jobs that are open or ended after `moment`."""
        ...

    def enlisted_since(self, job_id: int, moment: datetime) -> bool:
        """Whether the job was made, or a task was added to it, after `moment`."""
        ...

    def claimants(self, job_ids: Collection[int]) -> set[str]:
        """Under whose claim records of these jobs are running."""
        ...

    def release_claims(self, job_id: int, claimants: Collection[str]) -> list[int]:
        """Give back what runs in the job under these claims; returns the task ids."""
        ...

    def projects_to_write(self) -> list[int]:
        """Projects with finished records of the current version that Label Studio lacks: due, or left by a writer."""
        ...

    def delivered_task_ids(self, project_id: int, version: str, *, before: datetime) -> set[int]:
        """Tasks whose prediction Label Studio was given before that moment, written or in a `/predict` answer."""
        ...

    def delivered(self, project_id: int, version: str, *, before: datetime) -> int:
        """How many `delivered_task_ids` would find."""
        ...

    def offer_again(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """Delivered records that Label Studio lost: to be written again, replacing what may be there."""
        ...

    def in_doubt(self, project_id: int, version: str, *, before: datetime) -> list[int]:
        """Tasks whose prediction was written before that moment while an earlier import of it might still arrive."""
        ...

    def end_doubt(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """These have one prediction each."""
        ...

    def set_tasks_deleted(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """The delivered records of tasks that are no longer in Label Studio."""
        ...
