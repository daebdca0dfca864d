"""Which verified tasks stand in a prompt as examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.learning.example_pool import MAX_CHARS, MAX_SAME_CHARS, ExamplePool, PoolTask, says

TEXTS = [
    "my card has not arrived",
    "where is my new card",
    "the card arrived broken",
    "what is the exchange rate",
    "exchange rates for euros",
    "I forgot my password",
]
LABELS = ["card", "card", "card", "rate", "rate", "login"]


def pool_of(texts: Sequence[str] = TEXTS, labels: Sequence[str | None] = LABELS) -> ExamplePool:
    return ExamplePool(
        PoolTask(task_id=n, text=text, answer={"c": label}, label=label)
        for n, (text, label) in enumerate(zip(texts, labels, strict=True), start=1)
    )


def ids(
    pool: ExamplePool, text: str, count: int, *, task_id: int = 0, selector: str = "tfidf", **how: Any
) -> list[int]:
    return [task.task_id for task in pool.choose(task_id, text, count, selector=selector, **how)]


class TestSimilarity:
    def test_the_most_similar_come_first(self) -> None:
        pool = pool_of(labels=[None] * 6)
        assert ids(pool, "which exchange rate do I get", 2) == [4, 5]
        assert ids(pool, "did my card arrive?", 3) == [1, 3, 2]
        assert ids(pool, "FORGOTTEN PASSWORDS", 1) == [6]  # no word in common: characters

    def test_the_equally_similar_come_from_the_newest_on(self) -> None:
        pool = pool_of(["one red", "two", "red three", "red four"], [None] * 4)
        assert ids(pool, "зебра", 4) == [4, 3, 2, 1]

    def test_only_the_beginning_of_a_text_counts(self) -> None:
        pool = pool_of(["x " * MAX_CHARS + "card", "a card"], [None] * 2)
        assert ids(pool, "card", 1) == [2]
        assert ids(pool_of(), "y " * MAX_CHARS + "password", 1) == ids(pool_of(), "y " * 5, 1)

    def test_a_pool_that_grew_chooses_as_one_that_was_made_at_once(self) -> None:
        """However it grew: with tasks in between, changed and taken out, and looked at meanwhile or not."""
        whole = pool_of([*TEXTS, "card payment declined"], [*LABELS, "card"])
        begun = pool_of(TEXTS[:3], LABELS[:3])
        ids(begun, "card", 2)
        grown = begun.changed([PoolTask(task_id=2, text="something else", answer={}, label="x")])
        grown = grown.changed(whole.tasks[3:], without=[1])
        ids(grown, "card", 2)
        grown = grown.changed(whole.tasks[:2])
        assert grown.tasks == whole.tasks
        for text in ("my card", "rate", "password", ""):
            assert ids(grown, text, 7) == ids(whole, text, 7)

    def test_vectors_are_compared_where_they_are_given(self) -> None:
        vectors = {1: [1.0, 0.0], 2: [0.0, 2.0], 3: [0.6, 0.8], 4: [0.0, 0.0]}
        pool = pool_of(labels=[None] * 6)
        found = ids(pool, "x", 9, selector="embeddings", vectors=vectors, vector=[3.0, 0.1])
        assert found == [1, 3, 2, 4]  # those without a vector are left out
        assert ids(pool, "x", 9, selector="embeddings", vectors=vectors) == []


class TestWhatIsNoExample:
    @pytest.mark.parametrize("selector", ["tfidf", "random"])
    def test_the_task_itself_and_what_says_the_same(self, selector: str) -> None:
        pool = pool_of()
        assert 1 not in ids(pool, "another text by now", 6, task_id=1, selector=selector)
        for text in ("Where is my NEW card?", "  where\nis my new   card!!", "ｗｈｅｒｅ is my new card"):
            assert sorted(ids(pool, text, 6, selector=selector)) == [1, 3, 4, 5, 6]

    def test_of_tasks_that_say_the_same_one_is_shown(self) -> None:
        pool = pool_of(["red card", "Red card!", "red  CARD", "blue card"], [None] * 4)
        assert ids(pool, "card", 4) in ([4, 3], [3, 4])

    def test_what_is_not_usable(self) -> None:
        found = ids(pool_of(), "did my card arrive", 6, usable=lambda task: task.task_id > 3)
        assert sorted(found) == [4, 5, 6]

    def test_signs_without_letters_are_told_apart(self) -> None:
        assert says("?!") != says("...")
        assert says("कि") != says("की")  # vowel signs are part of their words

    def test_long_texts_with_one_beginning_are_taken_for_the_same(self) -> None:
        assert says("x" * MAX_SAME_CHARS + "a") == says("x" * MAX_SAME_CHARS + "b")


class TestBalance:
    def test_of_one_label_there_are_at_most_half(self) -> None:
        found = pool_of().choose(0, "did my card arrive", 4, selector="tfidf")
        assert [task.label for task in found][:2] == ["card", "card"]
        assert Counter(task.label for task in found)["card"] == 2
        assert len(found) == 4

    def test_with_too_few_others_there_are_more(self) -> None:
        pool = pool_of(TEXTS[:4], LABELS[:4])
        found = pool.choose(0, "did my card arrive", 4, selector="tfidf")
        assert Counter(task.label for task in found) == {"card": 3, "rate": 1}

    def test_by_lot_each_label_comes_before_any_comes_twice(self) -> None:
        for text in ("a", "b", "c", "d"):
            found = pool_of().choose(0, text, 5, selector="random")
            assert {task.label for task in found[:3]} == {"card", "rate", "login"}
            assert Counter(task.label for task in found) == {"card": 2, "rate": 2, "login": 1}

    def test_without_labels_nothing_is_held_back(self) -> None:
        assert ids(pool_of(labels=[None] * 6), "did my card arrive", 3) == [1, 3, 2]


def test_a_lot_depends_on_seed_and_text_alone() -> None:
    """Not on the task's id: two tasks with the same data ask the same, and it is paid once."""
    pool = pool_of([f"text {n}" for n in range(100)], [None] * 100)
    first = ids(pool, "x", 5, selector="random", seed=1)
    assert ids(pool, "x", 5, selector="random", seed=1, task_id=500) == first
    assert ids(pool, "x", 5, selector="random", seed=2) != first
    assert ids(pool, "y", 5, selector="random", seed=1) != first


@pytest.mark.parametrize("selector", ["tfidf", "random", "embeddings"])
def test_nothing_comes_of_nothing(selector: str) -> None:
    assert ids(ExamplePool(), "text", 5, selector=selector) == []
    assert ids(pool_of(), "text", 0, selector=selector) == []


def test_an_unknown_selector_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no selector 'best'"):
        ids(pool_of(), "text", 1, selector="best")


HOSTILE = ["", " ", "\x00", "\ud800", "?", "\x1b[2J", "x" * 10**6, "a " * 10**5, "\u0301" * 1000, "ß" * 3, "İ"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=30), max_size=12), st.text(st.characters(), max_size=50))
def test_any_texts_can_be_compared(texts: list[str], text: str) -> None:
    pool = pool_of([*texts, *HOSTILE], [None] * (len(texts) + len(HOSTILE)))
    for asked in (text, *HOSTILE):
        found = ids(pool, asked, 5)
        assert len(found) == len(set(found)) == 5
        assert found == ids(pool, asked, 5)
        assert all(says(pool.tasks[n - 1].text) != says(asked) for n in found)
