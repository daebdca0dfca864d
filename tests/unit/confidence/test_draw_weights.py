"""What each verified task stands for."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.draw_weights import MOST, draw_weights


def test_where_all_are_verified_each_stands_for_itself() -> None:
    assert draw_weights([n / 100 for n in range(100)], [True] * 100) == [1.0] * 100


def test_a_random_draw_gives_nearly_equal_weights() -> None:
    chance = Random(0)
    weights = draw_weights([chance.random() for _ in range(1000)], [n % 5 == 0 for n in range(1000)])
    used = [weight for weight in weights if weight]
    assert len(used) == 200
    assert min(used) > 3
    assert max(used) < 9


def test_lowest_first_with_an_audit() -> None:
    """The 300 lowest are all verified, of the others each fifth: these stand for five."""
    scores = [n / 1000 for n in range(1000)]
    weights = draw_weights(scores, [n < 300 or n % 5 == 0 for n in range(1000)])
    assert set(weights[:300]) == {1.0}
    assert set(weights[300:]) == {0.0, 5.0}
    assert sum(weights) == 1000


def test_they_mend_the_estimate_of_how_often_the_model_is_right() -> None:
    chance = Random(0)
    scores = [chance.random() for _ in range(5000)]
    right = [chance.random() < score for score in scores]
    audit = set(chance.sample(range(5000), 1000))
    verified = [score < 0.3 or n in audit for n, score in enumerate(scores)]
    weights = draw_weights(scores, verified)
    as_they_are = sum(r for r, v in zip(right, verified, strict=True) if v) / sum(verified)
    weighted = sum(w for r, w in zip(right, weights, strict=True) if r) / sum(weights)
    truth = sum(right) / 5000
    assert as_they_are < truth - 0.15
    assert weighted == pytest.approx(truth, abs=0.02)


def test_nothing_stands_for_more_than_ten() -> None:
    weights = draw_weights([n / 10_000 for n in range(10_000)], [n % 100 == 0 for n in range(10_000)])
    assert max(weights) == MOST == 10


def test_tasks_without_a_score_stand_for_each_other() -> None:
    scores = [None] * 4 + [0.5] * 6
    assert draw_weights(scores, [True, True] + [False] * 2 + [True] * 3 + [False] * 3) == (
        [2.0, 2.0, 0.0, 0.0] + [2.0] * 3 + [0.0] * 3
    )


@pytest.mark.parametrize("scores", [[], [0.5, 0.6], [None, None]])
def test_nothing_is_verified(scores: list[float | None]) -> None:
    assert draw_weights(scores, [False] * len(scores)) == [0.0] * len(scores)


def test_every_task_needs_both() -> None:
    with pytest.raises(ValueError, match="one score"):
        draw_weights([0.5], [])


@given(st.lists(st.tuples(st.none() | st.sampled_from([0.1, 0.2, 0.9]) | st.floats(0, 1), st.booleans()), max_size=80))
def test_each_verified_task_has_a_weight_and_no_other(tasks: list[tuple[float | None, bool]]) -> None:
    weights = draw_weights([score for score, _ in tasks], [verified for _, verified in tasks])
    for weight, (_, verified) in zip(weights, tasks, strict=True):
        assert (1 <= weight <= MOST) if verified else weight == 0
