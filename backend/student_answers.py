"""What a student of verified labels answers to a task, control by control. Pure; asks no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from backend.core.text import storable
from backend.core.values import FieldReading
from backend.fields import only_visible
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control
from backend.labeling.controls.choices import Choices
from backend.labeling.shown import Shown
from backend.learning.pupil import Pupil, likeliest
from backend.prompting.shortlist import compared_text

METHOD = "student"  # that gave the confidence
_MOST_LABELS = 20  # whose probabilities are kept with a task
_PLACES = 6
NO_TEXT = "is left empty: a student reads text only, and this task shows none there"
NOT_LEARNT = "is left empty: a student answers Choices of one class only"


def is_learnable(control: Control) -> bool:
    """Whether a student can answer it: exactly one class of several."""
    return isinstance(control, Choices) and not control.listed


class Answering(Protocol):
    """Whoever answers in the place of a model."""

    def fields(self, task_id: int, config: LabelingConfig, shown: Mapping[str, Shown]) -> tuple[FieldReading, ...]:
        """One reading a control of a config that is bound to the task, in its order; None that cannot be answered."""
        ...


@dataclass(frozen=True, kw_only=True)
class StudentAnswers:
    """The students of a project's controls; in the place of one that cannot be trained why not: a phrase."""

    pupils: Mapping[str, Pupil | str]

    def fields(self, task_id: int, config: LabelingConfig, shown: Mapping[str, Shown]) -> tuple[FieldReading, ...]:
        return only_visible(tuple(self._field(task_id, control, shown) for control in config.controls), config)

    def _field(self, task_id: int, control: Control, shown: Mapping[str, Shown]) -> FieldReading:
        pupil = self.pupils.get(control.name)
        if pupil is None or not is_learnable(control):
            return _empty(control, NOT_LEARNT)
        if isinstance(pupil, str):
            return _empty(control, f"is left empty: it {pupil}")
        probabilities = pupil.probabilities(task_id, compared_text(control, shown))
        if probabilities is None:
            return _empty(control, NO_TEXT)
        found = likeliest(probabilities, [option.value for option in control.options])
        if found is None:
            return _empty(control, "is left empty: people gave none of the labels that this task offers")
        label, shares = found
        kept = dict(sorted(shares.items(), key=lambda item: -item[1])[:_MOST_LABELS])
        rounded = {control.names[name]: round(share, _PLACES) for name, share in kept.items()}
        return FieldReading(
            control=control.name,
            value=(label,),
            step=METHOD,
            notes=(f"by a student of {len(pupil.taught):,} verified labels",),
            confidence=shares[label],
            method=METHOD,
            label_probabilities=rounded,
            label_rest=max(0.0, round(1.0 - sum(rounded.values()), _PLACES)),
        )


def _empty(control: Control, why: str) -> FieldReading:
    return FieldReading(control=control.name, value=None, step=None, notes=(storable(f'"{control.name}" {why}'),))
