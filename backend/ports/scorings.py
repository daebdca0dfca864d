"""What the store keeps of fitted scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from backend.core.scorings import ScoredAnswer, Scoring


class Scorings(Protocol):
    """Part of the store. Raises `StoreError`."""

    def scored_answers(self, project_id: int, version: str) -> Iterator[ScoredAnswer]:
        """What the version answered and could be read, ascending by task. Read in pages."""
        ...

    def save_scoring(self, scoring: Scoring) -> None:
        """Add a fit. One of that number that is there already stays."""
        ...

    def scorings(self, project_id: int, version: str) -> list[Scoring]:
        """All fits of a version, the last first."""
        ...
