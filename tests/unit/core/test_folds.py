"""Which rows are held out together."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.folds import drawn, folds


def test_folds_are_of_equal_size_and_have_their_share_of_each_stratum() -> None:
    strata = ["right"] * 70 + ["wrong"] * 30
    found = folds([str(row) for row in range(100)], strata, most=5, seed=0)
    assert Counter(found) == dict.fromkeys(range(5), 20)
    assert Counter(zip(found, strata, strict=True))[(0, "wrong")] == 6


def test_rows_of_one_group_are_held_out_together() -> None:
    found = folds(["a", "b", "a", "c", "b", "a"], ["x", "x", "y", "x", "y", "x"], most=3, seed=1)
    assert found[0] == found[2] == found[5]
    assert found[1] == found[4]
    assert len(set(found)) == 3


def test_fewer_groups_than_folds() -> None:
    assert folds(["a", "a", "a"], ["x", "x", "x"], most=5, seed=0) == [0, 0, 0]
    assert folds([], [], most=5, seed=0) == []


def test_every_row_needs_both() -> None:
    with pytest.raises(ValueError, match="one group and one stratum"):
        folds(["a"], [], most=5, seed=0)


def test_another_seed_deals_otherwise_and_the_same_one_likewise() -> None:
    groups = [str(row) for row in range(50)]
    dealt = [folds(groups, ["x"] * 50, most=5, seed=seed) for seed in (0, 0, 1)]
    assert dealt[0] == dealt[1]
    assert dealt[0] != dealt[2]


@given(st.lists(st.tuples(st.text(), st.text(max_size=2))), st.integers(1, 9), st.integers())
def test_any_text_has_a_fold(rows: list[tuple[str, str]], most: int, seed: int) -> None:
    found = folds([group for group, _ in rows], [stratum for _, stratum in rows], most=most, seed=seed)
    assert all(0 <= fold < most for fold in found)
    fold_of = dict(zip((group for group, _ in rows), found, strict=True))
    assert [fold_of[group] for group, _ in rows] == found


def test_a_part_is_drawn_from_all_over() -> None:
    found = drawn(10_000, most=1_000, seed=1)
    assert found == sorted(set(found)) == drawn(10_000, most=1_000, seed=1) != drawn(10_000, most=1_000, seed=2)
    assert len(found) == 1_000
    assert 4_500 < sum(found) / len(found) < 5_500
    assert drawn(3, most=3, seed=1) == [0, 1, 2]
