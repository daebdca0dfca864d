"""How good a confidence is, given which answers were right.

Everything is computed from pairs (confidence in [0, 1], whether the answer was right), in any order: sums are exact and
ties are taken by their expected value, so that shuffling the pairs changes no digit. What cannot be said of the
pairs at hand is None, never a neutral-looking number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum

BINS = 10
LOWEST_SHARE = 0.2  # of the answers, least confident first, that a person is taken to look at

Judged = tuple[float, bool]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One row of a reliability table: the answers with a confidence in [low, high), the last bin with its end."""

    low: float
    high: float
    n: int
    mean_confidence: float | None  # None for an empty bin, as is the accuracy
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The figures of one method over one set of answers. Answers without a confidence count only in `n`."""

    n: int
    scored: int  # answers with a confidence; all that follows is over these
    accuracy: float | None
    mean_confidence: float | None
    ece: float | None
    brier: float | None
    auroc: float | None
    errors_caught: float | None  # share of the errors among the LOWEST_SHARE with the lowest confidence
    bins: tuple[Bin, ...]

    @property
    def coverage(self) -> float | None:
        """The share of the answers that have a confidence."""
        return self.scored / self.n if self.n else None


def quality(answers: Sequence[tuple[float | None, bool]]) -> Quality:
    """Every figure at once; answers whose confidence is None are counted and left out."""
    judged = [(confidence, right) for confidence, right in answers if confidence is not None]
    return Quality(
        n=len(answers),
        scored=len(judged),
        accuracy=accuracy(judged),
        mean_confidence=mean_confidence(judged),
        ece=expected_calibration_error(judged),
        brier=brier_score(judged),
        auroc=auroc(judged),
        errors_caught=errors_caught(judged),
        bins=reliability(judged),
    )


def random_order(right: Sequence[bool]) -> Quality:
    """What looking at answers in random order gives, as expected values: the floor for every method."""
    errors = len(right) - sum(right)
    return Quality(
        n=len(right),
        scored=len(right),
        accuracy=sum(right) / len(right) if right else None,
        mean_confidence=None,
        ece=None,
        brier=None,
        auroc=0.5 if 0 < errors < len(right) else None,
        errors_caught=LOWEST_SHARE if errors else None,
        bins=(),
    )


def accuracy(judged: Sequence[Judged]) -> float | None:
    """The share of answers that were right."""
    return sum(right for _, right in judged) / len(judged) if judged else None


def mean_confidence(judged: Sequence[Judged]) -> float | None:
    """The mean confidence; above the accuracy the method is overconfident."""
    return fsum(confidence for confidence, _ in judged) / len(judged) if judged else None


def reliability(judged: Sequence[Judged], bins: int = BINS) -> tuple[Bin, ...]:
    """`bins` bins of equal width over [0, 1], closed below, the last one closed on both sides (1.0 is in it)."""
    filled: list[list[Judged]] = [[] for _ in range(bins)]
    for confidence, right in judged:
        filled[min(int(confidence * bins), bins - 1)].append((confidence, right))
    return tuple(
        Bin(
            low=index / bins,
            high=(index + 1) / bins,
            n=len(inside),
            mean_confidence=mean_confidence(inside),
            accuracy=accuracy(inside),
        )
        for index, inside in enumerate(filled)
    )


def expected_calibration_error(judged: Sequence[Judged], bins: int = BINS) -> float | None:
    """The mean distance between confidence and accuracy over the bins, weighted by their size (Naeini et al. 2015)."""
    if not judged:
        return None
    gaps = (
        b.n * abs(b.mean_confidence - b.accuracy)
        for b in reliability(judged, bins)
        if b.mean_confidence is not None and b.accuracy is not None
    )
    return fsum(gaps) / len(judged)


def brier_score(judged: Sequence[Judged]) -> float | None:
    """The mean squared distance between the confidence and 1 (right) or 0 (wrong)."""
    return fsum((confidence - right) ** 2 for confidence, right in judged) / len(judged) if judged else None


def auroc(judged: Sequence[Judged]) -> float | None:
    """The probability that a right answer has a higher confidence than a wrong one, ties counting half.

    None where all are right or all are wrong: there is nothing to tell apart.
    """
    right = sum(ok for _, ok in judged)
    wrong = len(judged) - right
    if not right or not wrong:
        return None
    halves = wrong_below = 0  # whole numbers of half wins: exact
    for size, errors in _tied(judged):
        halves += (size - errors) * (2 * wrong_below + errors)
        wrong_below += errors
    return halves / (2 * right * wrong)


def errors_caught(judged: Sequence[Judged], share: float = LOWEST_SHARE) -> float | None:
    """The share of all errors that are found by looking at the `share` of the answers with the lowest confidence.

    Of answers with the same confidence, and of an answer that the share cuts, the expected value under a random order
    is taken: one confidence for all gives `share` itself. None where there is no error.
    """
    errors_in_all = sum(not right for _, right in judged)
    if not errors_in_all:
        return None
    left, caught = share * len(judged), 0.0
    for size, errors in _tied(judged):
        looked_at = min(float(size), left)
        caught += errors * looked_at / size
        left -= looked_at
    return caught / errors_in_all


def _tied(judged: Sequence[Judged]) -> Iterator[tuple[int, int]]:
    """Size and number of errors of each group of one confidence, lowest first."""
    for _, group in groupby(sorted(judged), key=lambda pair: pair[0]):
        rights = [right for _, right in group]
        yield len(rights), rights.count(False)
