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
        """Keep a fit that is to be shown, and all that follows from it, in one step: records in `scores` (record ->
        data hash, score) that are answered and show that data have a new score and are the fit's, others when they are
        written (`set_scores`); those that Label Studio holds are to be written again, under the fit's name. Only under
        the writer's lock, with nothing claimed."""
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

    def begin_scoring(self, scoring: Scoring) -> bool:
        """Add a fit that is begun. False, with nothing added, where there is one of that number."""
        ...

    def save_scoring(self, scoring: Scoring) -> None:
        """Keep a fit, in the place of the begun one of that number."""
        ...

    def drop_begun_scoring(self, project_id: int, version: str, number: int) -> None:
        """Forget a fit that was begun and is not to count. One that has ended stays."""
        ...

    def verified_answers(self, project_id: int, version: str, *, changed_after: int = 0) -> int:
        """How many tasks that people verified, in a counted annotation that is not stale, the version has answered;
        only those whose verification was changed since that number of `verification_change`."""
        ...

    def scorings(self, project_id: int, version: str) -> list[Scoring]:
        """All fits of a version, the last first."""
        ...
