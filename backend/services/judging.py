"""One annotation of Label Studio -> a verification: what it is compared with, and what that says. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from backend.core.text import storable
from backend.core.values import JSON, Task
from backend.core.verifications import Verification, VerificationOutcome
from backend.labeling.comparison import Result, compare, kept
from backend.labeling.config import LabelingConfig
from backend.ports.labels import AnnotatedTask, Annotation, HeldPrediction
from backend.ports.verifications import Answered

Versioned = TypeVar("Versioned", HeldPrediction, Answered)
MAX_SLICE_CHARS = 80  # a longer value of a column is a text, and no slice


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What is known of a task beside its annotations."""

    project_id: int
    version: str | None  # the project's current one
    config: LabelingConfig  # not bound to the task's data
    slice_columns: tuple[str, ...]
    answers: Sequence[Answered]  # what the versions answered to the task, the newest first


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """What an annotation is compared with."""

    version: str | None = None
    result: JSON | None = None  # None: nothing is kept of any prediction
    shown: bool = False
    data_hash: str | None = None  # of the data that it was made from, where that is known


def judge(
    annotation: Annotation, task: AnnotatedTask, known: Verification | None, around: Circumstances
) -> Verification:
    """The verification of an annotation; `known` is what was stored of it before. Never raises."""
    config = around.config.bind(task.data)
    regions = kept(annotation.result, config)
    final: Result = () if isinstance(regions, str) else regions
    changed = known is None or final != known.regions
    basis = _basis(annotation, task, known, around, seen_at=annotation.updated_at if changed and known else None)
    predicted = _storable(basis.result, config)
    compared = compare(config, predicted, final)
    outcome = _outcome(annotation, known, shown=basis.shown, confirmed=compared.confirmed)
    tells_labels = not isinstance(regions, str) and not annotation.was_cancelled
    now = _data_hash(task, around)
    data_hash, stale = _staleness(annotation, known, basis, now, around.config.fingerprint)
    return Verification(
        project_id=around.project_id,
        task_id=task.id,
        outcome=outcome,
        version=None if predicted is None else basis.version,
        controls=compared.controls if tells_labels else (),
        shown=basis.shown and outcome is not VerificationOutcome.BLIND,
        data_hash=data_hash,
        config_fingerprint=around.config.fingerprint,
        regions=final,
        predicted=predicted or (),
        slices=slices_of(task.data, around.slice_columns),
        stale=stale,
        problem=regions if isinstance(regions, str) else compared.problem,
        **_told(annotation),
    )


def _told(annotation: Annotation) -> dict[str, Any]:
    """What is kept as Label Studio says it."""
    names = ("annotator_id", "lead_time_s", "created_at", "updated_at", "ground_truth")
    return {"annotation_id": annotation.id, **{name: getattr(annotation, name) for name in names}}


def _storable(result: JSON | None, config: LabelingConfig) -> Result | None:
    """A prediction's regions; None where there is none, or none that could be stored."""
    regions = None if result is None else kept(result, config)
    return None if isinstance(regions, str) else regions


def slices_of(data: Mapping[str, JSON], columns: Iterable[str]) -> dict[str, str]:
    """The short values of these columns of a task's data, in one line each."""
    found: dict[str, str] = {}
    for column in columns:
        value = data.get(column)
        if isinstance(value, str | int | float) and len(text := str(value)) <= MAX_SLICE_CHARS and text.strip():
            found[column] = storable(" ".join(text.split()))
    return found


def _outcome(
    annotation: Annotation, known: Verification | None, *, shown: bool, confirmed: bool
) -> VerificationOutcome:
    if annotation.was_cancelled:
        return VerificationOutcome.SKIPPED
    if annotation.updated_by is None and annotation.lead_time_s is None:
        accepted = _is_accepted(annotation, known) or (shown and confirmed)
        return VerificationOutcome.ACCEPTED if accepted else VerificationOutcome.BLIND
    if not shown:
        return VerificationOutcome.BLIND
    return VerificationOutcome.CONFIRMED if confirmed else VerificationOutcome.CORRECTED


