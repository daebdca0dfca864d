"""How far a share or a mean that was seen in a sample may be from the true one.

Clopper-Pearson intervals keep what they promise for every true share and every sample size, at the price of being a
little wide: guarantees are given with them. Wilson's is closer to the promise on average and may fall short of it; it
is for figures that are shown and not promised. Bootstrap intervals (percentiles) are for means of anything else.

`confidence` is the share of samples in which the interval holds the truth, between 0 and 1. Chance comes from `seed`:
the same input gives the same interval.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

ROUNDS = 2000  # of a bootstrap
_LARGEST_SAMPLE = 100_000
_AT_ONCE = 2_000_000  # numbers that are drawn at a time: 16 MB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A new way measured against an old one, on the same `n` tasks."""

    n: int
    old: float  # the means
    new: float
    gain: float  # new - old
    interval: Interval  # of the gain

    @property
    def wins(self) -> bool:
        """Whether the new one is better beyond chance: the whole interval lies above 0."""
        return self.interval.low > 0


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The two-sided interval of a share; [0, 1] where nothing was seen (`n` = 0)."""
    one_sided = 1 - (1 - checked_share(confidence)) / 2
    return Interval(low=lower_bound(successes, n, one_sided), high=upper_bound(successes, n, one_sided))


def upper_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """What the true share is at most, one-sided (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    _checked_counts(successes, n)
    checked_share(confidence)
    return 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, confidence))


def lower_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """What the true share is at least, one-sided."""
    return 1.0 - upper_bound(n - successes, n, confidence)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927); [0, 1] where nothing was seen (`n` = 0)."""
    _checked_counts(successes, n)
    z = NormalDist().inv_cdf(1 - (1 - checked_share(confidence)) / 2)
    if n == 0:
        return Interval(low=0.0, high=1.0)
    share, per = successes / n, z * z / n
    middle = (share + per / 2) / (1 + per)
    reach = z / (1 + per) * math.sqrt(share * (1 - share) / n + per / (4 * n))
    return Interval(low=max(0.0, middle - reach), high=min(1.0, middle + reach))


def at_most(successes: int, n: int, rate: float) -> float:
    """The probability of no more than `successes` in `n` independent tries that succeed at `rate` each."""
    from scipy.special import bdtr

    return 0.0 if successes < 0 else float(bdtr(min(successes, n), n, rate))


def sample_size(errors: int, max_rate: float, confidence: float = 0.95) -> int:
    """The smallest sample in which `errors` errors show a rate of at most `max_rate`: 59 for 0, 5 % and 95 %."""
    checked_share(max_rate)
    least, enough = errors, errors + 1
    while upper_bound(errors, enough, confidence) > max_rate:
        least, enough = enough, 2 * enough
    while enough - least > 1:
        middle = (least + enough) // 2
        least, enough = (least, middle) if upper_bound(errors, middle, confidence) <= max_rate else (middle, enough)
    return enough


def sample_size_at(errors: int, of: int, max_rate: float, confidence: float = 0.95) -> int | None:
    """The smallest sample that shows a rate of at most `max_rate` if it has errors as often as `errors` of `of`.

    None where that many errors show it with no sample of a practical size, and where none was seen (`of` = 0).
    """
    size = partial(sample_size, max_rate=checked_share(max_rate), confidence=confidence)
    most = int(_LARGEST_SAMPLE * max_rate)
    found = bisect_left(range(most), True, key=lambda may_be_wrong: size(may_be_wrong) * errors <= may_be_wrong * of)
    return size(found) if of and found < most else None


def bootstrap_mean(
    values: Sequence[float], *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> Interval | None:
    """The interval of the mean of `values` (numbers, or True and False); None of none."""
    tail = (1 - checked_share(confidence)) / 2
    numbers = _finite(values)
    if not len(numbers):
        return None
    import numpy as np

    chance = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // len(numbers))
    parts = [min(step, rounds - begun) for begun in range(0, rounds, step)]
    means = [numbers[chance.integers(len(numbers), size=(part, len(numbers)))].mean(axis=1) for part in parts]
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def compare_paired(
    old: Sequence[float], new: Sequence[float], *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> Comparison | None:
    """Two ways, measured on the same tasks in the same order (1 and 0 for right and wrong, or any numbers).

    Tasks are drawn, each with both its values, so that what makes a task hard for both does not blur the difference.
    Of fewer than some 30 tasks such an interval is too narrow: win or lose only with more. None of no tasks.
    """
    if len(old) != len(new):
        raise ValueError("both ways must be measured on the same tasks")
    before, after = _finite(old), _finite(new)
    interval = bootstrap_mean(after - before, seed=seed, confidence=confidence, rounds=rounds)
    if interval is None:
        return None
    means = float(before.mean()), float(after.mean())
    return Comparison(n=len(old), old=means[0], new=means[1], gain=means[1] - means[0], interval=interval)


def checked_share(share: float) -> float:
    """`share`, which must lie strictly between 0 and 1. Raises `ValueError`."""
    if not 0 < share < 1:  # also refuses NaN
        raise ValueError(f"a confidence or a rate lies between 0 and 1, not at {share}")
    return share


def _checked_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")


def _finite(values: Sequence[float]) -> Any:
    import numpy as np

    numbers = np.asarray(values, dtype=float)
    if not np.isfinite(numbers).all():
        raise ValueError("every value must be a finite number")
    return numbers
