"""One control's score, fitted on what people verified: which one is used from now on, and what it gives every task.

**Labels that were fitted on prove nothing of the fit.** The audit's labels are fitted on too: with a few hundred
verified tasks they are most of what tells how good a high score is, and without them the fit would know only what
people looked at because it scored low. So whatever was fitted on gets its score from a fit without it and all that
show the same (cross-fitting), and certificates, which trust that, are made at half the risk
(`confidence/certificate.py`). The student sees the model's own labels only, never what people said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import fsum

from backend.confidence.adoption import (
    FUSED_FROM,
    Adoption,
    Raw,
    Score,
    adopt,
    cross_fitted,
    probability,
    usable,
)
from backend.confidence.batch_calibration import BatchMeans, batch_means, gain
from backend.confidence.cases import Case, Verified, case_of
from backend.confidence.draw_weights import draw_weights
from backend.core.folds import drawn
from backend.core.scorings import ControlScoring
from backend.core.values import JSON
from backend.learning.student import MAX_SHARES, Lesson, Student, same_text

MOST_TEXTS = 5_000  # that a student learns from: of a larger project it tells of the others without having seen them
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One control's answer to a task."""

    task_id: int
    raw: float | None  # the model's own confidence
    label: str | None  # what was predicted; None where that is not one label of a set
    text: str  # of the task, as far as it is text
    data_hash: str
    score: float | None  # of the task, as it is shown now
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of the likeliest labels; empty: not known

    @property
    def group(self) -> str:
        """The same for tasks that show the same."""
        return same_text(self.text) or self.data_hash


@dataclass(frozen=True, kw_only=True)
class Said:
    """What people said of a control's answer to a task."""

    right: bool
    audit: bool  # drawn at random, and said blind
    gold: str | None  # the right label, where it is one label of a set


@dataclass(frozen=True, kw_only=True)
class ControlFit:
    """What was found for one control."""

    adoption: Adoption
    scores: Mapping[int, float | None]  # task -> what the score gives it; None: its confidence is not known
    fitted_on: frozenset[int]  # tasks whose score is by a fit without them
    batch: Mapping[str, JSON] | None  # what batch calibration would change on the audit; None: no telling

    def told(self, control: str) -> ControlScoring:
        return ControlScoring(
            control=control,
            kind=self.adoption.name,
            before=self.adoption.before,
            parameters=self.adoption.score.to_json(),
            figures={name: asdict(figures) for name, figures in self.adoption.figures.items()},
            why=self.adoption.why,
            verified=self.adoption.verified,
            audit=self.adoption.audit,
            batch=self.batch,
        )


def fit_control(rows: Sequence[Predicted], said: Mapping[int, Said], *, in_use: Score) -> ControlFit:
    """The fit over all of a version's answers. The same input gives the same."""
    weights = draw_weights([row.score for row in rows], [row.task_id in said for row in rows])
    known = sum(row.task_id in said and row.raw is not None for row in rows)
    cases = [case_of(row.raw, row.label, None) for row in rows]
    if known >= FUSED_FROM:  # with fewer no score that asks the student comes into use, nor stays
        beside = _beside_student(rows)
        cases = [beside.get(row.task_id, case) for row, case in zip(rows, cases, strict=True)]
    verified = {
        row.task_id: Verified(
            case=case,
            right=said[row.task_id].right,
            group=row.group,
            audit=said[row.task_id].audit,
            weight=weight,
        )
        for row, case, weight in zip(rows, cases, weights, strict=True)
        if row.task_id in said
    }
    adoption = adopt(list(verified.values()), in_use=in_use, seed=_SEED)
    own = _own(verified, adoption)
    by_task = {row.task_id: case for row, case in zip(rows, cases, strict=True)}
    return ControlFit(
        adoption=adoption,
        scores={task: probability(adoption.score, case) for task, case in by_task.items()} | own,
        fitted_on=frozenset(own),
        batch=batch_gain(rows, said),
    )


