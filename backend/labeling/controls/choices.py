"""`<Choices>`: one class of several, or any number of them; listed in the config or brought along by the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import (
    READABLE,
    Control,
    Decoded,
    Option,
    Refused,
    attribute_is_true,
    clip,
    common,
    joined_steps,
    options_of,
    preselected,
)
from backend.labeling.controls.dynamic import bound_options, variable_of
from backend.labeling.controls.reading_back import UNKNOWN_LABEL, Region, listed_in, overlap_of_sets
from backend.labeling.shown import Shown


@dataclass(frozen=True, kw_only=True)
class Choices(Control):
    """`choice="single"` (the default), `"single-radio"` and `"multiple"`. A value is a tuple of option values.

    Agreement of one choice is 1 or 0, of several the Jaccard index; confirmed are exactly the same choices.
    Choices inside a Choice are left out, as the editor leaves them out unless `allowNested` is set.
    """

    tag: ClassVar[str] = "Choices"
    object_tags: ClassVar[frozenset[str]] = READABLE
    value_key: ClassVar[str] = "choices"  # of a region's value

    multiple: bool = False

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        if attribute_is_true(element, "allowNested"):
            raise Refused(
                "has allowNested: its answers are paths, which Label Studio's own check of predictions refuses, and "
                "the editor shows no others there: use a Taxonomy"
            )
        variable = variable_of(element)
        return cls(
            **common(element, question),
            options=() if variable else options_of(element, "Choice"),
            options_variable=variable,
            multiple=element.get("choice", "single").strip().lower() == "multiple",
        )

    def bind(self, data: Mapping[str, JSON]) -> Self:
        if self.options_variable is None:
            return self
        return replace(self, options=bound_options(data, self.options_variable))

    def chosen(self, value: JSON) -> frozenset[str]:
        return frozenset(text for o in self.options if o.value in value for text in (o.value, o.name))

    @property
    def is_set(self) -> bool:
        return self.listed

    @property
    def listed(self) -> bool:
        """Whether a list is asked for. A sole option that need not be chosen is a box to tick, or to leave."""
        return self.multiple or (len(self.options) == 1 and not self.required)

    @property
    def closed_options(self) -> tuple[Option, ...]:
        return () if self.listed else self.options

    def schema(self) -> dict[str, JSON]:
        one: dict[str, JSON] = {"type": "string", "enum": [o.name for o in self.options]}
        return {"type": "array", "items": one} if self.listed else one

    def ask(self) -> str:
        if not self.listed:
            return "exactly one of these" + preselected(self.options)
        empty = "" if self.required else ", or an empty list"
        return f"a list of all of these that apply{empty}{preselected(self.options)}"

    def shape(self) -> str:
        return '["<label>", ...]' if self.listed else '"<label>"'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        return [self.options[0].name] if self.listed else self.options[0].name

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        answers = raw if isinstance(raw, list) else [raw]
        if not self.listed and len(answers) != 1:
            return Decoded(value=None, problem=f"needs one label and got {len(answers)}")
        if any(answer is None for answer in answers):
            answers = [answer for answer in answers if answer is not None]
        found: list[str] = []
        steps: list[str] = []
        rejected: list[str] = []
        for answer in answers:
            match = self.match(answer) if isinstance(answer, str) else None
            if match is None:
                rejected.append(clip(answer))
            elif match.value not in found:
                found.append(match.value)
                steps.append(match.step)
        if rejected:
            return Decoded(value=None, problem="is not one of the labels", rejected=tuple(rejected))
        if not found:
            nothing_is_right = self.listed and not self.required and isinstance(raw, list)
            return Decoded(value=None, step="exact") if nothing_is_right else Decoded(value=None, problem="is empty")
        return Decoded(value=self.in_order(found), step=joined_steps(steps))

    def as_answer(self, value: JSON) -> JSON:
        chosen = [self.names[one] for one in value]
        return chosen if self.listed else chosen[0]

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({self.value_key: list(value)})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = listed_in(regions, self.value_key)
        named = self.values_by_name
        known = [named[item] for item in given if isinstance(item, str) and item in named]
        if len(known) < len(given):
            return Decoded(value=None, problem=UNKNOWN_LABEL)
        if len(set(known)) > 1 and not self.multiple:
            return Decoded(value=None, problem="holds more than one label")
        return Decoded(value=self.in_order(known) or None)

    def likeness(self, one: JSON, other: JSON) -> float:
        return overlap_of_sets(one, other)

    def same(self, one: JSON, other: JSON) -> bool:
        return set(one) == set(other)
