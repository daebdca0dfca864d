"""Quantiles of very many durations in little memory: counted in bins that grow by a tenth. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

_GROWTH = 1.1
_LEAST = 0.001


@dataclass
class Durations:
    """Seconds, each counted in its bin; a quantile is the middle of a bin, so that it is off by at most 5 %."""

    bins: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        if math.isfinite(seconds) and seconds > 0:
            self.bins[math.floor(math.log(max(seconds, _LEAST) / _LEAST, _GROWTH))] += 1

    def quantile(self, share: float) -> float | None:
        """The duration that `share` of them do not exceed; None where there are none."""
        needed, seen = share * self.bins.total(), 0
        for index in sorted(self.bins):
            seen += self.bins[index]
            if seen >= needed:
                return float(f"{_LEAST * _GROWTH ** (index + 0.5):.3g}")
        return None
