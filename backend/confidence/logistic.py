"""Logistic regression on few rows, as the fitted scores share it.

Fitting needs numpy; a fitted score is a handful of numbers that are applied without it. scikit-learn has the same
regression, but takes a second and 120 MB to import and no targets between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_EDGE = 1e-3
_STEPS = 100  # a dozen do
_PRECISION = 1e-9  # of coefficients


@dataclass(frozen=True, kw_only=True)
class Line:
    """probability = sigmoid(intercept + sum of slope x feature)."""

    intercept: float
    slopes: tuple[float, ...]


def logit(probability: float) -> float:
    """Log-odds of a number in [0, 1], drawn a thousandth towards the middle first.

    So 0 and 1 are finite (-6.9 and 6.9), what differs stays different, and order is kept. A model that says 1 is not
    taken to be surer than 999 in 1,000.
    """
    inner = _EDGE + (1 - 2 * _EDGE) * probability
    return math.log(inner / (1 - inner))


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))


def effective(weights: Sequence[float]) -> list[float]:
    """The weights, scaled to sum up to what they are worth in equally weighted rows: (sum w)^2 / sum w^2 (Kish)."""
    largest = max(weights, default=0.0)
    if largest == 0:
        return [0.0] * len(weights)
    parts = [weight / largest for weight in weights]  # so that no square overflows
    scale = math.fsum(parts) / math.fsum(part * part for part in parts)
    return [part * scale for part in parts]


def fitted(
    rows: Sequence[Sequence[float]], right: Sequence[bool], weights: Sequence[float], *, ridge: float
) -> Line | None:
    """The line with the highest likelihood, less ridge / 2 x the sum of squared slopes.

    The targets are those of Platt (1999): not 1 and 0, but (right + 1) / (right + 2) and 1 / (wrong + 2), with the
    numbers of rows right and wrong as their weights count them. So a line exists where all are right.
    None without a row of any weight. Raises ValueError where a feature is not finite.
    """
    import numpy as np

    counted = np.array(effective(weights))
    features, is_right = np.array(rows, dtype=float), np.array(right, dtype=bool)
    if not counted.sum():
        return None
    if not np.isfinite(features).all():
        raise ValueError("a feature is not a finite number")
    of_right, of_wrong = counted[is_right].sum(), counted[~is_right].sum()
    target = np.where(is_right, (of_right + 1) / (of_right + 2), 1 / (of_wrong + 2))
    table = np.column_stack([np.ones(len(features)), features])
    penalty = np.array([0.0] + [ridge] * features.shape[1])
    intercept, *slopes = _minimised(table, target, counted, penalty).tolist()
    return Line(intercept=intercept, slopes=tuple(slopes))


def _minimised(table: Any, target: Any, counted: Any, penalty: Any) -> Any:
    """The coefficients of the least loss, by Newton's method with halved steps: the loss is convex and has one."""
    import numpy as np

    def loss(at: Any) -> float:
        log_odds = table @ at
        return float(counted @ (np.logaddexp(0.0, log_odds) - target * log_odds) + penalty @ at**2 / 2)

    found = np.zeros(table.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-table @ found))
        slope = table.T @ (counted * (p - target)) + penalty * found
        bend = (table.T * (counted * p * (1 - p))) @ table + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        while loss(found - step) > loss(found) and np.abs(step).max() > _PRECISION:
            step = step / 2
        found = found - step
        if np.abs(step).max() <= _PRECISION:
            break
    return found
