"""Which predictions may be accepted unseen, so that at most a given share of the labels is wrong.

**What is promised.** With probability `confidence`, over the chance of the audit's draw, the share of wrong labels is
at most `max_error` when the predictions from the threshold on are accepted unseen and people check the others. What a
person has labelled counts as right. The share is one of two:

- `ALL` (the default): wrong labels among all tasks of the project. This is what a data set is delivered with, and the
  final error of PAC labels (arXiv 2506.10908). Among the accepted alone the share may be higher: `wrong_of_accepted`
  says how high at most.
- `ACCEPTED`: wrong labels among the tasks from the threshold on. Stricter: the work of people does not make up for it.

**Why it holds.** The audit is a random sample of all tasks, drawn without regard to score or label. For each threshold
the Clopper-Pearson upper bound, from the wrong predictions that the audit found from that threshold on (of the whole
audit, or of its part from there on), is below the true share with probability at most 1 - `confidence`; drawing
without replacement only makes it safer. Thresholds are tried in a fixed order, the highest score first, and the first
that fails ends the walk: to accept too much it must pass the first threshold in the order at which the promise is
broken, so that trying many costs nothing (fixed-sequence testing). Which thresholds are tried depends on no label.
Under `ALL` each score is one. Under `ACCEPTED`, where one early error would end a walk of small steps, they are the
scores at every tenth of the tasks, from the first at which the audit is expected to be large enough to pass without an
error. Tasks of one score are accepted or left together.

**An audit that was extended** is two draws: one from all tasks, and one from those that nobody had labelled by then.
Labels that people give are right, so that the wrong labels of the end are all in what the second draw was from, and no
larger a share of all tasks than of that: either draw finds a wrong prediction at least as often as their share of all
tasks is, and both together are a sample to which the bound applies.

**An audit that is looked at again** (with more labels, or for another version) has another chance to mislead. Looks are
counted, and the k-th is held at the risk divided by 2^k: all looks together, however many there are and whatever each
led to, are wrong with probability at most 1 - `confidence` (union bound). A refusal that follows from the number of
labels alone is no look: it says nothing of what they are.

**An audit task that somebody looked at and of which no label is settled** (skipped, or people disagree) counts as a
wrong prediction: such tasks are the hard ones, and others like them are among those that nobody looked at.

**What breaks it.** An audit that is not random (the lowest scores first is not: it is refused where the scores tell) or
whose people saw the prediction. Tasks that had different chances to be drawn: where a part of the project is audited
more closely, only what the smallest share would have drawn there is the audit, and the rest is `checked`. Labels that
the scores were fitted on: they are left out, unless each audited task was scored by a fit without its own (cross-
fitting): with `cross_fitted` that is trusted, at half the risk.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from backend.confidence.intervals import checked_share, sample_size, sample_size_at, upper_bound
from backend.confidence.random_draw import can_be_random

_PARTS = 10  # of the tasks, each a threshold under ACCEPTED


class ErrorOf(Enum):
    """What the wrong labels are a share of."""

    ALL = "all"
    ACCEPTED = "accepted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """A task of the random audit that a person has labelled blind."""

    score: float | None  # in [0, 1]; None: not known, and never accepted
    right: bool  # the prediction was what the person said
    extension: bool = False  # drawn of what nobody had labelled by then, to extend the audit
    fitted: bool = False  # its label was used in fitting the scores: without cross-fitting it proves nothing
    undecided: bool = False  # somebody looked, and no label is settled: it is not `right`, and is left to people


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What may be accepted. Counts are tasks; those that people labelled, for the audit or otherwise, are not asked."""

    threshold: float  # accepted is what has this score or a higher one
    tasks: int
    accepted: int  # unseen
    to_check: int  # by a person
    audited: int  # and not left out
    audited_above: int  # from the threshold on
    errors: int  # wrong predictions among `audited_above`, undecided ones among them
    bound: float  # Clopper-Pearson at the threshold, at most `max_error`, which is what is promised
    wrong_of_accepted: float | None  # at most this share of the accepted alone, as promised; None: none is accepted
    expected_errors: float  # sum of 1 - score over the accepted: so many are wrong if the scores are calibrated
    waiting: int  # of `to_check`, those that the audit drew and nobody has looked at yet
    undecided: int  # of `to_check` and of `audited`, those of which no label is settled

    @property
    def saved(self) -> float:
        """The share of all tasks that no person looks at."""
        return self.accepted / self.tasks


