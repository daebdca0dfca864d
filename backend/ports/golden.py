"""What the store keeps of golden questions, and of annotators whose verifications are left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from backend.core.golden import GoldenTask


class Golden(Protocol):
    """Part of the store. A golden question's task is enlisted in no job, and what is said of it, and by annotators who
    are left out, is among no verifications but `everything`. Raises `StoreError`."""

    def add_golden(self, tasks: Sequence[GoldenTask]) -> list[GoldenTask]:
        """Store new ones; returns them with their ids. While one has no task id yet, a task that has its data and
        came after it is not enlisted either, for ten minutes."""
        ...

    def update_golden(self, tasks: Sequence[GoldenTask]) -> None:
        """Store the task ids, the versions written, the ends and the overlaps of these."""
        ...

    def drop_golden(self, ids: Collection[int]) -> None:
        """Forget those that came to nothing."""
        ...

    def golden_tasks(self, project_id: int) -> list[GoldenTask]:
        """The project's, without ended ones, in the order in which they were made."""
        ...

    def projects_with_unfinished_golden(self) -> list[int]:
        """Projects with golden questions whose import, or whose number of annotators, was not heard the end of."""
        ...

    def golden_copies(self, project_id: int, task_ids: Sequence[int]) -> set[int]:
        """Those of these tasks that are golden questions, or were."""
        ...

    def golden_set_apart(self, project_id: int) -> set[int]:
        """The tasks of golden questions, and those of which they are copies: none may be an example."""
        ...

    def leave_out(self, project_id: int, annotator_id: int) -> int:
        """From now on the annotator's verifications count for nothing; how many these are. They count as changed."""
        ...

    def take_back(self, project_id: int, annotator_id: int) -> int:
        """The annotator's verifications count again; likewise."""
        ...

    def left_out(self, project_id: int) -> Mapping[int, int]:
        """Annotators who are left out -> their live annotations, without golden questions."""
        ...

    def left_out_changed_at(self, project_id: int) -> datetime | None:
        """When somebody was last left out or taken back; None: never."""
        ...

    def annotators(self, project_id: int) -> Mapping[int, int]:
        """Everybody who is known to have annotated -> live annotations, without golden questions."""
        ...
