"""Whether tasks that are said to be drawn at random can be: as far as their scores tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

_BY_CHANCE = 1e-4  # a true random draw is taken for none at most as rarely as this


def can_be_random(drawn: Sequence[float | None], others: Sequence[float | None]) -> bool:
    """False where far too many, or too few, of `drawn` have one of the lower scores of all.

    All tasks are parted by score as near to the middle as ties allow, no score being the lowest; how many of a random
    draw lie below has a hypergeometric distribution (Fisher's exact test, two-sided). It finds tasks that were taken
    lowest-first, or where people began with the easy ones, and no pattern that leaves the halves alone.
    """
    scores = sorted(-1.0 if score is None else score for score in (*drawn, *others))
    ends, place = [], 0
    for _, tied in groupby(scores):
        place += sum(1 for _ in tied)
        ends.append(place)
    low = min(ends, key=lambda end: abs(2 * end - len(scores)), default=0)  # so many tasks are below
    if low == len(scores):  # one score for all, or no task
        return True
    below = sum((-1.0 if score is None else score) < scores[low] for score in drawn)
    either = (range(below + 1), range(below, len(drawn) + 1))
    return 2 * min(_probability(counts, len(scores), low, len(drawn)) for counts in either) >= _BY_CHANCE


def _probability(counts: range, tasks: int, low: int, drawn: int) -> float:
    """The probability of one of `counts` of the `low` tasks among `drawn` of all `tasks`."""
    possible = range(max(counts.start, drawn - (tasks - low)), min(counts.stop, low + 1, drawn + 1))
    every = _log_choose(tasks, drawn)
    return math.fsum(math.exp(_log_choose(low, k) + _log_choose(tasks - low, drawn - k) - every) for k in possible)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
