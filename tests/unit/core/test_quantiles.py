"""Quantiles in bins are within 5 % of the truth."""

from __future__ import annotations

import random

import pytest

from backend.core.quantiles import Durations


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_within_five_percent(share: float) -> None:
    chance, durations = random.Random(1), Durations()
    seconds = sorted(chance.lognormvariate(0, 1) for _ in range(5_000))
    for one in seconds:
        durations.add(one)
    assert durations.quantile(share) == pytest.approx(seconds[int(share * len(seconds)) - 1], rel=0.055)


def test_nothing_and_nonsense() -> None:
    durations = Durations()
    for one in (0.0, -1.0, float("nan"), float("inf")):
        durations.add(one)
    assert durations.quantile(0.5) is None
    durations.add(1e-9)
    assert durations.quantile(0.5) == pytest.approx(0.001, rel=0.06)
