"""Weights for tasks that were not verified at random: what each one stands for.

People verify the lowest scores first, so that a score fitted on what they verified as it is may take the model for far
worse than it is (by 13 points after 200 of a real set: docs/benchmarks.md). Each verified task therefore counts as all
tasks of like score do: inversely to the share of them that was verified, which is the estimated probability of being
drawn. High scores are there because the audit draws at random. It mends an order that goes by the score, or by
nothing; not one that follows something else, such as people who pick what looks easy: scores are judged on the audit
alone for that reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

STRATA = 10  # of equal size, at most
MOST = 10.0  # tasks that a verified one stands for: a few very heavy ones would be all that a fit sees
LEAST_VERIFIED = 5  # in each


def draw_weights(scores: Sequence[float | None], verified: Sequence[bool]) -> list[float]:
    """For each of all tasks of a version: 0 where it is not verified, else how many tasks it stands for.

    `scores` are those in use now. Tasks of one score are never parted; those without a score are a stratum of their
    own. Strata are widened until each has some verified tasks.
    """
    if len(scores) != len(verified):
        raise ValueError("every task has one score and is verified or not")
    weights = [0.0] * len(scores)
    unscored = [task for task, score in enumerate(scores) if score is None]
    for stratum in [unscored, *_strata(scores, verified)]:
        chosen = [task for task in stratum if verified[task]]
        for task in chosen:
            weights[task] = min(MOST, len(stratum) / len(chosen))
    return weights


def _strata(scores: Sequence[float | None], verified: Sequence[bool]) -> list[list[int]]:
    """The scored tasks, lowest first, in parts that are large enough; what is left over goes with the last."""
    known = sorted((score, task) for task, score in enumerate(scores) if score is not None)
    least = len(known) / STRATA
    strata: list[list[int]] = []
    open_: list[int] = []
    for _, same in groupby(known, key=lambda pair: pair[0]):
        open_ += [task for _, task in same]
        if len(open_) >= least and sum(verified[task] for task in open_) >= LEAST_VERIFIED:
            strata.append(open_)
            open_ = []
    if open_ and strata:
        strata[-1] += open_
    elif open_:
        strata.append(open_)
    return strata
