"""What a run would take, as numbers; made in `estimating.py`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from backend.ports.governor import GovernorLevel
from backend.ports.model import Capabilities
from backend.ports.store import JobLimits
from backend.services.budgeted_model import Price

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a run may come to."""

    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost_usd: float | None  # None: the price is not known

    def as_json(self) -> dict[str, Any]:
        return {
            "calls": round(self.calls),
            "prompt_tokens": round(self.prompt_tokens),
            "completion_tokens": round(self.completion_tokens),
            "tokens": round(self.prompt_tokens + self.completion_tokens),
            "cost_usd": self.cost_usd,
        }


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Numbers of a whole run; ranges as (low, high): what it comes to lies between them, but for what is rare."""

    tasks: int  # selected
    rendered: int  # of them, to find out the rest; fewer than `tasks`: by chance, and the numbers are extrapolated
    to_ask: int
    kept: int  # are answered already and keep that
    skipped: Counter[str]  # would not be asked: error class -> n
    cached: int  # first replies that are in the cache
    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    likely: Spent
    at_most: Spent  # every reply asked again, every answer as long as it may be
    calibrated: bool  # by what the version really used before
    cost_usd: Range | None  # None: the price is not known
    seconds: Range | None  # None: nothing is known that bounds it
    bound_by: str | None
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "tasks": self.tasks,
            "rendered": self.rendered,
            "to_ask": self.to_ask,
            "kept": self.kept,
            "skipped": sum(self.skipped.values()),
            "skipped_because": dict(self.skipped),
            "cached": self.cached,
            "calls": _whole(self.calls),
            "prompt_tokens": _whole(self.prompt_tokens),
            "completion_tokens": _whole(self.completion_tokens),
            "likely": self.likely.as_json(),
            "at_most": self.at_most.as_json(),
            "tokens_are": "estimated, set right by earlier calls" if self.calibrated else "estimated",
            "cost_usd": None if self.cost_usd is None else list(self.cost_usd),
            "seconds": None if self.seconds is None else _whole(self.seconds),
            "bound_by": self.bound_by,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a run would meet, as far as that is known without asking the model."""

    endpoint: str
    price: Price
    level: GovernorLevel | None  # None: Redis could not be asked
    capabilities: Capabilities | None  # None: the endpoint was not asked yet
    limits: JobLimits
    concurrency: int  # of one worker
    workers: int  # on the bulk queue; 0: none runs


def _whole(two: Range) -> list[int]:
    return [round(two[0]), round(two[1])]
