"""Every figure against one that was worked out by hand, and what must hold for all data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.metrics import (
    Judged,
    accuracy,
    auroc,
    brier_score,
    errors_caught,
    expected_calibration_error,
    mean_confidence,
    quality,
    random_order,
    reliability,
)

# Bin 3: |0.3 - 0| over 1; bin 8: |0.8 - 0.5| over 2; bin 9: |0.95 - 1| over 2.
FIVE: list[Judged] = [(0.9, True), (0.8, True), (0.8, False), (0.3, False), (1.0, True)]


def test_five_answers_by_hand() -> None:
    assert accuracy(FIVE) == pytest.approx(3 / 5)
    assert mean_confidence(FIVE) == pytest.approx(3.8 / 5)
    assert expected_calibration_error(FIVE) == pytest.approx((1 * 0.3 + 2 * 0.3 + 2 * 0.05) / 5)
    assert brier_score(FIVE) == pytest.approx((0.01 + 0.04 + 0.64 + 0.09 + 0) / 5)
    assert auroc(FIVE) == pytest.approx(5.5 / 6)
    assert errors_caught(FIVE) == pytest.approx(1 / 2)


def test_the_reliability_table_by_hand() -> None:
    table = reliability(FIVE)
    assert [b.n for b in table] == [0, 0, 0, 1, 0, 0, 0, 0, 2, 2]
    assert (table[0].mean_confidence, table[0].accuracy) == (None, None)
    assert (table[8].mean_confidence, table[8].accuracy) == (pytest.approx(0.8), pytest.approx(0.5))
    assert (table[9].low, table[9].high) == (0.9, 1.0)


def test_a_bin_is_closed_below_and_the_last_one_on_both_sides() -> None:
    assert [b.n for b in reliability([(i / 10, True) for i in range(11)])] == [1] * 9 + [2]
    assert [b.n for b in reliability([(i / 10 + 0.09, True) for i in range(10)])] == [1] * 10


@pytest.mark.parametrize(
    ("name", "judged", "expected"),
    [
        ("perfect", [(0.9, True), (0.2, False)], 1.0),
        ("upside down", [(0.2, True), (0.9, False)], 0.0),
        ("all the same", [(0.5, True), (0.5, False), (0.5, False)], 0.5),
        ("a tie counts half", [(0.5, True), (0.9, True), (0.5, False)], 0.75),
        ("nothing wrong", [(0.5, True), (0.9, True)], None),
        ("nothing right", [(0.5, False)], None),
        ("nothing", [], None),
    ],
)
def test_auroc(name: str, judged: list[Judged], expected: float | None) -> None:
    assert auroc(judged) == expected, name


@pytest.mark.parametrize(
    ("name", "judged", "expected"),
    [
        ("both errors are lowest", [(0.1, False), (0.2, False)] + [(0.9, True)] * 8, 1.0),
        ("one of two", [(0.1, False), (0.2, True)] + [(0.9, False)] + [(0.95, True)] * 7, 0.5),
        ("a tie at the edge: two of the four are looked at", [(0.1, False)] * 2 + [(0.1, True)] * 2 + [(0.9, True)] * 6,
         0.5),
        ("an answer that the share cuts counts in part", [(0.1, False), (0.9, True)], 0.4),
        ("no error", [(0.1, True)] * 5, None),
        ("nothing", [], None),
    ],
)  # fmt: skip
def test_errors_caught_in_the_lowest_fifth(name: str, judged: list[Judged], expected: float | None) -> None:
    found = errors_caught(judged)
    assert found == (expected if expected is None else pytest.approx(expected)), name


def test_without_a_confidence_an_answer_counts_only_in_n() -> None:
    found = quality([*FIVE, (None, False), (None, True), (None, False)])
    assert (found.n, found.scored, found.coverage) == (8, 5, 5 / 8)
    assert found.accuracy == pytest.approx(0.6)


def test_of_nothing_everything_is_unknown() -> None:
    for found in (quality([]), quality([(None, True)])):
        figures = (found.accuracy, found.mean_confidence, found.ece, found.brier, found.auroc, found.errors_caught)
        assert figures == (None,) * 6
    assert quality([]).coverage is None
    assert quality([(None, True)]).coverage == 0.0


def test_random_order_catches_as_much_as_it_looks_at() -> None:
    found = random_order([True, False, True])
    assert (found.accuracy, found.auroc, found.errors_caught) == (pytest.approx(2 / 3), 0.5, 0.2)
    assert (random_order([True]).auroc, random_order([True]).errors_caught) == (None, None)
    assert random_order([]).accuracy is None


_GRID = st.integers(0, 64).map(lambda i: i / 64)  # 1 - c is exact on it, so that no tie appears or goes
_JUDGED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40)


@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.booleans()), max_size=40), st.data())
def test_the_order_of_the_answers_changes_no_digit(
    answers: list[tuple[float | None, bool]], data: st.DataObject
) -> None:
    assert quality(data.draw(st.permutations(answers))) == quality(answers)


@given(_JUDGED)
def test_every_figure_is_a_share_or_unknown(judged: list[Judged]) -> None:
    found = quality(judged)
    figures = (found.accuracy, found.mean_confidence, found.ece, found.brier, found.auroc, found.errors_caught)
    assert all(figure is None or -1e-12 <= figure <= 1 + 1e-12 for figure in figures)
    assert sum(b.n for b in found.bins) == found.scored == len(judged)


@given(st.lists(st.tuples(_GRID, st.booleans()), max_size=40))
def test_turned_upside_down_the_auroc_is_one_minus_itself(judged: list[Judged]) -> None:
    found, turned = auroc(judged), auroc([(1 - confidence, right) for confidence, right in judged])
    assert (found is None) == (turned is None)
    assert found is None or turned == pytest.approx(1 - found)


@given(st.lists(st.tuples(_GRID, st.booleans()), max_size=40))
def test_only_the_order_matters_to_auroc_and_errors_caught(judged: list[Judged]) -> None:
    squared = [(confidence**2, right) for confidence, right in judged]
    assert auroc(squared) == auroc(judged)
    assert errors_caught(squared) == errors_caught(judged)


@given(st.lists(st.tuples(_GRID, st.booleans()), max_size=20))
def test_auroc_is_the_share_of_pairs_in_the_right_order(judged: list[Judged]) -> None:
    pairs = [(r, w) for r, ok in judged if ok for w, other in judged if not other]
    expected = sum((r > w) + (r == w) / 2 for r, w in pairs) / len(pairs) if pairs else None
    assert auroc(judged) == (expected if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=8))
def test_perfectly_calibrated_answers_have_no_calibration_error(groups: list[tuple[int, int]]) -> None:
    judged = [(right / n, index < right) for right, n in groups for index in range(n)]
    assert expected_calibration_error(judged) == pytest.approx(0, abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0, 1))
def test_one_confidence_for_all_is_as_good_as_random_order(rights: list[bool], confidence: float) -> None:
    found, floor = quality([(confidence, right) for right in rights]), random_order(rights)
    assert found.auroc == floor.auroc
    assert found.errors_caught == (None if floor.errors_caught is None else pytest.approx(floor.errors_caught))
