"""Which texts are nearly the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.learning import near_duplicates
from backend.learning.near_duplicates import clusters

VERIFY = "What do I need to do to verify my identity?"
WORDS = st.sampled_from(
    ["my", "card", "has", "not", "arrived", "yet", "where", "is", "the", "new", "one", "please", "17", "18"]
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The same text.", "the  SAME text"),
        (VERIFY, "What do I need to do to verify my identity now?"),
        ("Your code is 481 516, do not tell it to anybody", "Your code is 23 42, do not tell it to anybody"),
        ("我的卡还没有到，我想知道它在哪里", "我的卡还没有到，我想知道它在哪里呢"),
        ("!!!", "!!!"),
    ],
)
def test_near_duplicates_are_one_cluster(one: str, other: str) -> None:
    assert clusters([one, "something else altogether", other]) == [0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I love this phone", "I hate this phone"),
        ("My card has not arrived yet", "My card was stolen on the way"),
        ("great", "awful"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_what_is_only_alike_or_says_nothing_is_not(one: str, other: str) -> None:
    assert clusters([one, other]) == [0, 1]


def test_nothing_and_little() -> None:
    assert clusters([]) == []
    assert clusters(["alone"]) == [0]
    assert clusters(["", "alone", ""]) == [0, 1, 2]


def test_all_identical_are_one_cluster() -> None:
    assert clusters(["the same text"] * 3_000) == [0] * 3_000


def test_a_cluster_does_not_grow_into_a_chain() -> None:
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    texts = [" ".join(words[n : n + 16]) for n in range(11)]  # each nearly its neighbours, the last not the first
    found = clusters(texts)
    assert found[1] == 0
    assert found[10] != 0


def test_it_does_not_matter_in_which_block_a_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{said} number {n // 9} of them {'please' * (n % 2)}" for n in range(40) for said in (VERIFY, "Where is")]
    whole = clusters(texts)
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)
    monkeypatch.setattr(near_duplicates, "_PAIRS", 3)
    assert clusters(texts) == whole


def test_of_too_many_texts_the_last_join_only_what_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_TEXTS", 2)
    assert clusters([VERIFY, "other", VERIFY + " now", VERIFY.upper()]) == [0, 1, 2, 0]


def test_boilerplate_is_found_among_long_texts_and_others_are_left() -> None:
    letters = str.maketrans("0123456789", "abcdefghij")
    boilerplate = " ".join(f"w{str(n).translate(letters)}" for n in range(120))
    texts = [f"{boilerplate} x{str(n).translate(letters)}" for n in range(300)]
    others = [" ".join(f"y{str(n * m).translate(letters)}" for m in range(1, 60)) for n in range(2, 50)]
    found = clusters([*texts, *others])
    assert set(found[:300]) == {0}
    assert found[300:] == list(range(300, 348))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=25))
def test_each_text_is_in_one_cluster_that_its_first_text_leads(texts: list[str]) -> None:
    found = clusters(texts)
    assert len(found) == len(texts)
    for index, leader in enumerate(found):
        assert leader <= index
        assert found[leader] == leader  # the same cluster for all that are in it
    for earlier in range(len(texts)):
        assert clusters(texts[:earlier]) == found[:earlier]  # later texts change nothing
    for index, text in enumerate(texts):
        same = [other for other in range(index) if texts[other] == text and text]
        assert all(found[other] == found[index] for other in same)


@given(st.lists(st.text(max_size=30), max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_text_is_taken(texts: list[str]) -> None:
    assert len(clusters(texts)) == len(texts)
