"""Golden questions: tasks with a known answer, hidden among the others, that tell how far an annotator can be trusted.

Some are traps: the prediction that is shown with them is deliberately wrong, so that who accepts whatever is shown is
found out. How many are needed, and how many right answers are enough, follows from binomial distributions (arXiv
2505.19134): a poor annotator passes with a probability of at most 5 %, a good one with at least 80 %. To tell 75 % from
95 % takes 23 questions and 21 right answers; 85 % from 95 %, 59 and 55.

The number of questions is fixed when they are made. Nobody passes before it is reached, because to look again after
each answer would let the poor ones pass by luck; whoever cannot pass any more has failed at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backend.confidence.intervals import Interval, at_most, checked_share, clopper_pearson

POOR, GOOD = 0.75, 0.95  # shares of right answers that are to be told apart
POOR_ON_TRAPS = 0.5  # who sees through no more than half of the traps mostly accepts what is shown
MISTAKE = 0.05  # most that a poor annotator passes
POWER = 0.8  # least that a good one passes
_MOST_QUESTIONS = 10_000


@dataclass(frozen=True, kw_only=True)
class PassMark:
    """So many right answers, of so many questions, are a pass."""

    questions: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What the golden questions of a project ask of an annotator."""

    overall: PassMark
    traps: PassMark | None  # None: there are none, and who accepts everything is not found out


@dataclass(frozen=True, kw_only=True)
class GoldenAnswer:
    """One annotator's answer to one golden question."""

    right: bool
    trap: bool


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What an annotator's golden questions say so far."""

    verdict: Literal["pass", "fail", "not enough yet"]
    because: str  # one sentence
    answered: int
    right: int
    accuracy: Interval | None  # 95 %, Clopper-Pearson; None: nothing answered
    traps: int
    caught: int
    catch_rate: Interval | None  # likewise
    more: int  # further questions until a verdict; 0 where there is one
    more_traps: int  # how many of them are traps


def smallest_exam(
    poor: float = POOR, good: float = GOOD, *, mistake: float = MISTAKE, power: float = POWER
) -> PassMark:
    """The fewest questions that tell a `poor` annotator from a `good` one, and the pass mark.

    Raises `ValueError` where `poor` is not below `good`, or no practical number tells them apart.
    """
    if not checked_share(poor) < checked_share(good):
        raise ValueError("the poor share of right answers must be below the good one")
    checked_share(mistake)
    for questions in range(1, _MOST_QUESTIONS + 1):
        right = _pass_mark(questions, poor, mistake)
        if 1 - at_most(right - 1, questions, good) >= checked_share(power):
            return PassMark(questions=questions, right=right)
    raise ValueError(f"{_MOST_QUESTIONS:,} questions do not tell {poor} from {good}")


def exam(questions: int, traps: int) -> Exam:
    """The pass marks for a set of `questions` golden questions, of which `traps` are traps.

    With fewer questions than telling 75 % from 95 % takes, the mark is that of as many as it takes: nobody can pass
    until more are made. With fewer traps than telling half from 95 % takes (8), the mark is what a good annotator
    misses with a probability of at most 5 %: who accepts everything still fails, who accepts half may pass.
    """
    if not 0 <= traps <= questions:
        raise ValueError("traps are some of the questions")
    least, least_traps = smallest_exam(), smallest_exam(POOR_ON_TRAPS)
    overall = least
    if questions >= least.questions:
        overall = PassMark(questions=questions, right=_pass_mark(questions, POOR, MISTAKE))
    if not traps:
        return Exam(overall=overall, traps=None)
    if traps >= least_traps.questions:
        return Exam(overall=overall, traps=PassMark(questions=traps, right=_pass_mark(traps, POOR_ON_TRAPS, MISTAKE)))
    right = next(right for right in range(traps, -1, -1) if round(at_most(right - 1, traps, GOOD), 12) <= MISTAKE)
    return Exam(overall=overall, traps=PassMark(questions=traps, right=right))


def mark(answers: Sequence[GoldenAnswer], asked: Exam) -> Marked:
    """The verdict on one annotator: `answers` has each golden question once, the first answer to it."""
    on_traps = [answer.right for answer in answers if answer.trap]
    right, caught = sum(answer.right for answer in answers), sum(on_traps)
    wrong = _too_many_wrong(right, len(answers), asked.overall, POOR)
    missed = asked.traps is not None and _too_many_wrong(caught, len(on_traps), asked.traps, POOR_ON_TRAPS)
    more = more_traps = 0
    if not wrong and not missed:
        more_traps = max(0, asked.traps.questions - len(on_traps)) if asked.traps else 0
        more = max(more_traps, asked.overall.questions - len(answers))
    told = [f"{right} of {len(answers)} golden questions right"]
    told += [f"{caught} of {len(on_traps)} wrong predictions noticed"] if on_traps else []
    told += ["accepts what is shown"] if missed else ["too many wrong answers"] if wrong else []
    if more:
        told.append(f"{more} more needed" + (f", {more_traps} of them with a wrong prediction" if more_traps else ""))
    return Marked(
        verdict="fail" if wrong or missed else "not enough yet" if more else "pass",
        because="; ".join(told) + ".",
        answered=len(answers),
        right=right,
        accuracy=clopper_pearson(right, len(answers)) if answers else None,
        traps=len(on_traps),
        caught=caught,
        catch_rate=clopper_pearson(caught, len(on_traps)) if on_traps else None,
        more=more,
        more_traps=more_traps,
    )


def _too_many_wrong(right: int, answered: int, passed: PassMark, poor: float) -> bool:
    """Whether a pass is out of reach. More answers than questions were planned have a mark of their own."""
    if answered <= passed.questions:
        return answered - right > passed.questions - passed.right
    return right < max(passed.right, _pass_mark(answered, poor, MISTAKE))


def _pass_mark(questions: int, poor: float, mistake: float) -> int:
    """The fewest right answers that a poor annotator gives by luck at most at `mistake`; may be above `questions`."""
    return bisect_left(range(questions + 1), True, key=lambda right: 1 - at_most(right - 1, questions, poor) <= mistake)
