"""Logistic regression on few rows, as the fitted scores share it.

scikit-learn takes about a second and 120 MB to import, so that only fitting imports it; a fitted score is a handful of
numbers that are applied without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_EDGE = 1e-3


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
    from sklearn.linear_model import LogisticRegression

    counted = np.array(effective(weights))
    features, is_right = np.array(rows, dtype=float), np.array(right, dtype=bool)
    if not counted.sum():
        return None
    if not np.isfinite(features).all():
        raise ValueError("a feature is not a finite number")
    of_right, of_wrong = counted[is_right].sum(), counted[~is_right].sum()
    target = np.where(is_right, (of_right + 1) / (of_right + 2), 1 / (of_wrong + 2))
    model = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-8, max_iter=200)
    # A row with the target t is t of a row that is right and 1 - t of one that is wrong.
    twice = np.concatenate([counted * target, counted * (1 - target)])
    model.fit(np.vstack([features, features]), np.repeat([1, 0], len(features)), sample_weight=twice)
    return Line(intercept=float(model.intercept_[0]), slopes=tuple(float(slope) for slope in model.coef_[0]))
