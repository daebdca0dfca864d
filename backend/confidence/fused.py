"""The probability that a label is right, from all that is known of it: how sure the model is, what it chose, and
whether a student, a small classifier that learnt the model's own labels from the other tasks, would choose the same.

Calibration alone keeps the order of review; this changes it: a label whose kind is often wrong, or that the task's
neighbours contradict, comes earlier. It is a ridge regression on at most eight features, since with a few hundred
verified tasks more of them, or trees, learn the tasks by heart:

- the log-odds of the raw confidence, and of the student's probability of the predicted label;
- the student's margin of that label over the best other one;
- which label was predicted, for the five that were verified most often. All others are one class, the one that the
  intercept stands for: of 77 labels most have been verified a few times only, too few to tell how good each is, and
  what makes them differ is partly in the student's features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt

from backend.confidence.cases import Case, Verified
from backend.confidence.logistic import effective, fitted, logit, sigmoid
from backend.confidence.stored import number_at, numbers_at, object_of
from backend.core.values import JSON

MAX_LABELS = 5  # with a feature of their own; with the three numbers that makes eight
LEAST_OF_LABEL = 10  # verified predictions of a label, for it to have one
_RIDGE = 1.0


@dataclass(frozen=True, kw_only=True)
class Slope:
    """What one number adds to the log-odds: slope x (number - centre). Nothing where it is not known."""

    centre: float = 0.0
    slope: float = 0.0

    def of(self, number: float | None) -> float:
        return 0.0 if number is None else self.slope * (number - self.centre)


_NUMBERS = ("raw", "share", "margin")


@dataclass(frozen=True, kw_only=True)
class Fused:
    """The correctness model's parameters."""

    intercept: float
    raw: Slope
    share: Slope
    margin: Slope
    labels: Mapping[str, float] = field(default_factory=dict)  # what a predicted label adds; nothing for any other

    def apply(self, case: Case) -> float | None:
        """The probability of being right, in [0, 1]. None where the model gave no confidence of its own."""
        if case.raw is None:
            return None
        of_label = 0.0 if case.label is None else self.labels.get(case.label, 0.0)
        slopes = (self.raw, self.share, self.margin)
        added = (slope.of(number) for slope, number in zip(slopes, _numbers(case), strict=True))
        return sigmoid(fsum([self.intercept, of_label, *added]))

    def to_json(self) -> dict[str, JSON]:
        slopes = {name: getattr(self, name) for name in _NUMBERS}
        return {
            "kind": "fused",
            "intercept": self.intercept,
            "slopes": {name: one.slope for name, one in slopes.items()},
            "centres": {name: one.centre for name, one in slopes.items()},
            "labels": dict(self.labels),
        }

    @classmethod
    def from_json(cls, stored: JSON) -> Fused:
        """Raises ValueError for anything that `to_json` does not write."""
        found = object_of(stored, "fused", ("intercept", "slopes", "centres", "labels"))
        slopes = numbers_at(found, "slopes", count=len(_NUMBERS))
        centres = numbers_at(found, "centres", count=len(_NUMBERS))
        if not slopes.keys() == centres.keys() == set(_NUMBERS):
            raise ValueError('"slopes" or "centres" of a stored score lack a number: fit it again')
        numbers = {name: Slope(slope=slopes[name], centre=centres[name]) for name in _NUMBERS}
        labels = numbers_at(found, "labels", count=MAX_LABELS)
        return cls(intercept=number_at(found, "intercept"), labels=labels, **numbers)


def fit_fused(verified: Sequence[Verified]) -> Fused | None:
    """Fitted on the verified predictions that have a raw confidence; None without any of some weight."""
    rows = [v for v in verified if v.case.raw is not None and v.weight > 0]
    if not rows:
        return None
    weights = effective([v.weight for v in rows])
    scales = [_scale(column, weights) for column in zip(*(_numbers(v.case) for v in rows), strict=True)]
    labels = _frequent(rows)
    features = [
        [
            *(0.0 if x is None else (x - centre) / width for x, (centre, width) in zip(numbers, scales, strict=True)),
            *(float(v.case.label == label) for label in labels),
        ]
        for v, numbers in ((v, _numbers(v.case)) for v in rows)
    ]
    line = fitted(features, [v.right for v in rows], weights, ridge=_RIDGE)
    if line is None:
        return None
    raw, share, margin = (
        Slope(centre=centre, slope=slope / width)
        for slope, (centre, width) in zip(line.slopes[: len(_NUMBERS)], scales, strict=True)
    )
    added = dict(zip(labels, line.slopes[len(_NUMBERS) :], strict=True))
    return Fused(intercept=line.intercept, raw=raw, share=share, margin=margin, labels=added)


def _numbers(case: Case) -> tuple[float | None, float | None, float | None]:
    """What `_NUMBERS` names."""
    return (
        None if case.raw is None else logit(case.raw),
        None if case.student_share is None else logit(case.student_share),
        case.student_margin,
    )


def _scale(column: Sequence[float | None], weights: Sequence[float]) -> tuple[float, float]:
    """The weighted mean and standard deviation of what is known; the latter 1 where nothing varies."""
    known = [(x, weight) for x, weight in zip(column, weights, strict=True) if x is not None]
    total = fsum(weight for _, weight in known)
    if not total:
        return 0.0, 1.0
    mean = fsum(x * weight for x, weight in known) / total
    variance = fsum((x - mean) ** 2 * weight for x, weight in known) / total
    return mean, sqrt(variance) if variance > 1e-12 else 1.0


def _frequent(rows: Sequence[Verified]) -> list[str]:
    """The labels with a feature of their own, the one that was verified most often first."""
    counts = Counter(v.case.label for v in rows if v.case.label is not None)
    often = [label for label, count in counts.items() if count >= LEAST_OF_LABEL]
    return sorted(often, key=lambda label: (-counts[label], label))[:MAX_LABELS]
