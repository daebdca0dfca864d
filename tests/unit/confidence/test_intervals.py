"""Intervals against published values, their promise counted exactly, and bootstraps against what is known of means."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.intervals import (
    Interval,
    at_most,
    bootstrap_mean,
    clopper_pearson,
    compare_paired,
    lower_bound,
    sample_size,
    sample_size_at,
    upper_bound,
    wilson,
)

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (1, 20, 0.0013, 0.2487)],
)
def test_clopper_pearson_as_in_published_tables(successes: int, n: int, low: float, high: float) -> None:
    found = clopper_pearson(successes, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_one_sided_bound_of_no_error_has_a_closed_form() -> None:
    for n in (1, 10, 59, 149):
        assert upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n))
        assert lower_bound(n, n) == pytest.approx(0.05 ** (1 / n))


def test_nothing_seen_bounds_nothing() -> None:
    assert clopper_pearson(0, 0) == wilson(0, 0) == Interval(low=0.0, high=1.0)
    assert (upper_bound(0, 0), lower_bound(0, 0), upper_bound(3, 3)) == (1.0, 0.0, 1.0)


@given(counts, confidences)
def test_the_bound_is_where_so_few_successes_become_improbable(seen: tuple[int, int], confidence: float) -> None:
    successes, n = seen
    bound = upper_bound(successes, n, confidence)
    if successes < n:
        assert at_most(successes, n, bound) == pytest.approx(1 - confidence, abs=1e-6)
    assert lower_bound(successes, n, confidence) <= successes / n <= bound


@pytest.mark.parametrize("n", [7, 30])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.37, 0.5, 0.93])
def test_clopper_pearson_holds_the_truth_as_often_as_promised(n: int, rate: float) -> None:
    held = sum(
        at_most(k, n, rate) - at_most(k - 1, n, rate)
        for k in range(n + 1)
        if clopper_pearson(k, n).low <= rate <= clopper_pearson(k, n).high
    )
    assert held >= 0.95


@pytest.mark.parametrize(("size", "wrong", "drawn"), [(60, 6, 59), (100, 11, 40), (500, 51, 60), (90, 20, 45)])
def test_drawing_without_replacement_only_makes_the_bound_safer(size: int, wrong: int, drawn: int) -> None:
    """The chance that the bound lies below the true share of a finite project, counted exactly."""
    missed = sum(
        math.comb(wrong, k) * math.comb(size - wrong, drawn - k) / math.comb(size, drawn)
        for k in range(max(0, drawn - (size - wrong)), min(wrong, drawn) + 1)
        if upper_bound(k, drawn) < wrong / size
    )
    assert missed <= 0.05


def test_wilson_by_hand() -> None:
    found = wilson(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


@given(counts, confidences)
def test_wilson_lies_within_0_and_1_and_holds_the_share(seen: tuple[int, int], confidence: float) -> None:
    found = wilson(*seen, confidence)
    assert 0 <= found.low <= seen[0] / seen[1] + 1e-12
    assert seen[0] / seen[1] - 1e-12 <= found.high <= 1


@pytest.mark.parametrize(
    ("errors", "rate", "size"), [(0, 0.05, 59), (0, 0.02, 149), (0, 0.1, 29), (1, 0.05, 93), (2, 0.05, 124)]
)
def test_the_59_rule_and_its_like(errors: int, rate: float, size: int) -> None:
    assert sample_size(errors, rate) == size


@given(st.integers(0, 40), st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.9]), confidences)
def test_a_sample_of_that_size_is_enough_and_one_less_is_not(errors: int, rate: float, confidence: float) -> None:
    size = sample_size(errors, rate, confidence)
    assert upper_bound(errors, size, confidence) <= rate
    assert size == errors + 1 or upper_bound(errors, size - 1, confidence) > rate


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_shares_outside_0_and_1_are_refused(share: float) -> None:
    for refused in (
        lambda: clopper_pearson(1, 2, share),
        lambda: upper_bound(1, 2, share),
        lambda: wilson(1, 2, share),
        lambda: sample_size(0, share),
        lambda: bootstrap_mean([1.0], seed=1, confidence=share),
    ):
        with pytest.raises(ValueError, match="between 0 and 1"):
            refused()


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_what_is_no_share_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        upper_bound(successes, n)
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


def test_a_bootstrap_is_the_same_for_the_same_seed_and_about_the_known_width() -> None:
    values = [k % 10 / 10 for k in range(400)]  # mean 0.45, standard deviation 0.287
    found = bootstrap_mean(values, seed=1)
    assert found == bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    assert found is not None
    assert found.low == pytest.approx(0.45 - 1.96 * 0.287 / 20, abs=0.004)
    assert found.high == pytest.approx(0.45 + 1.96 * 0.287 / 20, abs=0.004)


def test_many_values_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_mean([0.0, 1.0, 1.0], seed=3, rounds=100)
    monkeypatch.setattr("backend.confidence.intervals._AT_ONCE", 30)
    assert bootstrap_mean([0.0, 1.0, 1.0], seed=3, rounds=100) == whole


def test_bootstraps_of_nothing_of_one_value_and_of_no_numbers() -> None:
    assert bootstrap_mean([], seed=1) is None
    assert compare_paired([], [], seed=1) is None
    assert bootstrap_mean([0.3], seed=1) == Interval(low=0.3, high=0.3)
    for values in ([math.nan], [math.inf, 1.0]):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_mean(values, seed=1)
    with pytest.raises(ValueError, match="the same tasks"):
        compare_paired([1.0], [1.0, 0.0], seed=1)


def test_pairs_show_a_gain_that_the_spread_of_the_tasks_would_hide() -> None:
    old = [float(k % 2) for k in range(200)]  # half of the tasks are hard for both
    new = [1.0 if k < 20 else value for k, value in enumerate(old)]
    found = compare_paired(old, new, seed=1)
    assert found is not None
    assert (found.n, found.old, found.new, found.gain) == (200, 0.5, pytest.approx(0.55), pytest.approx(0.05))
    assert found.wins
    apart = [bootstrap_mean(values, seed=1) for values in (old, new)]
    assert apart[0] is not None
    assert apart[1] is not None
    assert apart[0].high > apart[1].low


def test_the_same_answers_win_nothing() -> None:
    found = compare_paired([1, 0, 1], [1, 0, 1], seed=1)
    assert found is not None
    assert (found.gain, found.interval, found.wins) == (0.0, Interval(low=0.0, high=0.0), False)


def test_more_labels_are_needed_for_more_errors() -> None:
    sizes = [sample_size(errors, 0.05) for errors in range(6)]
    assert all(less < more for less, more in pairwise(sizes))


@pytest.mark.parametrize(
    ("errors", "of", "size"),
    [(0, 40, 59), (1, 100, 93), (2, 100, 181), (5, 100, None), (6, 100, None), (0, 0, None), (1, 1, None)],
)
def test_the_sample_that_is_enough_at_a_rate_of_errors(errors: int, of: int, size: int | None) -> None:
    """At 2 % 124 and 153 labels may have 2 and 3 errors, and are to be expected to have more."""
    assert sample_size_at(errors, of, 0.05) == size
