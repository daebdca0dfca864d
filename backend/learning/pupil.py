"""What verified labels teach of one control: who gives a task its label, and with which probability.

A task that a person has labelled gets its probabilities from students that have not seen it ("out of fold"), so that
neither its label nor its score flatters, and the blind audit may both teach and judge. Every other task gets them from
the student of all verified labels. Nothing is trained before it is asked for, and then once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.learning.student import Lesson, Probabilities, Student

TO_CHOOSE = 500  # texts that the strength is chosen on: somebody may wait for the answer
LEAST_TAUGHT = 30  # verified labels: with fewer a fold of them is a handful


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A task with the label that people gave it."""

    task_id: int
    text: str  # not blank
    label: str  # an option's value


@dataclass(frozen=True, kw_only=True)
class Pupil:
    """A student of one control's verified labels, for as long as these are what they are."""

    taught: tuple[Taught, ...]
    seed: int

    def probabilities(self, task_id: int, text: str) -> Probabilities | None:
        """Of each label that it knows; None for a text that is blank, and for a task whose like is all that it knows:
        nothing can be told of these."""
        if task_id in self.ids:
            return self.held_out.get(task_id)
        return self._student.probabilities([text])[0] if text.strip() else None

    @cached_property
    def held_out(self) -> dict[int, Probabilities]:
        """Of the tasks that it was taught, each without having seen it and all that show the same text."""
        found = self._lesson.out_of_fold()
        return {one.task_id: p for one, p in zip(self.taught, found, strict=True) if p is not None}

    @cached_property
    def _student(self) -> Student:
        return self._lesson.student()

    @cached_property
    def _lesson(self) -> Lesson:
        texts, labels = [one.text for one in self.taught], [one.label for one in self.taught]
        return Lesson.of(texts, labels, seed=self.seed, to_choose=TO_CHOOSE)

    @cached_property
    def ids(self) -> frozenset[int]:
        return frozenset(one.task_id for one in self.taught)


def obstacle(taught: Sequence[Taught]) -> str | None:
    """Why nobody can learn from these: a phrase that says what is needed; None where somebody can."""
    if len(taught) < LEAST_TAUGHT:
        return f"has {len(taught)} verified labels on tasks with text, and {LEAST_TAUGHT} are needed"
    if len(labels := Counter(one.label for one in taught)) == 1:
        return f"has the same label in all {len(taught)} verified tasks, {next(iter(labels))!r}, and two are needed"
    return None


def likeliest(probabilities: Probabilities, among: Sequence[str]) -> tuple[str, Probabilities] | None:
    """The label that is chosen of those on offer, with what each of these has of them all; of equally probable ones the
    first on offer. None where it knows none of them, or gives them nothing."""
    offered = {label: probabilities[label] for label in among if probabilities.get(label, 0.0) > 0}
    total = sum(offered.values())
    if not offered:
        return None
    shares = {label: min(1.0, p / total) for label, p in offered.items()}
    return max(shares, key=lambda label: shares[label]), shares
