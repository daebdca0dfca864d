"""Numbers that models write about their own answers."""

from __future__ import annotations

import pytest

from backend.confidence.self_reported import self_reported_probability
from backend.core.values import JSON


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, 0.0), (0.85, 0.85), (1, 1.0), (1.0, 1.0), (85, 0.85), (100, 1.0), (2, 0.02), (99.5, 0.995),
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
        1.2, "1.2", float("nan"), float("inf"), "nan", "inf", 10**400, "9" * 400, [0.85], {"value": 0.85}, "0.8.5",
    ],
)  # fmt: skip
def test_what_is_no_number_in_range_is_none(written: JSON) -> None:
    assert self_reported_probability(written) is None
