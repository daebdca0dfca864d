"""Figures beside the limits they are held against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


class BenchError(Exception):
    """The benchmark could not measure what it is for; the message says why."""


class SkippedError(Exception):
    """The benchmark lacks something that is not on every machine; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. Without a limit it is there to be read."""

    name: str
    value: float
    unit: str
    limit: float | None = None  # the value must be below it
    at_least: float | None = None  # or not below this

    @property
    def holds(self) -> bool:
        return (self.limit is None or self.value < self.limit) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def text(self) -> str:
        return f"{self.value:.3g} {self.unit}".strip()

    @property
    def bound(self) -> str:
        """What it is held against."""
        if self.limit is not None:
            return f"< {self.limit:g} {self.unit}".strip()
        return "" if self.at_least is None else f">= {self.at_least:g} {self.unit}".strip()


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures in columns, without limits: there to be compared."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    holds: bool = True

    def table(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def verdict(self) -> str:
        return "ok"


@dataclass(frozen=True, kw_only=True)
class Report:
    figures: Sequence[Figure]

    @property
    def holds(self) -> bool:
        return all(figure.holds for figure in self.figures)

    def table(self) -> str:
        """Markdown, to be pasted where the figures are quoted."""
        rows = [f"| {f.name} | {f.text} | {f.bound} |" for f in self.figures]
        return "\n".join(["| measured | value | limit |", "|---|---|---|", *rows])

    def verdict(self) -> str:
        short = [f"{f.name} {f.text}, limit {f.bound.removeprefix('< ')}" for f in self.figures if not f.holds]
        return "ok" if not short else f"falls short: {'; '.join(short)}"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that at least `share` (0 to 1) of `values` do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
