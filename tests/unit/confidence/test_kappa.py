"""Agreement beyond chance against published examples, and what must hold for all labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.kappa import cohen_kappa, krippendorff_alpha

label = st.sampled_from(["a", "b", "c"])


def test_cohen_by_hand() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(pairs) == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_cohen_leaves_missing_labels_out() -> None:
    pairs = [("a", "a"), ("b", "b"), ("a", "b"), (None, "a"), ("b", None)]
    assert cohen_kappa(pairs) == cohen_kappa(pairs[:3])


@pytest.mark.parametrize("pairs", [[], [(None, "a")], [("a", "a")], [("a", "a")] * 9])
def test_cohen_is_not_known_where_chance_alone_would_agree(pairs: list[tuple[str | None, str]]) -> None:
    assert cohen_kappa(pairs) is None


def test_cohen_below_chance() -> None:
    assert cohen_kappa([("a", "b"), ("b", "a")]) == -1.0


def test_krippendorff_as_published() -> None:
    """Four observers, twelve units, some labels missing: nominal alpha 0.743 (Krippendorff 2011, section C)."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = list(zip(*observers, strict=True))
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize("tasks", [[], [["a"], ["b"]], [["a", None], [None]], [["a", "a"], ["a", "a", "a"]]])
def test_krippendorff_is_not_known_without_two_labels_or_two_kinds(tasks: list[list[str | None]]) -> None:
    assert krippendorff_alpha(tasks) is None


@given(st.lists(st.tuples(label, label), min_size=1, max_size=30))
def test_full_agreement_is_1_or_unknown_and_both_ways_round_are_the_same(pairs: list[tuple[str, str]]) -> None:
    assert cohen_kappa([(first, first) for first, _ in pairs]) in (None, 1.0)
    assert krippendorff_alpha([(first, first) for first, _ in pairs]) in (None, 1.0)
    turned = [(second, first) for first, second in pairs]
    assert cohen_kappa(pairs) == cohen_kappa(turned)
    assert krippendorff_alpha(pairs) == krippendorff_alpha(turned)


@given(st.lists(st.lists(st.one_of(st.none(), label), max_size=5), max_size=20))
def test_alpha_is_at_most_1(tasks: list[list[str | None]]) -> None:
    alpha = krippendorff_alpha(tasks)
    assert alpha is None or alpha <= 1.0
