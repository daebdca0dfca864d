"""A version's answer beside what a person said of the task: the rows that reports and scores are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.core.verifications import ControlVerification, VerificationOutcome


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One annotation and one version's answer to the same task and data."""

    task_id: int
    annotation_id: int
    annotator_id: int | None
    outcome: VerificationOutcome
    version: str
    drawn: float | None  # the probability with which the blind audit drew the task; None: it did not draw it
    even: bool  # whether it is one of those that were drawn with the same chance each
    shown: bool  # whether the annotator saw a prediction, of whichever version
    score: float | None  # of the version's answer, as it was written
    controls: tuple[ControlVerification, ...]
    lead_time_s: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    heard: bool = True  # whether the annotation has a voice in what the task's label is

    @property
    def audit(self) -> bool:
        """Drawn at random, each with the same chance, and annotated unseen: only these tell what labels are worth."""
        return self.even and not self.shown

    @property
    def right(self) -> bool | None:
        """Whether all that can be compared agrees; None where nothing can."""
        told = [control.agrees for control in self.controls if control.agrees is not None]
        return all(told) if told else None
