"""Whether a student of verified labels would do better than a version of the predictions: for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.core.judgements import Judgement
from backend.labeling.config import LabelingConfig
from backend.learning.fitting import Said
from backend.learning.pupil import Pupil
from backend.learning.student_report import Beside, beside_student, is_right
from backend.services.fitting_rows import said_of
from backend.services.students import Pupils

_NO_AUDIT = "has no task of the blind audit to be judged by"


def beside_students(pupils: Pupils, config: LabelingConfig, found: Sequence[Judgement]) -> dict[str, Any]:
    """Control -> the version and the student on those tasks of the audit that were annotated with one label and some
    text; where there is no student, or no such task, why not: a phrase."""
    audit = [judgement for judgement in found if judgement.audit]
    said, slices = said_of(config, audit), {judgement.task_id: judgement.slices for judgement in audit}
    told: dict[str, Any] = {}
    for name, pupil in pupils.items():
        taught = frozenset() if isinstance(pupil, str) else pupil.ids
        judged = {i: one for i, one in sorted(said.get(name, {}).items()) if one.gold is not None and i in taught}
        beside = _beside(pupil, judged, slices) if isinstance(pupil, Pupil) else None
        why_not = pupil if isinstance(pupil, str) else _NO_AUDIT if beside is None else None
        told[name] = {"why_not": why_not, **(beside or {})}
    return told


def _beside(pupil: Pupil, judged: dict[int, Said], slices: dict[int, Mapping[str, str]]) -> dict[str, Any] | None:
    rows = [
        Beside(version=one.right, student=is_right(pupil, i, one.gold or ""), slices=slices[i])
        for i, one in judged.items()
    ]
    return beside_student(rows, taught=len(pupil.taught))
