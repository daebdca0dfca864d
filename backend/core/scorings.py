"""What was found when a version's scores were fitted on what people verified, and which score is used since."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backend.core.values import JSON

_REVISED = re.compile(r"(.+@[0-9a-f]{8})\.r[1-9][0-9]*")


def shown_version(version: str, number: int) -> str:
    """A version as Label Studio is told it, whose scores are those of a fit; 0: the model's own.

    Label Studio tells predictions apart by nothing else, so that new scores need a name of their own. What is asked
    of the model, stored and counted goes by `version`.
    """
    return f"{version}.r{number}" if number else version


def content_version(shown: str) -> str:
    """The version of which a shown one is; any other string as it is."""
    revised = _REVISED.fullmatch(shown)
    return revised[1] if revised else shown


class ScoringState(StrEnum):
    """Where one fit stands."""

    BEGUN = "begun"  # it has not ended; one that never does was killed, and counts as if it had found nothing
    TOLD = "told"  # nothing was found that is worth writing the predictions anew
    ADOPTED = "adopted"  # its predictions are being written beside those that are shown
    SHOWN = "shown"  # its predictions are the current ones
    REPLACED = "replaced"  # by a later one


@dataclass(frozen=True, kw_only=True)
class ControlScoring:
    """One control's part of a fit."""

    control: str
    kind: str  # of the score that is used from now on: "raw", "platt" or "fused"
    before: str  # of the one that was in use
    parameters: Mapping[str, JSON]  # of that score: `confidence.adoption.score_from_json` reads them
    figures: Mapping[str, Mapping[str, float | None]]  # kind -> "log_loss", "ece", "auroc" on the audit; empty: none
    why: str  # one sentence
    verified: int  # tasks that could be fitted on
    audit: int  # of them of the blind audit
    batch: Mapping[str, JSON] | None = None  # what batch calibration would change on the audit; None: no telling


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One fit of a version's scores. `number` counts them from 1; 0 is the model's own confidence."""

    project_id: int
    version: str
    number: int
    state: ScoringState
    annotations: int  # of the project that had been read and counted by then
    change: int  # how often the project's verifications had been changed by then
    answers: int  # of the version to tasks that people had verified
    controls: tuple[ControlScoring, ...]
    created_at: datetime
    shown_at: datetime | None = None
    cleared: bool = False  # the predictions that it replaced have been deleted in Label Studio

    @property
    def fitted(self) -> bool:
        """Whether any of its scores was fitted on what people said."""
        return any(control.kind != "raw" for control in self.controls)


@dataclass(frozen=True, kw_only=True)
class ControlAnswer:
    """What is kept of one control's answer beside its regions."""

    confidence: float | None  # the model's own
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of the likeliest labels, as the model names them


@dataclass(frozen=True, kw_only=True)
class ScoredAnswer:
    """A version's answer to a task, as scores are fitted on it."""

    record_id: int
    task_id: int
    data: Mapping[str, JSON]
    data_hash: str
    result: Sequence[Mapping[str, JSON]]
    score: float | None  # in use now
    controls: Mapping[str, ControlAnswer]
