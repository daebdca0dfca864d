"""`<Rating>`: one to `maxRating` stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import READABLE, Control, Decoded, Option, Refused, clip, common
from backend.labeling.controls.number import as_number
from backend.labeling.controls.reading_back import Region, sole_in
from backend.labeling.shown import Shown

DEFAULT_MAX_RATING = 5  # Label Studio's own default
MOST_LISTED = 20  # stars whose probabilities can all stand in the list of alternatives of one token


@dataclass(frozen=True, kw_only=True)
class Rating(Control):
    """A value is a whole number from 1 to `max_rating`.

    Agreement falls evenly with the distance, to 0 between the lowest and the highest; confirmed is the same number.
    """

    tag: ClassVar[str] = "Rating"
    object_tags: ClassVar[frozenset[str]] = READABLE

    max_rating: int = DEFAULT_MAX_RATING

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        given = element.get("maxRating", str(DEFAULT_MAX_RATING))
        number = as_number(given)
        if number is None or number != int(number) or not 1 <= number <= 1000:
            raise Refused(f"has maxRating={given!r}, which is not a whole number from 1 to 1000")
        return cls(
            **common(element, question),
            max_rating=int(number),
        )

    @property
    def closed_options(self) -> tuple[Option, ...]:
        if self.max_rating > MOST_LISTED:
            return ()
        return tuple(Option(value=str(n), name=str(n)) for n in range(1, self.max_rating + 1))

    def schema(self) -> dict[str, JSON]:
        return {"type": "integer", "enum": list(range(1, self.max_rating + 1))}

    def ask(self) -> str:
        return f"a whole number from 1 (lowest) to {self.max_rating} (highest)"

    def shape(self) -> str:
        return "<whole number>"

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        return 1

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if raw is None:
            return Decoded(value=None, problem="is empty")
        number = as_number(raw)
        if number is None or number != int(number):
            return Decoded(value=None, problem="is not a whole number", rejected=(clip(raw),))
        if not 1 <= number <= self.max_rating:
            return Decoded(value=None, problem=f"is not from 1 to {self.max_rating}", rejected=(clip(raw),))
        return Decoded(value=int(number), step="exact" if isinstance(raw, int) else "normalised")

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"rating": value})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = sole_in(regions, "rating")
        return given if isinstance(given, Decoded) else Decoded(value=None) if given is None else self.decode(given, {})

    def likeness(self, one: JSON, other: JSON) -> float:
        return 1.0 - abs(one - other) / (self.max_rating - 1) if one != other else 1.0
