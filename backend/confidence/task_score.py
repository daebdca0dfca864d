"""One number for a task: the lowest over its controls."""

from __future__ import annotations

from collections.abc import Iterable


def task_score(confidences: Iterable[float | None]) -> float | None:
    """The lowest known confidence, or None where no control has one: unknown stays unknown."""
    known = [c for c in confidences if c is not None]
    return min(known) if known else None
