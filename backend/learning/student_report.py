"""A version's answers beside those of a student of verified labels, on the blind audit: overall and by slice.

The student answers each task without having seen it, and both are judged on the same tasks. It is better where the two
95 % intervals lie apart: by chance that is rare, also where many slices are looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.confidence.intervals import clopper_pearson
from backend.learning.pupil import Pupil, likeliest

MOST_VALUES = 50  # of a slice's column


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A task of the audit, and who answered it rightly."""

    version: bool
    student: bool
    slices: Mapping[str, str] = field(default_factory=dict)


def is_right(pupil: Pupil, task_id: int, gold: str) -> bool:
    """Whether a student says of a task that it was taught, without having seen it, what people do."""
    probabilities = pupil.held_out.get(task_id, {})
    found = likeliest(probabilities, list(probabilities))
    return found is not None and found[0] == gold


def beside_student(rows: Sequence[Beside], *, taught: int) -> dict[str, Any] | None:
    """Both accuracies with 95 % intervals (Clopper and Pearson), and where the student is better; None of no task."""
    if not rows:
        return None
    columns = sorted({column for row in rows for column in row.slices})
    slices: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for column in columns:
        values = Counter(row.slices[column] for row in rows if column in row.slices)
        for value, _ in values.most_common(MOST_VALUES):
            slices[column][value] = _both([row for row in rows if row.slices.get(column) == value])
    return {"taught": taught, **_both(rows), "slices": dict(slices)}


def _both(rows: Sequence[Beside]) -> dict[str, Any]:
    version, student = _rate([row.version for row in rows]), _rate([row.student for row in rows])
    return {"version": version, "student": student, "student_is_better": student["low"] > version["high"]}


def _rate(right: Sequence[bool]) -> dict[str, Any]:
    interval = clopper_pearson(sum(right), len(right))
    return {"n": len(right), "share": sum(right) / len(right), "low": interval.low, "high": interval.high}
