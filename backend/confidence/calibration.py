"""Platt scaling: two numbers that turn a raw confidence into how often such answers turned out right.

Platt, "Probabilistic outputs for support vector machines" (1999), on the log-odds of the confidence. Of the methods
for few labels it needs the fewest: 50 verified tasks will do, where isotonic regression takes about 1,000. It keeps
the order of the tasks; only `backend.confidence.fused` changes that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.confidence.cases import Verified
from backend.confidence.logistic import fitted, logit, sigmoid
from backend.confidence.stored import number_at, object_of
from backend.core.values import JSON

_RIDGE = 1e-3  # next to nothing: it makes the slope 0, not undefined, where all raw confidences are the same


@dataclass(frozen=True, kw_only=True)
class Platt:
    """probability = sigmoid(intercept + slope x logit(raw))."""

    slope: float  # at least 0: 0 says that the raw confidence tells nothing
    intercept: float

    def apply(self, raw: float | None) -> float | None:
        """The probability of being right, in [0, 1]. None, unknown, stays None."""
        return None if raw is None else sigmoid(self.intercept + self.slope * logit(raw))

    def to_json(self) -> dict[str, JSON]:
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_json(cls, stored: JSON) -> Platt:
        """Raises ValueError for anything that `to_json` does not write."""
        found = object_of(stored, "platt", ("slope", "intercept"))
        return cls(slope=number_at(found, "slope", least=0.0), intercept=number_at(found, "intercept"))


def fit_platt(verified: Sequence[Verified]) -> Platt | None:
    """Fitted on the verified predictions that have a raw confidence; None without any of some weight.

    Where the fit would have the surer answers wrong more often, which few or odd labels can look like, the slope is 0:
    calibration never turns the order of review round.
    """
    rows = [(v.case.raw, v) for v in verified if v.case.raw is not None and v.weight > 0]
    if not rows:
        return None
    right, weights = [v.right for _, v in rows], [v.weight for _, v in rows]
    line = fitted([[logit(raw)] for raw, _ in rows], right, weights, ridge=_RIDGE)
    if line is not None and line.slopes[0] < 0:
        line = fitted([[0.0]] * len(rows), right, weights, ridge=_RIDGE)
    return None if line is None else Platt(slope=max(0.0, line.slopes[0]), intercept=line.intercept)
