"""`<Pairwise>`: which of two objects fits better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import READABLE, Control, Decoded, Option, Refused, clip, to_names
from backend.labeling.controls.reading_back import Region, sole_in
from backend.labeling.shown import Shown


@dataclass(frozen=True, kw_only=True)
class Pairwise(Control):
    """A value is "left" (the first name of `toName`) or "right". Agreement is 1 or 0."""

    tag: ClassVar[str] = "Pairwise"
    object_tags: ClassVar[frozenset[str]] = READABLE

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        to_name = to_names(element)
        if len(to_name) != 2:
            raise Refused("must point to two objects")
        return cls(
            name=element.get("name", ""),
            to_name=to_name,
            question=question,
            options=(
                Option(value="left", name="left", description=f'"{to_name[0]}" is the better one'),
                Option(value="right", name="right", description=f'"{to_name[1]}" is the better one'),
            ),
        )

    @property
    def closed_options(self) -> tuple[Option, ...]:
        return self.options

    def schema(self) -> dict[str, JSON]:
        return {"type": "string", "enum": ["left", "right"]}

    def ask(self) -> str:
        return "exactly one of these"

    def shape(self) -> str:
        return '"left" or "right"'

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if raw is None:
            return Decoded(value=None, problem="is empty")
        match = self.match(raw) if isinstance(raw, str) else None
        if match is not None:
            return Decoded(value=match.value, step=match.step)
        return Decoded(value=None, problem="is not left or right", rejected=(clip(raw),))

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        # The editor itself writes to_name == from_name; the server's validator only accepts an object's name.
        return [self.region({"selected": value})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = sole_in(regions, "selected")
        if isinstance(given, Decoded):
            return given
        sides = [o.value for o in self.options]
        known = given is None or given in sides
        return Decoded(value=given) if known else Decoded(value=None, problem="is not left or right")

    def likeness(self, one: JSON, other: JSON) -> float:
        return float(one == other)
