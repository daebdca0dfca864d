"""What of a task is shown to the model, and in which units its positions count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One object of a task as the model sees it."""

    name: str  # the object tag's name
    text: str
    problem: str | None = None  # why there is nothing to show: one phrase, no task text

    @property
    def is_empty(self) -> bool:
        return self.problem is not None
