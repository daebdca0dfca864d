"""The counters in memory."""

from __future__ import annotations

from collections import defaultdict

from backend.core.errors import QueueError
from backend.ports.meters import SUM, Counter, Histogram, Totals, bucket_of


class MemoryMeters:
    """`backend.ports.meters.Meters` of one process, which shares with itself."""

    def __init__(self) -> None:
        self.counted: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.reachable = True

    def add(self, counter: Counter, *labels: str, by: float = 1.0) -> None:
        assert len(labels) == len(counter.labels)
        self.counted[counter.name, *labels] += by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        assert len(labels) == len(histogram.labels)
        self.counted[histogram.name, *labels, bucket_of(histogram, seconds)] += 1
        self.counted[histogram.name, *labels, SUM] += seconds

    def here(self) -> Totals:
        return dict(self.counted)

    def flush(self) -> None:
        """Nobody else to share with."""

    def totals(self) -> Totals:
        if not self.reachable:
            raise QueueError("Redis cannot be used: check REDIS_URL and that the server is running.")
        return self.here()
