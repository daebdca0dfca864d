"""Golden questions: the published sample sizes, who passes and who fails, and which tasks are chosen."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.intervals import at_most
from backend.learning.golden import Exam, GoldenAnswer, PassMark, exam, mark, smallest_exam

RIGHT, WRONG = GoldenAnswer(right=True, trap=False), GoldenAnswer(right=False, trap=False)
CAUGHT, TAKEN = GoldenAnswer(right=True, trap=True), GoldenAnswer(right=False, trap=True)
THIRTY = exam(30, 8)


@pytest.mark.parametrize(
    ("poor", "good", "questions", "right"), [(0.75, 0.95, 23, 21), (0.85, 0.95, 59, 55), (0.5, 0.95, 8, 7)]
)
def test_the_published_sample_sizes(poor: float, good: float, questions: int, right: int) -> None:
    assert smallest_exam(poor, good) == PassMark(questions=questions, right=right)


@given(st.sampled_from([0.5, 0.6, 0.75, 0.85]), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_poor_hardly_pass_and_the_good_mostly(poor: float, good: float) -> None:
    found = smallest_exam(poor, good)
    assert 1 - at_most(found.right - 1, found.questions, poor) <= 0.05
    assert 1 - at_most(found.right - 1, found.questions, good) >= 0.8


@pytest.mark.parametrize(("poor", "good"), [(0.9, 0.9), (0.95, 0.75), (0.0, 0.9), (0.5, 1.0), (0.9, 0.9001)])
def test_what_cannot_be_told_apart_is_refused(poor: float, good: float) -> None:
    with pytest.raises(ValueError, match=r"below|between|tell"):
        smallest_exam(poor, good)


def test_the_marks_of_thirty_questions() -> None:
    assert Exam(overall=PassMark(questions=30, right=27), traps=PassMark(questions=8, right=7)) == THIRTY


def test_too_few_questions_are_marked_as_the_fewest_that_tell_anything() -> None:
    assert exam(10, 2).overall == PassMark(questions=23, right=21)
    assert exam(10, 0).traps is None
    assert exam(30, 3).traps == PassMark(questions=3, right=2)
    with pytest.raises(ValueError, match="some of the questions"):
        exam(5, 6)


@pytest.mark.parametrize("traps", range(1, 40))
def test_who_accepts_everything_fails_however_few_traps_there_are(traps: int) -> None:
    asked = exam(40, traps)
    assert asked.traps is not None
    assert asked.traps.right >= 1
    marked = mark([RIGHT] * (40 - traps) + [TAKEN] * traps, asked)
    assert marked.verdict == "fail"
    assert (marked.caught, marked.traps) == (0, traps)


@pytest.mark.parametrize(
    ("answers", "verdict", "more", "more_traps"),
    [
        ([], "not enough yet", 30, 8),
        ([RIGHT] * 22 + [CAUGHT] * 8, "pass", 0, 0),
        ([RIGHT] * 19 + [WRONG] * 3 + [CAUGHT] * 8, "pass", 0, 0),
        ([RIGHT] * 18 + [WRONG] * 4 + [CAUGHT] * 8, "fail", 0, 0),
        ([RIGHT] * 22 + [CAUGHT] * 7 + [TAKEN], "pass", 0, 0),
        ([RIGHT] * 22 + [CAUGHT] * 6 + [TAKEN] * 2, "fail", 0, 0),
        ([WRONG] * 4, "fail", 0, 0),  # 27 of 30 are out of reach
        ([WRONG] * 3, "not enough yet", 27, 8),
        ([TAKEN] * 2, "fail", 0, 0),
        ([RIGHT] * 29 + [CAUGHT], "not enough yet", 7, 7),  # enough questions and too few traps
        ([RIGHT] * 40 + [CAUGHT] * 20, "pass", 0, 0),  # more than were planned
        ([RIGHT] * 40 + [CAUGHT] * 12 + [TAKEN] * 8, "fail", 0, 0),
        ([RIGHT] * 40 + [WRONG] * 10 + [CAUGHT] * 8, "fail", 0, 0),
    ],
)
def test_verdicts(answers: list[GoldenAnswer], verdict: str, more: int, more_traps: int) -> None:
    marked = mark(answers, THIRTY)
    assert (marked.verdict, marked.more, marked.more_traps) == (verdict, more, more_traps)


def test_what_is_told_of_an_annotator() -> None:
    marked = mark([RIGHT] * 9 + [WRONG] + [CAUGHT] * 4 + [TAKEN], THIRTY)
    assert (marked.answered, marked.right, marked.traps, marked.caught) == (15, 13, 5, 4)
    assert marked.accuracy is not None
    assert marked.catch_rate is not None
    assert marked.accuracy.low == pytest.approx(0.5954, abs=1e-4)
    assert marked.catch_rate.high == pytest.approx(0.9949, abs=1e-4)
    assert marked.because == (
        "13 of 15 golden questions right; 4 of 5 wrong predictions noticed; "
        "15 more needed, 3 of them with a wrong prediction."
    )
    assert mark([TAKEN] * 2, THIRTY).because.endswith("0 of 2 wrong predictions noticed; accepts what is shown.")
    assert mark([WRONG] * 4, THIRTY).because == "0 of 4 golden questions right; too many wrong answers."


def test_nothing_answered_is_nothing_known() -> None:
    marked = mark([], exam(30, 0))
    assert (marked.accuracy, marked.catch_rate, marked.more, marked.more_traps) == (None, None, 30, 0)


@given(st.lists(st.sampled_from([RIGHT, WRONG, CAUGHT, TAKEN]), max_size=60), st.integers(0, 40))
def test_a_failure_stays_one_while_the_planned_questions_last(answers: list[GoldenAnswer], traps: int) -> None:
    asked = exam(40, traps)
    verdicts = [mark(answers[:n], asked).verdict for n in range(min(len(answers), 40) + 1)]
    trap_answers = [answer.trap for answer in answers[:40]]
    if asked.traps is not None and sum(trap_answers) <= asked.traps.questions:
        assert all(after == "fail" for before, after in pairwise(verdicts) if before == "fail")
    assert Counter(verdicts[:23])["pass"] == 0
