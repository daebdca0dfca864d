"""What counts as a task's label when several people annotated it. Nobody's answer is thrown away for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.core.values import JSON
from backend.core.verifications import Verification
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A control's answer to a task, by all who gave one."""

    value: JSON | None  # as `decode` gives it; None: the majority left it empty, or there is none
    votes: int  # answers that agree with it
    answers: int  # that could be read

    @property
    def is_settled(self) -> bool:
        """Whether more than half say the same. Two who disagree settle nothing."""
        return 2 * self.votes > self.answers


def resolve(config: LabelingConfig, verifications: Iterable[Verification]) -> dict[str, Resolved]:
    """Control -> what counts, of one task's verifications under a config that is bound to its data.

    Who was shown a prediction and who was not counts alike. What is skipped, stale, deleted or unfit has no voice; of
    one annotator the last answer has; and where some are marked as ground truth, only those have.
    """
    voices = heard(verifications)
    found: dict[str, Resolved] = {}
    for control in config.controls:
        read = [control.value_of(v.regions) for v in voices]
        found[control.name] = _most_given(control, [one.value for one in read if one.problem is None])
    return found


def heard(verifications: Iterable[Verification]) -> list[Verification]:
    """Those of one task's verifications that have a voice in what its label is."""
    usable = [v for v in verifications if v.is_label]
    return _last_of_each([v for v in usable if v.ground_truth] or usable)


def _last_of_each(verifications: Sequence[Verification]) -> list[Verification]:
    """Of each annotator the one that was updated last; those of nobody known are all different people's."""
    by_annotator: dict[tuple[int | None, int | None], Verification] = {}
    for v in sorted(verifications, key=lambda v: (v.updated_at, v.annotation_id)):
        by_annotator[v.annotator_id, v.annotation_id if v.annotator_id is None else None] = v
    return list(by_annotator.values())


def _most_given(control: Control, values: Sequence[JSON | None]) -> Resolved:
    """The first of those with which most agree, itself counted."""
    counted = [(sum(control.agree(value, other) for other in values), value) for value in values]
    votes, value = max(counted, key=lambda pair: pair[0], default=(0, None))
    settled = 2 * votes > len(values)
    return Resolved(value=value if settled else None, votes=votes, answers=len(values))
