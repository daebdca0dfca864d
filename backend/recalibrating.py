"""A task's answer read again after batch calibration (`confidence/batch_calibration.py`). Pure.

Only Choices of one class are read again, where the answer holds the probabilities of its labels; everything else of the
answer stays. The model's own label stays in a note, its confidence among the signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backend.confidence.batch_calibration import BatchMeans
from backend.confidence.task_score import task_score
from backend.core.values import JSON, FieldReading, Outcome, TaskState
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control
from backend.student_answers import is_learnable

METHOD = "batch_calibration"  # that gave the confidence
_PLACES = 6


def recalibrated(outcome: Outcome, config: LabelingConfig, means: Mapping[str, BatchMeans]) -> Outcome:
    """The outcome of a task to which `config` is bound, with the labels of the controls of `means` read again."""
    if outcome.state is not TaskState.DONE:
        return outcome
    controls = {c.name: c for c in config.controls if c.name in means and is_learnable(c)}
    fields = tuple(
        _field(field, controls[field.control], means[field.control]) if field.control in controls else field
        for field in outcome.fields
    )
    now = {new.control: new for old, new in zip(outcome.fields, fields, strict=True) if new is not old}
    result = tuple(_region(region, now, controls) for region in outcome.result)
    return replace(outcome, fields=fields, result=result, score=task_score(field.confidence for field in fields))


def by_value(control: Control, probabilities: Mapping[str, float]) -> dict[str, float]:
    """The model names options, the regions hold their values. Rounding may have brought the sum above 1."""
    values = {option.name: option.value for option in control.options}
    total = max(1.0, sum(probabilities.values()))
    return {values.get(name, name): share / total for name, share in probabilities.items()} if probabilities else {}


def _field(field: FieldReading, control: Control, means: BatchMeans) -> FieldReading:
    probabilities, said = by_value(control, field.label_probabilities), (field.value or (None,))[0]
    if said not in probabilities or not sum(probabilities.values()):
        return field
    found = means.apply(probabilities, said=said)
    if found.label not in control.names:  # of another option list than this task's
        return field
    shares = {control.names.get(name, name): round(p, _PLACES) for name, p in found.probabilities.items()}
    changed = (f"batch calibration says {found.label!r} where the model said {said!r}",) if found.label != said else ()
    return replace(
        field,
        value=(found.label,),
        notes=field.notes + changed,
        confidence=found.confidence,
        method=METHOD,
        signals={**field.signals, "before_calibration": found.said_confidence},
        label_probabilities=shares,
        label_rest=max(0.0, round(1.0 - sum(shares.values()), _PLACES)),
    )


def _region(
    region: Mapping[str, JSON], now: Mapping[str, FieldReading], controls: Mapping[str, Control]
) -> Mapping[str, JSON]:
    field = now.get(str(region.get("from_name")))
    if field is None or field.confidence is None:
        return region
    (changed,) = controls[field.control].regions(field.value)
    return {**region, "value": changed["value"], "score": round(field.confidence, 3)}
