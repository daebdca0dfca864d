"""What people did with predictions: one value for each submitted annotation. Frozen, as all values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backend.core.values import JSON


class VerificationOutcome(StrEnum):
    """What an annotation says of the prediction that it was compared with."""

    CONFIRMED = "confirmed"  # a prediction was shown, and every control that can be compared agrees with it
    CORRECTED = "corrected"  # a prediction was shown, and a control does not agree with it; or none can be compared
    SKIPPED = "skipped"  # the annotator skipped the task
    BLIND = "blind"  # no prediction was visible to the annotator; what was kept of one is compared nevertheless
    ACCEPTED = "accepted"  # made from the prediction by Label Studio's own action: nobody looked at it


@dataclass(frozen=True, kw_only=True)
class ControlVerification:
    """One control of an annotation beside the same control of the prediction.

    Both values are JSON, in the terms of the control (`Control.as_json`); None: left empty, or not readable.
    """

    control: str
    predicted: JSON | None
    final: JSON | None
    agreement: float | None  # in [0, 1], as the control defines it; None: there is nothing that could be compared
    agrees: bool | None  # whether this counts as confirmed, as the control defines it; None likewise
    problem: str | None = None  # why the annotation's own answer cannot be read: one phrase


@dataclass(frozen=True, kw_only=True)
class Verification:
    """One annotation of Label Studio, compared with the prediction that it started from."""

    project_id: int
    task_id: int
    annotation_id: int
    annotator_id: int | None  # Label Studio's user; None: the account is gone, or the annotation was imported
    outcome: VerificationOutcome
    version: str | None  # of the prediction that it is compared with; None: there was none. "": it named none
    controls: tuple[ControlVerification, ...]  # all, in the labeling config's order; none of a skipped task
    shown: bool  # whether a prediction was visible to the annotator
    lead_time_s: float | None
    created_at: datetime
    updated_at: datetime  # as Label Studio says it: an older state never replaces a newer one
    ground_truth: bool
    data_hash: str  # of the data that the labeling config shows, when the annotation was made or last changed
    config_fingerprint: str  # of the labeling config under which it was compared
    regions: tuple[Mapping[str, JSON], ...]  # what the annotator submitted
    predicted: tuple[Mapping[str, JSON], ...]  # what it was compared with; empty without a version
    slices: Mapping[str, str] = field(default_factory=dict)  # data column -> its value
    stale: bool = False  # the task's data is no longer what was annotated: kept, and used for nothing
    problem: str | None = None  # why it does not fit the labeling config: one phrase
    deleted_at: datetime | None = None  # when it was seen to be gone; set, it is left out of everything

    @property
    def is_label(self) -> bool:
        """Whether a person's answer can be read from it and still fits: what examples and scores may learn from."""
        looked_at = self.outcome not in (VerificationOutcome.SKIPPED, VerificationOutcome.ACCEPTED)
        return looked_at and not self.stale and self.problem is None and self.deleted_at is None
