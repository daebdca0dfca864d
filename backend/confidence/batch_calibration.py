"""Batch calibration: takes out of a model's label probabilities what it thinks of the labels before it reads anything.

Zhou et al., "Batch Calibration" (arXiv 2309.17249): each label's probability is divided by its mean over a batch of
tasks, and the quotients are normalised again. It needs no verified task and no further call. It assumes that no label
of the batch is really that much rarer than another, so that it can make labels worse: `gain` says on tasks with
known labels what it would change, and both labels are kept.

Label probabilities are a mapping from label to probability. What they lack to 1 belongs to labels that are not listed:
of a long list only the likeliest are stored. Such a label has an equal part of that, and is never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite

from backend.confidence.intervals import at_most
from backend.confidence.metrics import Quality, quality
from backend.confidence.stored import number_at, numbers_at, object_of
from backend.core.values import JSON

FEWEST_AUDIT = 30  # audited labels: with fewer nothing is adopted
LEAST_TASKS = 10  # of a batch: the mean over fewer is mostly those tasks themselves
_MOST_LABELS = 100_000  # that are read from storage
_CHANCE = 0.05  # of labels that are as often spoiled as mended, that so few are spoiled of those that change
_ROUNDING = 1e-4  # what stored probabilities may lack to 1, or have beyond it


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A task's label after batch calibration, beside the one before."""

    label: str
    confidence: float
    said: str  # the model's own label
    said_confidence: float  # the model's own probability of it
    probabilities: Mapping[str, float]  # after, of the listed labels


@dataclass(frozen=True, kw_only=True)
class BatchMeans:
    """The mean probability of each label over a batch of `tasks` tasks."""

    means: Mapping[str, float]
    tasks: int

    def apply(self, probabilities: Mapping[str, float], *, said: str) -> Recalibrated:
        """A task of the batch, or a later one like it, with the model's own label `said`, which is listed.

        A label with less in the whole batch than a guess among all labels gives to one task is divided as if it had
        that much: a label that the batch hardly knows is not blown up. Of equally probable labels it is the one said.
        Raises ValueError where these are no label probabilities.
        """
        rest = _rest(probabilities)
        if said not in probabilities:
            raise ValueError("the model's own label is not among the label probabilities")
        quotients = {label: p / self._divisor(label) for label, p in probabilities.items()}
        others = [label for label in self.means if label not in probabilities] if rest else []
        total = fsum([*quotients.values(), *(rest / len(others) / self._divisor(label) for label in others)])
        after = {label: quotient / total for label, quotient in quotients.items()}
        label = max(after, key=lambda one: (after[one], one == said, one))
        return Recalibrated(
            label=label,
            confidence=after[label],
            said=said,
            said_confidence=min(1.0, probabilities[said]),
            probabilities=after,
        )

    def _divisor(self, label: str) -> float:
        return max(self.means.get(label, 0.0), 1 / (self.tasks * max(1, len(self.means))))

    def to_json(self) -> dict[str, JSON]:
        return {"kind": "batch", "tasks": self.tasks, "means": dict(self.means)}

    @classmethod
    def from_json(cls, stored: JSON) -> BatchMeans:
        """Raises ValueError for anything that `to_json` does not write."""
        found = object_of(stored, "batch", ("tasks", "means"))
        tasks = number_at(found, "tasks", least=LEAST_TASKS, most=1e9)
        means = numbers_at(found, "means", count=_MOST_LABELS, least=0.0, most=1.0)
        return cls(tasks=int(tasks), means=means)


def batch_means(batch: Sequence[Mapping[str, float] | None]) -> BatchMeans | None:
    """Over the tasks of a batch that have label probabilities; None where these are fewer than `LEAST_TASKS`.

    Raises ValueError where one of them is no label probabilities.
    """
    known = [probabilities for probabilities in batch if probabilities is not None]
    if len(known) < LEAST_TASKS:
        return None
    sums = dict.fromkeys((label for probabilities in known for label in probabilities), 0.0)
    unlisted = 0.0  # what every label has of the tasks that do not list it
    for probabilities in known:
        others = len(sums) - len(probabilities)
        part = _rest(probabilities) / others if others else 0.0
        unlisted += part
        for label, p in probabilities.items():
            sums[label] += p - part
    means = {label: min(1.0, max(0.0, (total + unlisted) / len(known))) for label, total in sums.items()}
    return BatchMeans(means=means, tasks=len(known))


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What batch calibration changes on tasks whose label is known."""

    before: Quality
    after: Quality
    mended: int  # wrong before and right after
    spoiled: int  # the other way round

    @property
    def helps(self) -> bool:
        """Whether it is a reason to adopt it."""
        return obstacle(mended=self.mended, spoiled=self.spoiled, audit=self.before.n) is None


def obstacle(*, mended: int, spoiled: int, audit: int) -> str | None:
    """Why what was measured on so many tasks of the audit is no reason to adopt it: a phrase. It is one where more
    labels are mended than spoiled, beyond chance (a one-sided sign test)."""
    if audit < FEWEST_AUDIT:
        return f"{audit} audited labels can be judged by, and {FEWEST_AUDIT} are needed"
    if mended <= spoiled or at_most(spoiled, mended + spoiled, 0.5) > _CHANCE:
        return f"of {audit} audited labels it would make {mended} right and {spoiled} wrong: no gain beyond chance"
    return None


def gain(judged: Sequence[tuple[Recalibrated, str]]) -> Gain:
    """Of tasks of the audit, each with its right label."""
    before = [(r.said_confidence, r.said == gold) for r, gold in judged]
    after = [(r.confidence, r.label == gold) for r, gold in judged]
    changed = [(was, now) for (_, was), (_, now) in zip(before, after, strict=True)]
    return Gain(
        before=quality(before),
        after=quality(after),
        mended=changed.count((False, True)),
        spoiled=changed.count((True, False)),
    )


def _rest(probabilities: Mapping[str, float]) -> float:
    """What belongs to labels that are not listed; rounding does not count."""
    if not all(isfinite(p) and 0.0 <= p <= 1.0 for p in probabilities.values()):
        raise ValueError("a label probability is a number from 0 to 1")
    total = fsum(probabilities.values())
    if not 0.0 < total <= 1.0 + _ROUNDING:
        raise ValueError("label probabilities sum up to more than 0 and to at most 1")
    return 1.0 - total if 1.0 - total > _ROUNDING else 0.0
