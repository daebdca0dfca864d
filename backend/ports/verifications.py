"""What people did with predictions, as the store keeps it; and what is known of a project's catching-up read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.core.values import JSON, TaskState
from backend.core.verifications import Verification, VerificationOutcome


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A version's answer to a task, to compare an annotation with."""

    task_id: int
    version: str
    state: TaskState
    result: tuple[Mapping[str, JSON], ...]
    data_hash: str
    delivered_at: datetime | None  # when Label Studio was given it; None: it was not, so that nobody has seen it


@dataclass(frozen=True, kw_only=True)
class Looked:
    """Of a live verification only this, for whoever looks at all of a project."""

    task_id: int
    outcome: VerificationOutcome
    is_label: bool  # as `Verification.is_label`
    counted: bool


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """How far a project's annotations have been read."""

    since: datetime  # when the last reading that came to its end began
    config_fingerprint: str  # of the labeling config under which it compared


class Verifications(Protocol):
    """Part of the store. "Live" are those that are not deleted; stale ones are among them. "Counted" are the live ones
    but for those of golden questions and of annotators who are left out (`ports/golden.py`). Raises `StoreError`."""

    def save_verifications(self, verifications: Sequence[Verification]) -> int:
        """Keep each under its annotation's id; how many changed anything. One that is older than what is stored, by
        `updated_at`, is not taken; one of the same moment is: it may be compared anew. A deleted one stays deleted,
        unless the annotation is given again, without `deleted_at`."""
        ...

    def delete_verifications(self, project_id: int, annotation_ids: Collection[int]) -> int:
        """Their annotations are gone: kept with the time, left out of everything. How many were live."""
        ...

    def verifications(
        self, project_id: int, *, after: int = 0, task_ids: Sequence[int] | None = None, everything: bool = False
    ) -> Iterator[Verification]:
        """The counted ones with an annotation id above `after`, ascending by that id, read in pages; of `task_ids`
        where given. What is stored meanwhile with a higher id may be among them. With `everything` all live ones, for
        whoever compares with Label Studio or looks at golden questions."""
        ...

    def looked(self, project_id: int) -> Iterator[Looked]:
        """All live ones without their regions, ascending by the annotation's id, read in pages."""
        ...

    def latest_verifications(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Verification]:
        """Of each task the counted one that was updated last, whatever its outcome."""
        ...

    def verified_task_ids(self, project_id: int) -> list[int]:
        """Tasks that a person answered, in a counted annotation that is not stale. Ascending."""
        ...

    def verification_counts(self, project_id: int) -> Mapping[str, int]:
        """Counted ones by outcome; of them "stale" and "problem"; and "deleted", "taken_back" (deleted, and were
        accepted unseen), "golden" and "left_out"."""
        ...

    def annotations_known(self, project_id: int, task_ids: Sequence[int] | None = None) -> Mapping[int, int]:
        """Task -> its live verifications, of all tasks that have any, or of `task_ids`."""
        ...

    def tasks_annotated(self, project_id: int, annotation_ids: Sequence[int]) -> list[int]:
        """The tasks of these annotations, as far as they are known. Ascending."""
        ...

    def answers_of(self, project_id: int, task_ids: Sequence[int]) -> dict[int, list[Answered]]:
        """The finished answers of every version to these tasks, the newest first."""
        ...

    def verification_change(self, project_id: int) -> int:
        """How often anything was changed among the project's verifications: a number that only grows, cheap to ask."""
        ...

    def tasks_changed_after(self, project_id: int, change: int) -> list[int]:
        """The tasks of which a verification was saved, changed or deleted since that number. Ascending."""
        ...

    def newest_label_tasks(self, project_id: int, config_fingerprint: str, limit: int) -> list[int]:
        """The tasks with a counted verification that is a label (`Verification.is_label`) under that labeling config,
        the one that was annotated last first."""
        ...

    def shown_data(self, project_id: int, data_hashes: Mapping[int, str]) -> dict[int, Mapping[str, JSON]]:
        """The data of these tasks that has the hash, from the records of any version; a task of which no version was
        ever asked about that data is left out."""
        ...

    def caught_up(self, project_id: int) -> CaughtUp | None:
        """None: the project's annotations were never read."""
        ...

    def set_caught_up(self, project_id: int, caught_up: CaughtUp) -> None: ...

    def projects_to_catch_up(self) -> list[int]:
        """Projects of which Label Studio holds predictions, or annotations are known."""
        ...
