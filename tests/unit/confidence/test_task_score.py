"""One number for a task."""

from __future__ import annotations

import pytest

from backend.confidence.task_score import task_score


@pytest.mark.parametrize(
    ("confidences", "score"),
    [([], None), ([None], None), ([None, None], None), ([0.9, None, 0.4], 0.4), ([0.0, 0.5], 0.0), ([1.0], 1.0)],
)
def test_the_lowest_known_one_or_unknown(confidences: list[float | None], score: float | None) -> None:
    assert task_score(confidences) == score
