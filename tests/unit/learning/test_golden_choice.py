"""Which tasks become golden questions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.learning.golden_choice import Candidate, Ordinary, choose, ordinary, traps_among

LABELS = ["a", "b", "c"]
ANYTHING = Ordinary(scores=None, lengths=(0, 10**9))


def candidates(count: int, **fields: object) -> list[Candidate]:
    made = []
    for task in range(count):
        label = LABELS[task % 3]
        values = {"task_id": task, "label": label, "predicted": label, "score": 0.5, "length": 100, **fields}
        made.append(Candidate(**values))  # type: ignore[arg-type]
    return made


def test_thirty_questions_are_balanced_and_so_are_their_traps() -> None:
    found = choose(candidates(300), 30, middle=ANYTHING, labels=LABELS, seed=1)
    assert Counter(question.label for question in found) == dict.fromkeys(LABELS, 10)
    traps = Counter(question.label for question in found if question.trap)
    assert sum(traps.values()) == traps_among(30) == 8
    assert max(traps.values()) - min(traps.values()) <= 1
    assert [question.task_id for question in found] == sorted(question.task_id for question in found)


def test_the_seed_is_the_choice() -> None:
    first = choose(candidates(300), 30, middle=ANYTHING, labels=LABELS, seed=1)
    assert first == choose(candidates(300)[::-1], 30, middle=ANYTHING, labels=LABELS, seed=1)
    assert first != choose(candidates(300), 30, middle=ANYTHING, labels=LABELS, seed=2)


def test_only_what_is_certain_is_chosen() -> None:
    doubtful = [*candidates(10, predicted="other"), *candidates(10, predicted=None), *candidates(10, disputed=True)]
    assert choose(doubtful, 30, middle=ANYTHING, labels=LABELS, seed=1) == ()


def test_what_stands_out_is_not_chosen() -> None:
    middle = ordinary([place / 100 for place in range(101)] + [None], [*range(100), 5000])
    assert middle == Ordinary(scores=(0.1, 0.9), lengths=(10, 90))
    for fields in ({"score": 0.05}, {"score": 0.95}, {"length": 9}, {"length": 4000}):
        assert choose(candidates(9, **{"length": 50, **fields}), 9, middle=middle, labels=LABELS, seed=1) == ()
    assert len(choose(candidates(9, length=50, score=0.9), 9, middle=middle, labels=LABELS, seed=1)) == 9
    assert len(choose(candidates(9, length=50, score=None), 9, middle=middle, labels=LABELS, seed=1)) == 9


def test_a_project_without_scores_or_without_tasks() -> None:
    assert ordinary([None, None], [3, 4]).scores is None
    with pytest.raises(ValueError, match="without tasks"):
        ordinary([], [])


def test_a_trap_shows_what_is_often_confused() -> None:
    confused = {label: {"c": 10**9} for label in "ab"}
    found = choose(candidates(300), 60, middle=ANYTHING, labels=LABELS, seed=1, confusions=confused)
    assert {question.shown for question in found if question.trap and question.label != "c"} == {"c"}


def test_without_another_label_there_is_no_trap() -> None:
    only = candidates(30, label="a", predicted="a")
    found = choose(only, 10, middle=ANYTHING, labels=["a"], seed=1)
    assert (len(found), sum(question.trap for question in found)) == (10, 0)


def test_a_rare_label_gives_what_it_has() -> None:
    rare = Candidate(task_id=99, label="b", predicted="b", score=0.5, length=100)
    found = choose([*candidates(30, label="a", predicted="a"), rare], 10, middle=ANYTHING, labels=LABELS, seed=1)
    assert Counter(question.label for question in found) == {"a": 9, "b": 1}


@pytest.mark.parametrize(("questions", "traps"), [(0, 0), (1, 0), (10, 5), (16, 8), (23, 8), (30, 8), (59, 15)])
def test_how_many_are_traps(questions: int, traps: int) -> None:
    assert traps_among(questions) == traps


@given(st.integers(0, 40), st.integers(0, 40), st.integers())
def test_never_more_than_asked_for_and_none_twice(count: int, questions: int, seed: int) -> None:
    found = choose(candidates(count), questions, middle=ANYTHING, labels=LABELS, seed=seed)
    assert len(found) == len({question.task_id for question in found}) == min(count, questions)
    assert all(question.shown in LABELS for question in found)
