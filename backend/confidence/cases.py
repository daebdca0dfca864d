"""What is known of one prediction before and after a person has looked at it: the rows that scores are fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """One control's prediction, as the model and the student see it."""

    raw: float | None  # the model's own confidence in [0, 1]; None: it has none, and then no score is made of it
    label: str | None  # what was predicted; None where that is not one label of a set
    student_share: float | None = None  # the student's out-of-fold probability of `label`; None: no student, no label
    student_margin: float | None = None  # that, less the student's highest probability of another label, in [-1, 1]

    def __post_init__(self) -> None:
        _within(self.raw, 0.0, 1.0, "a raw confidence")
        _within(self.student_share, 0.0, 1.0, "a student's probability")
        _within(self.student_margin, -1.0, 1.0, "a student's margin")


def case_of(raw: float | None, label: str | None, student: Mapping[str, float] | None) -> Case:
    """The case of a prediction, where `student` is the student's probability of each label for that task.

    A label that the student has never seen has the probability 0.
    """
    if label is None or student is None:
        return Case(raw=raw, label=label)
    share = min(1.0, student.get(label, 0.0))
    best_other = min(1.0, max((p for other, p in student.items() if other != label), default=0.0))
    return Case(raw=raw, label=label, student_share=share, student_margin=share - best_other)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A prediction that a person has confirmed (`right`) or corrected."""

    case: Case
    right: bool
    group: str  # the same for tasks that show the same: they are never on both sides of a cross-validation
    audit: bool  # drawn at random and annotated blind: only these are scores judged by
    weight: float = 1.0  # inverse probability of having been verified, at any scale; 0: not fitted on

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"a weight is a finite number from 0 on, not {self.weight}")


def _within(value: float | None, low: float, high: float, what: str) -> None:
    if value is not None and not low <= value <= high:  # also refuses NaN
        raise ValueError(f"{what} lies in [{low:g}, {high:g}], not at {value}")
