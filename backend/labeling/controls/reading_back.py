"""From Label Studio's regions back to a control's value: what every control needs for that.

The regions come from people, scripts and other tools: nothing about them is taken for granted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from backend.core.values import JSON

MAX_REGIONS = 1_000  # of one control in one annotation: more cannot be compared in a sensible time
UNKNOWN_LABEL = "holds a label that is not in the labeling config"

Region = Mapping[str, JSON]  # of Label Studio, whose "value" is a mapping


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A control's reading of one answer. `value` None with no `problem`: rightly empty."""

    value: JSON | None
    step: str | None = None
    problem: str | None = None
    rejected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    usable: float = 1.0  # share of the answer's items that could be used


def own_regions(result: JSON, name: str) -> list[Region] | Decoded:
    """The regions of a control in an annotation's result; what is wrong with them where they cannot be read."""
    if not isinstance(result, list | tuple):
        return Decoded(value=None, problem="is no list of regions")
    own = [r for r in result if isinstance(r, Mapping) and r.get("from_name") == name]
    if len(own) > MAX_REGIONS:
        return Decoded(value=None, problem=f"has more than {MAX_REGIONS:,} regions")
    if not all(isinstance(region.get("value"), Mapping) for region in own):
        return Decoded(value=None, problem="has a region without a value")
    return own


def listed_in(regions: Iterable[Region], key: str) -> list[JSON]:
    """What these regions list under a key of their values, one after the other."""
    given = [region["value"].get(key) for region in regions]
    return [item for one in given for item in (one if isinstance(one, list) else [one]) if item is not None]


def sole_in(regions: Iterable[Region], key: str) -> JSON | Decoded:
    """The one text or number that these regions hold under a key of their values; None where there is none."""
    given = [item for item in (region["value"].get(key) for region in regions) if item is not None]
    if not all(isinstance(item, str | int | float) for item in given):
        return Decoded(value=None, problem="is neither text nor a number")
    if len(set(given)) > 1:
        return Decoded(value=None, problem="is answered more than once")
    return given[0] if given else None


def overlap_of_sets(one: Collection[JSON], other: Collection[JSON]) -> float:
    """Jaccard: what both hold, of what at least one holds."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0
