"""Which tasks become golden questions, and what is shown with them: the same choice for the same seed.

A golden question must not look like one: its score and its length lie in the middle of the project's. Its answer must
be beyond doubt: a person and the model said the same, and nobody said anything else. The labels come equally often, so
that nobody learns to expect one. Tasks of the audit are not to be among the candidates: traps would spoil them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.core.values import canonical_hash
from backend.learning.golden import POOR_ON_TRAPS, smallest_exam

_TAIL = 0.1  # of the tasks at either end of scores and of lengths, which stand out
_TRAP_SHARE = 0.25  # of the questions; more wrong predictions cost trust and time


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A task that at least one person has labelled."""

    task_id: int
    label: str  # what people said
    predicted: str | None
    disputed: bool = False  # somebody said something else
    score: float | None
    length: int  # of what is shown, in characters

    @property
    def certain(self) -> bool:
        return self.predicted == self.label and not self.disputed


@dataclass(frozen=True, kw_only=True)
class GoldenQuestion:
    task_id: int
    label: str  # the right answer
    shown: str  # the label of the prediction that is shown

    @property
    def trap(self) -> bool:
        return self.shown != self.label


@dataclass(frozen=True, kw_only=True)
class Ordinary:
    """The middle of a project's tasks, both ends included."""

    scores: tuple[float, float] | None  # None: no task has a score
    lengths: tuple[float, float]

    def holds(self, task: Candidate) -> bool:
        """Whether `task` is in the middle; where it, or every other one, has no score, by its length alone."""
        score_fits = self.scores is None or task.score is None or self.scores[0] <= task.score <= self.scores[1]
        return score_fits and self.lengths[0] <= task.length <= self.lengths[1]


def ordinary(scores: Sequence[float | None], lengths: Sequence[int]) -> Ordinary:
    """The middle 80 % of the scores and of the lengths of a project's tasks. Raises `ValueError` of no tasks."""
    if not lengths:
        raise ValueError("a project without tasks has no middle")
    known = [score for score in scores if score is not None]
    return Ordinary(scores=_middle(known) if known else None, lengths=_middle(lengths))


def traps_among(questions: int) -> int:
    """How many of them are traps: a quarter, and as many as find those out who accept everything, up to a half."""
    return min(max(math.ceil(_TRAP_SHARE * questions), smallest_exam(POOR_ON_TRAPS).questions), questions // 2)


def choose(
    candidates: Sequence[Candidate],
    questions: int,
    *,
    middle: Ordinary,
    labels: Sequence[str],
    seed: int,
    confusions: Mapping[str, Mapping[str, int]] | None = None,
) -> tuple[GoldenQuestion, ...]:
    """Up to `questions` golden questions by the tasks' ids: fewer where too few tasks are certain and ordinary.

    `labels` are those that a prediction can have. A trap shows another label than the right one, the more likely the
    more often `confusions` (right label: predicted label: how often) has it; without another label there is no trap.
    """
    fit = [task for task in candidates if task.certain and middle.holds(task)]
    chosen = list(_in_turn(fit, seed))[:questions]
    traps = traps_among(len(chosen))
    found = [
        GoldenQuestion(
            task_id=task.task_id,
            label=task.label,
            shown=_wrong_label(task, labels, (confusions or {}).get(task.label, {}), seed)
            if place < traps
            else task.label,
        )
        for place, task in enumerate(chosen)  # taken in turn, so that the first ones are balanced too
    ]
    return tuple(sorted(found, key=lambda question: question.task_id))


def _in_turn(tasks: Sequence[Candidate], seed: int) -> Iterator[Candidate]:
    """A task of each label, then another of each; labels and tasks in an order by lot."""
    by_label: dict[str, list[Candidate]] = {}
    for task in sorted(tasks, key=lambda task: _lot(seed, "task", task.task_id)):
        by_label.setdefault(task.label, []).append(task)
    order = sorted(by_label, key=lambda label: _lot(seed, "label", label))
    for turn in range(max(map(len, by_label.values()), default=0)):
        yield from (by_label[label][turn] for label in order if turn < len(by_label[label]))


def _wrong_label(task: Candidate, labels: Sequence[str], confused: Mapping[str, int], seed: int) -> str:
    """Another label by lot; the right one where there is no other."""
    others = [label for label in dict.fromkeys(labels) if label != task.label]
    left = _lot(seed, "shown", task.task_id) * sum(1 + confused.get(label, 0) for label in others)
    for label in others:
        left -= 1 + confused.get(label, 0)
        if left < 0:
            return label
    return task.label


def _middle(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    cut = int(_TAIL * len(ordered))
    return ordered[cut], ordered[-1 - cut]


def _lot(seed: int, what: str, key: int | str) -> float:
    """In [0, 1), the same on every machine."""
    return int(canonical_hash([seed, what, key])[:13], 16) / 16**13
