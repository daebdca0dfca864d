"""Several answers to one question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.agreement import Agreement, SetAgreement, agreement, set_agreement


@pytest.mark.parametrize(
    ("name", "samples", "value", "share", "tied"),
    [
        ("all agree", ["a", "a", "a"], "a", 1.0, False),
        ("a majority", ["b", "a", "a", "a", "b"], "a", 0.6, False),
        ("a plurality", ["b", "a", "c", "a", "d"], "a", 0.4, False),
        ("unreadable ones count in the share", ["a", None, "a", None, "a"], "a", 0.6, False),
        ("unreadable is never a class", [None, None, None, "a"], "a", 0.25, False),
        ("tied: the first given", ["b", "a", "a", "b", "c"], "b", 0.4, True),
        ("all different", ["c", "a", "b"], "c", 1 / 3, True),
        ("no label at all is a value", [(), (), ("a",)], (), 2 / 3, False),
        ("of numbers", [3, 4, 3], 3, 2 / 3, False),
    ],
)
def test_agreement(name: str, samples: list[object], value: object, share: float, tied: bool) -> None:
    assert agreement(samples) == Agreement(value=value, share=pytest.approx(share), tied=tied), name


@pytest.mark.parametrize("samples", [[], ["a"], [None], [None, None, None]])
def test_without_two_samples_or_a_readable_one_agreement_is_unknown(samples: list[str | None]) -> None:
    assert agreement(samples) is None
    assert set_agreement([None if s is None else {s} for s in samples]) is None


AB, A, B, NOTHING = frozenset("ab"), frozenset("a"), frozenset("b"), frozenset[str]()


@pytest.mark.parametrize(
    ("name", "samples", "value", "share", "tied"),
    [
        ("all agree", [AB, AB], AB, 1.0, False),
        ("the weakest element decides", [AB, AB, A, AB, AB], AB, 0.8, False),
        ("an element left out is a decision too", [AB, A, A, A, A], A, 0.8, False),
        ("a majority that no sample gave as a whole",
         [frozenset("abx"), frozenset("bcx"), frozenset("acx")], frozenset("abcx"), 2 / 3, False),
        ("half of them: as the first, which holds it", [AB, A], AB, 0.5, True),
        ("half of them: as the first, which lacks it", [A, AB], A, 0.5, True),
        ("nothing is an answer", [NOTHING, NOTHING, A], NOTHING, 2 / 3, False),
        ("all say nothing", [NOTHING, NOTHING], NOTHING, 1.0, False),
        ("unreadable ones count for neither side", [A, A, None, None], A, 0.5, False),
        ("unreadable ones lower the share of nothing too", [NOTHING, None], NOTHING, 0.5, False),
        ("unreadable first: the first readable decides", [None, A, NOTHING], A, 1 / 3, True),
    ],
)  # fmt: skip
def test_set_agreement(
    name: str, samples: list[frozenset[str] | None], value: object, share: float, tied: bool
) -> None:
    found = set_agreement(samples)
    assert found is not None
    assert (found.value, found.share, found.tied) == (value, pytest.approx(share), tied), name


def test_each_element_has_its_own_share() -> None:
    """Spans carry a score each."""
    name, place = (0, 4, "PER"), (10, 15, "LOC")
    found = set_agreement([{name, place}, {name}, {name, place}, {name, place}])
    assert found == SetAgreement(
        value=frozenset({name, place}), share=0.75, shares={name: 1.0, place: 0.75}, tied=False
    )


_SAMPLES = st.lists(st.none() | st.sampled_from("abcd"), max_size=9)
_SETS = st.lists(st.none() | st.frozensets(st.sampled_from("abcd")), max_size=9)


@given(_SAMPLES, st.randoms(use_true_random=False))
def test_the_order_matters_only_to_a_tie(samples: list[str | None], chance: object) -> None:
    found = agreement(samples)
    other = agreement(sorted(samples, key=lambda s: s or ""))
    assert (found is None) == (other is None)
    if found and other:
        assert (found.share, found.tied) == (other.share, other.tied)
        assert found.tied or found.value == other.value


@given(_SETS)
def test_the_majority_set_is_the_nearest_to_all_samples(samples: list[frozenset[str] | None]) -> None:
    found = set_agreement(samples)
    if found is None:
        return
    readable = [s for s in samples if s is not None]

    def distance(candidate: frozenset[str]) -> int:
        return sum(len(candidate ^ sample) for sample in readable)

    assert distance(found.value) <= min(distance(sample) for sample in readable)
    assert set(found.shares) == found.value
    assert all(found.share <= share <= 1 for share in found.shares.values())


@given(_SAMPLES)
def test_sets_of_one_agree_as_their_elements_do_where_there_is_a_majority(samples: list[str | None]) -> None:
    one, several = agreement(samples), set_agreement([None if s is None else {s} for s in samples])
    if one and one.share > 0.5:
        assert several is not None
        assert several.value == {one.value}
        assert several.share == one.share
