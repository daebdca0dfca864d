"""Which labelled tasks cannot be a random draw."""

from __future__ import annotations

import random

import pytest

from backend.confidence.random_draw import can_be_random


@pytest.mark.parametrize(
    ("drawn", "others", "random_draw"),
    [
        ([], [], True),
        ([], [0.5] * 9, True),
        ([0.5] * 9, [], True),
        ([0.9] * 60, [0.9] * 500, True),
        ([None] * 60, [None] * 60, True),
        ([0.1, 0.2], [0.5] * 50, True),  # too few to say
        ([k / 1000 for k in range(50)], [k / 1000 for k in range(50, 1000)], False),
        ([k / 1000 for k in range(950, 1000)], [k / 1000 for k in range(950)], False),
        ([None] * 50, [0.5] * 500, False),
        ([0.5] * 50 + [0.8] * 5, [0.8] * 300 + [0.5] * 60, False),
    ],
)
def test_draws(drawn: list[float | None], others: list[float | None], random_draw: bool) -> None:
    assert can_be_random(drawn, others) is random_draw


def test_random_draws_are_taken_for_random() -> None:
    chance = random.Random(3)
    for ties in (2, 10, 1000):
        scores = [chance.randrange(ties) / ties for _ in range(600)]
        for _ in range(50):
            chance.shuffle(scores)
            assert can_be_random(scores[:60], scores[60:])
