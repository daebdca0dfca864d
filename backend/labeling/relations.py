"""`<Relations>`: which of the regions that were read belong together, and how."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import Control, Decoded, Option, clip, joined_steps
from backend.labeling.controls.number import as_number
from backend.labeling.controls.reading_back import UNKNOWN_LABEL, Region, overlap_of_sets
from backend.labeling.schema import strict_object
from backend.labeling.shown import Shown

MAX_REGIONS = 200  # with more the question is longer than what it is about
_MAX_QUOTE_CHARS = 200
_SIDES = ("x", "y", "width", "height")
_PLACE = ("start", "end", "startOffset", "endOffset", *_SIDES, "item_index")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A region as it is named to the model."""

    id: str
    described: str  # one line


@dataclass(frozen=True, kw_only=True)
class Related:
    """Two marked regions, by their numbers from 1; `labels` is empty where the tag lists none."""

    start: int
    end: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tie:
    """A relation as it is read back: between what two regions mark, whatever their ids are."""

    start: str
    end: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Relations(Control):
    """Asked by itself, after the regions of a task are known. A value is a tuple of `Related` over `marks`.

    All relations go from the first region to the second. The editor keeps one of a pair; where `choice` is not
    "single", that one may have several labels. Read back, a value is a tuple of `Tie`s.

    Agreement is the Jaccard index over the relations, each with its direction and labels; confirmed are exactly the
    same.
    """

    tag: ClassVar[str] = "Relations"
    object_tags: ClassVar[frozenset[str]] = frozenset()

    multiple: bool = True
    marks: tuple[Mark, ...] = ()

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        names = dict.fromkeys(c.get("value", "") for c in element if c.tag == "Relation" and c.get("value"))
        return cls(
            name="relations",
            to_name=(),
            options=tuple(Option(value=name, name=name) for name in names),
            multiple=element.get("choice", "multiple").strip().lower() != "single",
        )

    def over(self, marks: Sequence[Mark]) -> Self:
        return replace(self, marks=tuple(marks))

    def schema(self) -> dict[str, JSON]:
        number: dict[str, JSON] = {"type": "integer", "enum": list(range(1, len(self.marks) + 1))}
        properties: dict[str, JSON] = {"from": number, "to": dict(number)}
        if self.options:
            properties["relation"] = {"type": "string", "enum": [o.name for o in self.options]}
        return {"type": "array", "items": strict_object(properties)}

    def ask(self) -> str:
        return (
            "a list of every relation between two of them that the data states, "
            "with the numbers of the region that it goes from and of the one that it goes to; "
            "an empty list if there is none" + ("; each is one of these" if self.options else "")
        )

    def shape(self) -> str:
        relation = ', "relation": "<relation>"' if self.options else ""
        return f'[{{"from": <number>, "to": <number>{relation}}}, ...]'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        if len(self.marks) < 2:
            return []
        return [{"from": 1, "to": 2, **({"relation": self.options[0].name} if self.options else {})}]

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if not isinstance(raw, list):
            return Decoded(value=None, problem="is not a list of relations", rejected=(clip(raw),))
        found: dict[tuple[int, int], dict[str, None]] = {}
        steps: list[str] = []
        rejected: list[str] = []
        for item in raw:
            pair = self._pair(item)
            named = item.get("relation") if isinstance(item, dict) else None
            match = self.match(named) if isinstance(named, str) and self.options else None
            if pair is None or (self.options and match is None):
                rejected.append(clip(named if pair and isinstance(named, str) else item))
                continue
            labels = found.setdefault(pair, {})
            if match is not None:
                labels[match.value] = None
                steps.append(match.step)
        unclear = [] if self.multiple else [pair for pair, labels in found.items() if len(labels) > 1]
        value = tuple(
            Related(start=start, end=end, labels=tuple(labels))
            for (start, end), labels in found.items()
            if (start, end) not in unclear
        )
        counts = {
            "relation(s) that cannot be read": len(rejected),
            "pair(s) with more than one relation, where one is asked": len(unclear),
        }
        notes = tuple(f"{count} {what}" for what, count in counts.items() if count)
        problem = "holds no usable relation" if raw and not value else None
        step = None if problem else joined_steps(steps) or "exact"
        return Decoded(value=value or None, step=step, problem=problem, rejected=tuple(rejected), notes=notes)

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [
            {
                "type": "relation",
                "from_id": self.marks[related.start - 1].id,
                "to_id": self.marks[related.end - 1].id,
                "direction": "right",
                **({"labels": list(related.labels)} if related.labels else {}),
            }
            for related in value
        ]

    def value_of(self, result: JSON) -> Decoded:
        if not isinstance(result, list | tuple):
            return Decoded(value=None, problem="is no list of regions")
        return self.read_back([region for region in result if isinstance(region, Mapping)])

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        places = {r["id"]: _place(r) for r in regions if isinstance(r.get("id"), str) and "from_name" in r}
        ties: dict[Tie, None] = {}
        for region in (r for r in regions if r.get("type") == "relation"):
            ends = [region.get(key) for key in ("from_id", "to_id")]
            labels = region.get("labels") or []
            if not all(isinstance(end, str) and end in places for end in ends):
                return Decoded(value=None, problem="has a relation between regions that are not there")
            if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
                return Decoded(value=None, problem=UNKNOWN_LABEL)
            start, end = (places[end] for end in ends)
            direction = region.get("direction")
            if direction != "left":
                ties[Tie(start=start, end=end, labels=tuple(sorted(set(labels))))] = None
            if direction in ("left", "bi"):
                ties[Tie(start=end, end=start, labels=tuple(sorted(set(labels))))] = None
        return Decoded(value=tuple(ties) or None)

    def likeness(self, one: JSON, other: JSON) -> float:
        return overlap_of_sets(one, other)

    def same(self, one: JSON, other: JSON) -> bool:
        return set(one) == set(other)

    def as_json(self, value: JSON | None) -> JSON | None:
        return None if value is None else [{"from": t.start, "to": t.end, "labels": list(t.labels)} for t in value]

    def _pair(self, item: JSON) -> tuple[int, int] | None:
        """The numbers of two different marks; None for anything else."""
        if not isinstance(item, dict):
            return None
        numbers = [as_number(item.get(key)) for key in ("from", "to")]
        start, end = (int(n) if n is not None and n in range(1, len(self.marks) + 1) else 0 for n in numbers)
        return (start, end) if start and end and start != end else None


