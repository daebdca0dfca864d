"""Whether tasks that are said to be drawn at random can be: as far as their scores tell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

from backend.confidence.metrics import auroc

_BY_CHANCE = 1e-4  # a true random draw is taken for none as rarely as this


def can_be_random(drawn: Sequence[float | None], others: Sequence[float | None]) -> bool:
    """False where the scores of `drawn` are too low or too high, on the whole, against those of `others`.

    The rank-sum test of Mann and Whitney (1947), two-sided, with ties; no score counts as the lowest. It finds tasks
    that were taken lowest-first, or where people began with the easy ones, and no pattern that leaves the ranks alone.
    """
    ranked = [(-1.0 if score is None else score, True) for score in drawn]
    ranked += [(-1.0 if score is None else score, False) for score in others]
    above = auroc(ranked)
    if above is None:
        return True
    n, pairs = len(ranked), len(drawn) * len(others)
    tied = sum(count**3 - count for count in Counter(score for score, _ in ranked).values())
    variance = (n + 1 - tied / (n * (n - 1))) / (12 * pairs)
    if variance <= 0:  # one score for all
        return True
    return 2 * NormalDist().cdf(-abs(above - 0.5) / math.sqrt(variance)) >= _BY_CHANCE