def _is_accepted(annotation: Annotation, known: Verification | None) -> bool:
    """Whether Label Studio's action made it of a prediction, where no user made it: else it was imported. Once the
    prediction is deleted only what was stored tells, or that it says the same."""
    return annotation.parent_prediction is not None or (
        known is not None and known.outcome is VerificationOutcome.ACCEPTED
    )


def _basis(
    annotation: Annotation,
    task: AnnotatedTask,
    known: Verification | None,
    around: Circumstances,
    *,
    seen_at: datetime | None,
) -> _Basis:
    """What it is compared with is found once: predictions are deleted and replaced later. An annotation that was made
    blind stays so, unless it was changed (`seen_at`) when a prediction could be seen."""
    found = _first_basis(annotation, task, around, seen_at or annotation.created_at)
    if known is None or known.version is None:
        return found
    answer = next((a for a in around.answers if a.version == known.version), None)
    shown = known.shown or (seen_at is not None and found.shown)
    return _Basis(
        version=known.version,
        result=known.predicted,
        shown=shown,
        data_hash=answer.data_hash if answer else None,
    )


def _first_basis(annotation: Annotation, task: AnnotatedTask, around: Circumstances, moment: datetime) -> _Basis:
    """In this order: the prediction that it was started from, one that was visible then, an answer that Label Studio
    had been given by then, an answer that it had not: then it was made blind. Each of the current version first."""
    by_hash = {answer.version: answer.data_hash for answer in around.answers}
    parent = next((p for p in task.predictions if p.id == annotation.parent_prediction), None)
    visible = parent or _first([p for p in _newest(task.predictions) if p.created_at <= moment], around.version)
    if visible is not None:
        version = visible.version
        data_hash = by_hash.get(version) if version else None
        return _Basis(version=version or "", result=visible.result, shown=True, data_hash=data_hash)
    given = [a for a in around.answers if a.delivered_at is not None and a.delivered_at <= moment]
    answer = _first(given, around.version) or _first(around.answers, around.version)
    shown = bool(given) or annotation.parent_prediction is not None or _tells_of_a_prediction(annotation.result)
    if answer is None:
        return _Basis(shown=shown)
    return _Basis(version=answer.version, result=answer.result, shown=shown, data_hash=answer.data_hash)


def _first(found: Sequence[Versioned], version: str | None) -> Versioned | None:
    """The first of that version, else the first."""
    return next((one for one in found if one.version == version), found[0] if found else None)


def _newest(predictions: Iterable[HeldPrediction]) -> list[HeldPrediction]:
    return sorted(predictions, key=lambda p: (p.created_at, p.id), reverse=True)


def _tells_of_a_prediction(result: JSON) -> bool:
    """Whether the editor says of a region that it came from a prediction."""
    regions = [r for r in result if isinstance(r, Mapping)] if isinstance(result, list) else []
    return any(str(r.get("origin")).startswith("prediction") for r in regions if isinstance(r.get("origin"), str))


def _data_hash(task: AnnotatedTask, around: Circumstances) -> str:
    variables = set(around.config.variables)
    shown = {key: value for key, value in task.data.items() if key in variables}
    return Task(id=task.id, project_id=around.project_id, data=shown).data_hash


def _staleness(
    annotation: Annotation, known: Verification | None, basis: _Basis, now: str, fingerprint: str
) -> tuple[str, bool]:
    """The hash of the data that was annotated, and whether the task has other data now.

    At first sight that is the data of the prediction: whether it was changed before or after the annotation cannot be
    told. Whoever submits an annotation again has seen the data as it is.
    """
    if known is None:
        seen = basis.data_hash or now
        return seen, seen != now
    if annotation.updated_at > known.updated_at and annotation.ground_truth == known.ground_truth:
        return now, False
    if fingerprint != known.config_fingerprint:  # it may show other columns, whose hash says nothing of a change
        return now, known.stale
    return known.data_hash, known.data_hash != now
