"""Platt scaling, and what all fitted scores share."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.calibration import Platt, fit_platt
from backend.confidence.cases import Case, Verified, case_of
from backend.confidence.logistic import effective, fitted, logit, sigmoid
from backend.core.values import JSON
from tests.unit.confidence.verified_rows import verified

numbers = st.floats(-1e6, 1e6)
shares = st.floats(0, 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def fit(rows: list[Verified]) -> Platt:
    found = fit_platt(rows)
    assert found is not None
    return found


def test_an_overconfident_model_is_taken_down_to_how_often_it_is_right() -> None:
    rows = [verified(0.9, right=number % 10 < 6) for number in range(200)]
    rows += [verified(0.6, right=number % 10 < 3) for number in range(200)]
    platt = fit(rows)
    assert platt.apply(0.9) == pytest.approx(0.6, abs=0.01)
    assert platt.apply(0.6) == pytest.approx(0.3, abs=0.01)


def test_the_order_of_the_tasks_stays() -> None:
    platt = fit([verified(n / 100, right=n > 30) for n in range(101)])
    after = [platt.apply(n / 1000) for n in range(1001)]
    assert all(low is not None and high is not None and low < high for low, high in pairwise(after))


def test_scores_that_are_surer_where_they_are_wrong_say_nothing_instead_of_turning_the_order_round() -> None:
    platt = fit([verified(0.9, right=n % 4 == 0) for n in range(40)] + [verified(0.5) for _ in range(40)])
    assert platt.slope == 0
    assert platt.apply(0.1) == platt.apply(0.9) == pytest.approx(50 / 80, abs=0.02)


def test_unknown_stays_unknown_and_is_not_fitted_on() -> None:
    rows = [verified(0.9, right=n % 2 == 0) for n in range(20)]
    assert fit(rows).apply(None) is None
    assert fit([*rows, *(verified(None, right=False) for _ in range(50))]) == fit(rows)
    assert fit_platt([verified(None)] * 60) is None
    assert fit_platt([]) is None


@pytest.mark.parametrize(("right", "expected"), [(True, 61 / 62), (False, 1 / 62)])
def test_all_right_or_all_wrong_is_no_certainty(right: bool, expected: float) -> None:
    """Platt's targets: after 60 of 60 the next one is right with 61 in 62."""
    platt = fit([verified(0.7 + n / 300, right=right) for n in range(60)])
    assert platt.apply(0.8) == pytest.approx(expected, abs=1e-4)


def test_three_tasks_move_it_a_little_only() -> None:
    platt = fit([verified(0.9), verified(0.8), verified(0.95)])
    assert platt.apply(0.9) == pytest.approx(4 / 5, abs=1e-3)


def test_certainties_and_impossibilities_are_finite() -> None:
    platt = fit([verified(float(n % 2), right=n % 3 > 0) for n in range(60)])
    for raw in (0.0, 1.0):
        found = platt.apply(raw)
        assert found is not None
        assert 0 < found < 1


def test_a_weight_counts_as_that_many_rows() -> None:
    """A task that stands for three is there three times, but for what Platt's targets know of how many there are."""
    light = [verified(0.9, right=n % 2 == 0) for n in range(300)]
    heavy = [verified(0.9, right=False, weight=3.0) for _ in range(100)]
    assert fit(light + heavy).apply(0.9) == pytest.approx(150 / 600, abs=0.01)


def test_rows_without_weight_are_not_fitted_on() -> None:
    rows = [verified(0.9, right=n % 3 > 0) for n in range(60)]
    assert fit([*rows, *(verified(0.1, right=True, weight=0.0) for _ in range(60))]) == fit(rows)
    assert fit_platt([verified(0.9, weight=0.0)] * 60) is None


def test_weights_have_no_scale() -> None:
    assert effective([2.0, 2.0, 2.0]) == effective([1e300] * 3) == effective([1e-300] * 3) == [1.0, 1.0, 1.0]
    assert sum(effective([10.0, 1.0, 1.0])) == pytest.approx(144 / 102)
    assert effective([0.0, 0.0]) == [0.0, 0.0]
    assert effective([]) == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.1])
def test_numbers_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        verified(weight=wrong)
    with pytest.raises(ValueError, match="raw confidence"):
        Case(raw=wrong, label="a")
    with pytest.raises(ValueError, match="student's probability"):
        Case(raw=0.5, label="a", student_share=wrong)
    if wrong != -0.1:
        with pytest.raises(ValueError, match="student's margin"):
            Case(raw=0.5, label="a", student_margin=wrong)
        with pytest.raises(ValueError, match="finite"):
            fitted([[wrong]], [True], [1.0], ridge=1.0)


def test_what_a_student_says_of_a_label() -> None:
    said = {"a": 0.6, "b": 0.3, "c": 0.1}
    assert case_of(0.9, "b", said) == Case(raw=0.9, label="b", student_share=0.3, student_margin=0.3 - 0.6)
    assert case_of(0.9, "new", said) == Case(raw=0.9, label="new", student_share=0.0, student_margin=-0.6)
    assert case_of(0.9, "a", {"a": 1.0}) == Case(raw=0.9, label="a", student_share=1.0, student_margin=1.0)
    assert case_of(0.9, "a", None) == Case(raw=0.9, label="a")
    assert case_of(None, None, said) == Case(raw=None, label=None)


@given(shares, shares)
def test_log_odds_are_finite_and_keep_the_order(one: float, other: float) -> None:
    assert -6.91 < logit(one) < 6.91
    assert (logit(one) <= logit(other)) == (one <= other) or abs(one - other) < 1e-12


@given(numbers)
def test_any_log_odds_are_a_probability(log_odds: float) -> None:
    assert 0 <= sigmoid(log_odds) <= 1


@given(st.floats(0, 1e6), numbers)
def test_what_is_stored_is_what_was_fitted(slope: float, intercept: float) -> None:
    platt = Platt(slope=slope, intercept=intercept)
    assert Platt.from_json(json.loads(json.dumps(platt.to_json()))) == platt


GOOD = {"kind": "platt", "slope": 1.0, "intercept": 0.0}


@pytest.mark.parametrize(
    "stored",
    [
        None, [], "platt", 3, {}, {"kind": "platt"}, {**GOOD, "more": 1}, {**GOOD, "kind": "fused"},
        {**GOOD, "slope": "1"}, {**GOOD, "slope": True}, {**GOOD, "slope": None}, {**GOOD, "slope": -1.0},
        {**GOOD, "slope": math.nan}, {**GOOD, "intercept": math.inf}, {**GOOD, "intercept": 10**400},
        {**GOOD, "intercept": [0.0]},
    ],
)  # fmt: skip
def test_anything_else_is_refused(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        Platt.from_json(stored)


@given(json_values)
def test_hostile_json_is_refused_in_no_other_way(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        Platt.from_json(stored)


def test_applying_needs_no_scikit_learn() -> None:
    code = (
        "import sys; from backend.confidence.adoption import Raw, probability;"
        "from backend.confidence.calibration import Platt; from backend.confidence.cases import Case;"
        "probability(Platt(slope=1.0, intercept=0.0), Case(raw=0.5, label='a'));"
        "sys.exit('numpy' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
