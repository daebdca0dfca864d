"""What the store keeps of fitted scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from backend.core.scorings import ScoredAnswer, Scoring


class Scorings(Protocol):
    """Part of the store. Raises `StoreError`."""

    def scored_answers(self, project_id: int, version: str) -> Iterator[ScoredAnswer]:
        """What the version answered and could be read, ascending by task. Read in pages."""
        ...

    def answers_of_records(self, record_ids: Sequence[int]) -> list[ScoredAnswer]:
        """Those of these records that are answered and could be read."""
        ...

    def set_scores(self, number: int, scores: Mapping[int, float | None]) -> None:
        """Record -> its score by that fit. The model's own score is kept beside it."""
        ...

    def adopt_scoring(self, scoring: Scoring, scores: Mapping[int, tuple[str, float | None]]) -> None:
        """Keep a fit that is to be shown, and all that follows from it, in one step: all finished records of the
        version are the fit's; those in `scores` (record -> data hash, score), while they show that data, have a new
        score; those that Label Studio holds are to be written again, under the fit's name. Only under the writer's
        lock, with nothing claimed."""
        ...

    def rewrites(self, project_id: int, version: str) -> int:
        """How many records Label Studio holds in an older form only."""
        ...

    def show_scoring(self, project_id: int, version: str, number: int) -> None:
        """An adopted fit is the current one; the one before is replaced."""
        ...

    def set_cleared(self, project_id: int, version: str, number: int) -> None:
        """What the fit replaced is no longer in Label Studio."""
        ...

    def shown_version(self, project_id: int, version: str) -> str:
        """The version as Label Studio is told it now."""
        ...

    def projects_to_settle(self, *, shown_before: datetime) -> list[int]:
        """Projects whose current version has an adopted fit, or one that is shown since before that moment and not
        cleared."""
        ...

    def save_scoring(self, scoring: Scoring) -> None:
        """Add a fit. One of that number that is there already stays."""
        ...

    def scorings(self, project_id: int, version: str) -> list[Scoring]:
        """All fits of a version, the last first."""
        ...