def _own(verified: Mapping[int, Verified], adoption: Adoption) -> dict[int, float]:
    """The scores of what was fitted on; nothing where the model's own confidence is used, which was fitted on nothing.
    Where nothing could be compared, the score in use is an earlier fit, and it cannot be told on what: then all that
    is verified counts as fitted on."""
    if isinstance(adoption.score, Raw):
        return {}
    rows = {task: v for task, v in verified.items() if usable([v])}
    return dict(zip(rows, cross_fitted(list(rows.values()), adoption.name, seed=_SEED), strict=True))


def _beside_student(rows: Sequence[Predicted]) -> dict[int, Case]:
    """Task -> its case, with what a student of the other tasks' predicted labels says of it. Tasks without one label
    of a set or without text are left out. Of what the student says only that is kept: with hundreds of labels the
    rest is gigabytes."""
    labelled = [row for row in rows if row.label is not None and row.text.strip()]
    if not labelled:
        return {}
    chosen = frozenset(drawn(len(labelled), most=MOST_TEXTS, seed=_SEED))
    taught = [row for number, row in enumerate(labelled) if number in chosen]
    others: defaultdict[str, list[Predicted]] = defaultdict(list)
    for number, row in enumerate(labelled):
        if number not in chosen:
            others[row.group].append(row)
    lesson = Lesson.of([row.text for row in taught], [row.label or "" for row in taught], seed=_SEED)
    found: dict[int, Case] = {}
    for number, shares in lesson.held_out():
        for row in (taught[number], *others.pop(taught[number].group, ())):  # who has seen the like tells of neither
            found[row.task_id] = case_of(row.raw, row.label, shares)
    seen = {row.group for row in taught}
    rest = [row for group, some in others.items() if group not in seen for row in some]
    return found | (_told_by(lesson.student(), rest) if rest else {})


def _told_by(student: Student, rows: Sequence[Predicted]) -> dict[int, Case]:
    """Task -> its case, by a student that has not seen it."""
    at_once = max(1, MAX_SHARES // len(student.labels))
    found: dict[int, Case] = {}
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        for row, shares in zip(some, student.probabilities([row.text for row in some]), strict=True):
            found[row.task_id] = case_of(row.raw, row.label, shares)
    return found


def batch_gain(rows: Sequence[Predicted], said: Mapping[int, Said]) -> dict[str, JSON] | None:
    """What dividing label probabilities by their mean would change, on the audit; None without label probabilities, or
    without an audit task that has some and one right label."""
    known, means = _with_probabilities(rows), batch_of(rows)
    if means is None:
        return None
    judged = [
        (means.apply(row.probabilities, said=row.label or ""), one.gold)
        for row in known
        if (one := said.get(row.task_id)) is not None and one.audit and one.gold is not None
    ]
    if not judged:
        return None
    found = gain([(recalibrated, gold or "") for recalibrated, gold in judged])
    return {
        "audit": len(judged),
        "tasks": means.tasks,
        "accuracy": [found.before.accuracy, found.after.accuracy],
        "auroc": [found.before.auroc, found.after.auroc],
        "mended": found.mended,
        "spoiled": found.spoiled,
        "helps": found.helps,
    }


def batch_of(rows: Sequence[Predicted]) -> BatchMeans | None:
    """The mean probability of each label over a version's answers; None where too few tell the probabilities."""
    return batch_means([row.probabilities for row in _with_probabilities(rows)])


def _with_probabilities(rows: Sequence[Predicted]) -> list[Predicted]:
    return [row for row in rows if row.label is not None and row.label in row.probabilities]


def mean_change(rows: Sequence[tuple[float | None, float | None]]) -> float:
    """By how much scores that are known before and after differ on average; 0 without any."""
    known = [abs(before - after) for before, after in rows if before is not None and after is not None]
    return fsum(known) / len(known) if known else 0.0
