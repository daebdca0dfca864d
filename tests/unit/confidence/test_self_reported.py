"""Numbers that models write about their own answers."""

from __future__ import annotations

import pytest

from backend.confidence.self_reported import per_cent_probability, self_reported_probability
from backend.core.values import JSON


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, 0.0), (0.85, 0.85), (1, 1.0), (1.0, 1.0), (85, 0.85), (100, 1.0), ("2%", 0.02), (99.5, 0.995),
        ("0.85", 0.85), (" 0.85 ", 0.85), (".85", 0.85), ("0,85", 0.85), ("1", 1.0), ("85", 0.85), ("85%", 0.85),
        ("85 %", 0.85), ("85 percent", 0.85), ("85 per cent", 0.85), ("８５％", 0.85), ("٨٥", 0.85),
        ("1%", 0.01), ("1.5%", 0.015), ("0.5%", 0.005),
    ],
)  # fmt: skip
def test_numbers(written: JSON, expected: float) -> None:
    assert self_reported_probability(written) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written",
    [
        None, True, False, "", "high", "very likely", "0.85 because", "about 0.85", "8/10", "-0.2", -0.2, 101, "101%",
        1.2, "1.2", 7, float("nan"), float("inf"), "nan", "inf", 10**400, "9" * 400, [0.85], {"value": 0.85}, "0.8.5",
    ],
)  # fmt: skip
def test_what_is_no_number_in_range_is_none(written: JSON) -> None:
    assert self_reported_probability(written) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (85, 0.85),
        (0, 0.0),
        (100, 1.0),
        (5, 0.05),
        (0.9, 0.9),
        ("0.9", 0.9),
        ("90", 0.9),
        ("90 %", 0.9),
        ("1", None),
        (1, None),
        (101, None),
        (-1, None),
        (True, None),
        ("very", None),
        (float("nan"), None),
    ],
)
def test_what_was_asked_for_in_per_cent(written: object, expected: float | None) -> None:
    found = per_cent_probability(written)
    assert found == (None if expected is None else pytest.approx(expected))
