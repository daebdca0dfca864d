"""Figures beside the limits they are held against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


class BenchError(Exception):
    """The benchmark could not measure what it is for; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. Without a limit it is there to be read."""

    name: str
    value: float
    unit: str
    limit: float | None = None  # the value must be below it

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value < self.limit

    @property
    def text(self) -> str:
        return f"{self.value:.3g} {self.unit}"


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
        rows = [
            f"| {f.name} | {f.text} | {'' if f.limit is None else f'< {f.limit:g} {f.unit}'} |" for f in self.figures
        ]
        return "\n".join(["| measured | value | limit |", "|---|---|---|", *rows])

    def verdict(self) -> str:
        short = [f"{f.name} {f.text}, limit {f.limit:g} {f.unit}" for f in self.figures if not f.holds]
        return "ok" if not short else f"falls short: {'; '.join(short)}"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that at least `share` (0 to 1) of `values` do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
