"""`<Labels>` on `<Text>`: spans. The model quotes the text and names the label; the offsets are found here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import Control, Decoded, attribute_is_true, clip, joined_steps, options_of
from backend.labeling.shown import Shown
from backend.labeling.spans import find_quotes


@dataclass(frozen=True, kw_only=True)
class Span:
    """A labelled stretch of text; start and end in Unicode code points, end exclusive."""

    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Labels(Control):
    """A value is a tuple of `Span`s in reading order; overlapping ones are kept only for different text."""

    tag: ClassVar[str] = "Labels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"Text"})

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        return cls(
            name=element.get("name", ""),
            to_name=tuple(element.get("toName", "").split(",")),
            required=attribute_is_true(element, "required"),
            question=question,
            options=options_of(element, "Label"),
        )

    def schema(self) -> dict[str, JSON]:
        item = {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "label": {"type": "string", "enum": [o.name for o in self.options]},
            },
            "required": ["text", "label"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": item}

    def ask(self) -> str:
        return (
            f'a list of every passage of "{self.to_name[0]}" that one of these labels names, '
            "in reading order, copied letter by letter; an empty list if there is none"
        )

    def shape(self) -> str:
        return '[{"text": "<copied passage>", "label": "<label>"}, ...]'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        words = shown[self.to_name[0]].text.split()
        return [{"text": words[0], "label": self.options[0].name}] if words else []

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if not isinstance(raw, list):
            return Decoded(value=None, problem="is not a list of passages", rejected=(clip(raw),))
        asked: list[tuple[str, str]] = []
        steps: list[str] = []
        rejected: list[str] = []
        for item in raw:
            quote, label = (item.get("text"), item.get("label")) if isinstance(item, dict) else (None, None)
            match = self.match(label) if isinstance(label, str) else None
            if match is None or not isinstance(quote, str):
                rejected.append(clip(label if isinstance(label, str) else item))
            else:
                asked.append((quote, match.value))
                steps.append(match.step)
        text = shown[self.to_name[0]].text
        places = find_quotes(text, [quote for quote, _ in asked])
        spans: list[Span] = []
        missing = 0
        for (_, label), place in zip(asked, places, strict=True):
            if place is None:
                missing += 1
                continue
            span = Span(start=place[0], end=place[1], text=text[place[0] : place[1]], label=label)
            if span not in spans:
                spans.append(span)
        notes = tuple(
            note
            for note, count in (
                (f"{missing} quoted passage(s) are not in the text", missing),
                (f"{len(rejected)} passage(s) with no known label", len(rejected)),
            )
            if count
        )
        if raw and not spans:
            return Decoded(value=None, problem="holds no usable passage", rejected=tuple(rejected), notes=notes)
        if self.required and not spans:
            return Decoded(value=None, problem="is empty", notes=notes)
        ordered = tuple(sorted(spans, key=lambda s: (s.start, s.end)))
        step = joined_steps(steps) or "exact"
        return Decoded(value=ordered or None, step=step, rejected=tuple(rejected), notes=notes)

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"start": s.start, "end": s.end, "text": s.text, "labels": [s.label]}) for s in value]