Why = Literal["no audit", "labels used in fitting", "no scores", "not random", "too few labels", "too many errors"]
_LEAST_RISK = 1e-12  # of a look, from about the 35th on: of less, 1 - risk could not be told from 1


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Nothing may be accepted, and how many more audit labels would change that, where more would."""

    why: Why
    tasks: int
    audited: int
    errors: int  # wrong predictions among `audited`, undecided ones among them
    undecided: int = 0  # of `audited`, those of which no label is settled
    waiting: int = 0  # tasks that the audit drew and nobody has labelled yet
    at_least: int | None = None  # so many before anything is certified, without a further error at the highest scores
    for_half: int | None = None  # so many before half of the tasks are, at the rate of errors so far; None: no telling
    next_look: int | None = None  # at the audit, for which these are reckoned; None: looks are not counted
    cross_fitted: bool = False  # and so at half the risk
    unanswered: int | None = None  # audit labels of tasks that were not predicted here; None: there is no audit at all
    unseen: int = 0  # tasks at which nobody has looked, and that the audit did not draw


def held_at(look: int, confidence: float) -> float:
    """The confidence of a look at an audit, so that all of them together have `confidence`."""
    return 1 - max((1 - confidence) * 0.5**look, _LEAST_RISK)


def fewest_labels(look: int, max_error: float = 0.05, confidence: float = 0.95) -> int:
    """So many audit labels without an error among them a certificate takes as this look at the audit."""
    return sample_size(0, max_error, held_at(look, confidence))


def is_look(found: Certificate | Refusal) -> bool:
    """Whether it depended on the audit's labels: not where their number, or the scores, refused by themselves."""
    return isinstance(found, Certificate) or found.why == "too many errors"