def _place(region: Region) -> str:
    """What a region marks, as one line that is the same for the same place."""
    value = region.get("value")
    told = {**value, "item_index": region.get("item_index")} if isinstance(value, Mapping) else {}
    parts = [f"{key} {told[key]}" for key in _PLACE if isinstance(told.get(key), str | int | float)]
    name = region.get("from_name")
    return ", ".join([name if isinstance(name, str) else "", *parts])


def marks_of(
    result: Sequence[Mapping[str, JSON]], controls: Iterable[Control], shown: Mapping[str, Shown]
) -> tuple[Mark, ...]:
    """The regions of a result that stand somewhere, each id once, in their order; `controls` are all that made it."""
    names = {(c.name, o.value): o.name for c in controls for o in c.options}
    by_id: dict[str, list[Mapping[str, JSON]]] = {}
    for region in result:
        if "start" in region["value"] or "x" in region["value"]:
            by_id.setdefault(region["id"], []).append(region)
    return tuple(Mark(id=key, described=_described(regions, names, shown)) for key, regions in by_id.items())


def _described(
    regions: Sequence[Mapping[str, JSON]], names: Mapping[tuple[str, str], str], shown: Mapping[str, Shown]
) -> str:
    first = regions[0]
    value = first["value"]
    labels = [
        names[region["from_name"], label]
        for region in regions
        for key, given in region["value"].items()
        if key.endswith("labels")
        for label in given
    ]
    named = f'"{first["from_name"]}"' + (f" {', '.join(labels)}" if labels else "")
    if "start" in value:
        return f"{named}: {json.dumps(value['text'][:_MAX_QUOTE_CHARS], ensure_ascii=False)}"
    numbers = [i.number for i in shown[first["to_name"]].images if i.item == first.get("item_index")]
    where = f" of image {numbers[0]}" if numbers else ""
    return f"{named}: the box " + ", ".join(f"{side} {value[side]:g}" for side in _SIDES) + where