@dataclass(frozen=True, kw_only=True)
class _Goal:
    max_error: float
    confidence: float
    error_of: ErrorOf

    def next_look(self) -> _Goal:
        return replace(self, confidence=held_at(1, self.confidence))


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the audit found from a threshold on."""

    threshold: float
    errors: int
    of: int  # the audit labels that the errors are a share of,
    share: float  # and the share of all tasks that these stand for


def certify(
    audit: Sequence[Audited],
    unseen: Sequence[float | None],
    *,
    waiting: Sequence[float | None] = (),
    checked: Sequence[float | None] = (),
    left_open: Sequence[float | None] = (),
    max_error: float = 0.05,
    confidence: float = 0.95,
    error_of: ErrorOf = ErrorOf.ALL,
    unanswered: int | None = None,
    cross_fitted: bool = False,
    look: int | None = None,
) -> Certificate | Refusal:
    """Find the lowest threshold that can be certified.

    `audit` are the random draws with a label, `waiting` the scores of those that have none yet, and are left to people;
    `checked` those of tasks that people labelled and that were not drawn at random: they prove nothing; `left_open`
    those of tasks that somebody looked at without giving a label, and that people have to check; `unseen` those of all
    others. Together they are the project. `unanswered`: how many more audit labels there are of tasks without a
    prediction, to be told with a refusal; None: there is no audit. `cross_fitted`: the audit's labels were used in
    fitting, each score by a fit without its own. `look`: the number of this look at the audit, from 1; None: there is
    no other. How many labels are missing is told for the look that is next. Raises `ValueError` for scores outside
    [0, 1], and for shares outside (0, 1).
    """
    held = confidence if look is None else held_at(look, checked_share(confidence))
    risk = (1 - checked_share(held)) / (2 if cross_fitted else 1)
    goal = _Goal(max_error=checked_share(max_error), confidence=1 - risk, error_of=error_of)
    usable = [row for row in audit if cross_fitted or not row.fitted]
    left_out = [row.score for row in audit if row.fitted and not cross_fitted]
    project = _Project(usable, [*unseen, *waiting, *checked, *left_open, *left_out])

    def told(refusal: Refusal) -> Refusal:
        refusal = replace(refusal, waiting=len(waiting), unseen=len(unseen), unanswered=unanswered)
        return replace(refusal, cross_fitted=cross_fitted)

    why = _unusable(project, left_out)
    if why is not None:
        at_least = None if project.labels else sample_size(0, max_error, goal.confidence)
        return told(replace(project.refusal(why), at_least=at_least, next_look=look))
    passed = _last_passed(project, goal)
    if passed is None:
        return told(_refused(project, goal, look))
    accepted = [score for score in unseen if score is not None and score >= passed.threshold]
    wrong = max_error * project.tasks * passed.share - passed.errors  # at most so many of the accepted, as promised
    return Certificate(
        threshold=passed.threshold,
        tasks=project.tasks,
        accepted=len(accepted),
        to_check=len(unseen) + len(waiting) + len(left_open) + project.undecided - len(accepted),
        audited=project.labels,
        audited_above=_from(project.audited, passed.threshold),
        errors=passed.errors,
        bound=upper_bound(passed.errors, passed.of, goal.confidence),
        wrong_of_accepted=min(1.0, wrong / len(accepted)) if accepted else None,
        expected_errors=math.fsum(1 - score for score in accepted),
        waiting=len(waiting),
        undecided=project.undecided,
    )


class _Project:
    """The scores that are known, each list lowest first, and how many tasks there are with or without one."""

    def __init__(self, audit: Sequence[Audited], others: Sequence[float | None]) -> None:
        self.tasks = len(audit) + len(others)
        self.labels = len(audit)
        self.errors = sum(not row.right for row in audit)
        self.undecided = sum(row.undecided for row in audit)
        self.audited = _sorted(row.score for row in audit)
        self.wrong = _sorted(row.score for row in audit if not row.right)
        self.scores = sorted([*self.audited, *_sorted(others)])
        first = [row.score for row in audit if not row.extension]  # as the scores of all, which the others need not be
        self.random = can_be_random(first, [*others, *(row.score for row in audit if row.extension)])

    def refusal(self, why: Why) -> Refusal:
        return Refusal(why=why, tasks=self.tasks, audited=self.labels, errors=self.errors, undecided=self.undecided)

    def seen(self, threshold: float, error_of: ErrorOf) -> _Seen:
        whole = error_of is ErrorOf.ALL
        return _Seen(
            threshold=threshold,
            errors=_from(self.wrong, threshold),
            of=self.labels if whole else _from(self.audited, threshold),
            share=1.0 if whole else _from(self.scores, threshold) / self.tasks,
        )


def _unusable(project: _Project, left_out: Sequence[float | None]) -> Why | None:
    if not project.labels:
        return "labels used in fitting" if left_out else "no audit"
    if not project.scores:
        return "no scores"
    return None if project.random else "not random"


def _last_passed(project: _Project, goal: _Goal) -> _Seen | None:
    """The end of the walk; None where its first threshold fails."""
    passed = None
    for threshold in _thresholds(project, goal):
        seen = project.seen(threshold, goal.error_of)
        if not seen.of or upper_bound(seen.errors, seen.of, goal.confidence) > goal.max_error:
            break
        passed = seen
    return passed


def _thresholds(project: _Project, goal: _Goal) -> Iterator[float]:
    """In the order of the walk. Under ALL, of those between two errors of the audit, which pass together, the last."""
    scores = project.scores
    if goal.error_of is ErrorOf.ALL:
        above = (bisect_right(scores, wrong) for wrong in sorted(set(project.wrong), reverse=True))
        yield from (scores[place] for place in above if place < len(scores))
        yield scores[0]
        return
    enough = sample_size(0, goal.max_error, goal.confidence)
    sizes = [math.ceil(len(scores) * part / _PARTS) for part in range(1, _PARTS + 1)]
    begun = [size for size in sizes if size / project.tasks * project.labels >= enough] or sizes[-1:]
    yield from dict.fromkeys(scores[-size] for size in begun)


def _refused(project: _Project, goal: _Goal, look: int | None) -> Refusal:
    few = project.labels < sample_size(0, goal.max_error, goal.confidence)
    if look is not None and not few:
        goal, look = goal.next_look(), look + 1  # this was one
    first = project.seen(next(_thresholds(project, goal)), goal.error_of)
    at_least = _further(first, sample_size(first.errors, goal.max_error, goal.confidence))
    return replace(
        project.refusal("too few labels" if few else "too many errors"),
        at_least=at_least,
        for_half=_for_half(project, goal, at_least),
        next_look=look,
    )


def _for_half(project: _Project, goal: _Goal, at_least: int) -> int | None:
    half = math.ceil(project.tasks / 2)
    if half > len(project.scores):
        return None
    seen = project.seen(project.scores[-half], goal.error_of)
    enough = sample_size_at(seen.errors, seen.of, goal.max_error, goal.confidence)
    if enough is None:
        return None
    further, left = max(at_least, _further(seen, enough)), project.tasks - project.labels
    return further if further <= left or not left else None  # a file may hold nothing but the audit


def _further(seen: _Seen, labels: int) -> int:
    """How many more tasks the audit must draw until `labels` of them are among those that count."""
    return max(1, math.ceil((labels - seen.of) / seen.share))


def _sorted(scores: Iterable[float | None]) -> list[float]:
    known = sorted(score for score in scores if score is not None)
    if any(not 0 <= score <= 1 for score in known):  # also refuses NaN
        raise ValueError("every score lies between 0 and 1, or is None")
    return known


def _from(scores: Sequence[float], threshold: float) -> int:
    """How many of the ascending `scores` are at least `threshold`."""
    return len(scores) - bisect_left(scores, threshold)
