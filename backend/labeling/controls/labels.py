"""`<Labels>`, `<HyperTextLabels>` and `<ParagraphLabels>`: spans.

The model quotes the text and names the label; where it stands is found here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import Decoded, clip, common, joined_steps, option_of, options_of
from backend.labeling.controls.dynamic import variable_of
from backend.labeling.controls.reading_back import UNKNOWN_LABEL, Region, listed_in
from backend.labeling.controls.regions import Answer, RegionControl
from backend.labeling.shown import Position, Shown
from backend.labeling.spans import find_quotes


@dataclass(frozen=True, kw_only=True)
class Span:
    """A labelled passage."""

    position: Position
    text: str
    labels: tuple[str, ...]
    answers: tuple[Answer, ...] = ()  # of the attached controls
    origin: int = field(default=0, compare=False)  # which item of the model's answer it was read from


@dataclass(frozen=True, kw_only=True)
class _Quote:
    """One item of an answer whose labels are known."""

    text: str
    labels: tuple[str, ...]
    answers: tuple[Answer, ...]
    origin: int


@dataclass(frozen=True, kw_only=True)
class Labels(RegionControl):
    """A value is a tuple of `Span`s, in reading order where one answer gave it.

    They may overlap: the editor draws, and lets people draw, one region over another on each of these objects. The
    very same passage comes twice only with another label.

    `choice="multiple"` asks for a list of labels a passage. `maxUsages`, of the control or of one label, drops what
    comes after. `granularity` only guides the mouse in the editor: a passage is placed as it was quoted.

    Agreement is the F1 of exact spans: a passage counts when it begins and ends at the same characters and has the same
    labels. Confirmed are exactly the same spans with the same answers of the attached controls.
    """

    tag: ClassVar[str] = "Labels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"Text", "HyperText"})
    own_keys: ClassVar[frozenset[str]] = frozenset({"text", "label", "labels"})

    within: ClassVar[str] = ""  # what else the model must know of where a passage may stand

    multiple: bool = False

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        variable = variable_of(element, "Label")
        return cls(
            **common(element, question),
            options=() if variable else options_of(element, "Label"),
            options_variable=variable,
            multiple=element.get("choice", "single").strip().lower() == "multiple",
            max_usages=max_usages_of(element),
            usages_each=usages_in(element) if variable else None,
        )

    def schema(self) -> dict[str, JSON]:
        one: dict[str, JSON] = {"type": "string", "enum": [o.name for o in self.options]}
        label = {"labels": {"type": "array", "items": one}} if self.multiple else {"label": one}
        return self.list_schema({"text": {"type": "string"}, **label})

    def ask(self) -> str:
        names = {option.value: option.name for option in self.options}
        limits = [f'at most {limit} of "{names[value]}"' for value, limit in self.max_usages if value in names]
        return (
            f'a list of every passage of "{self.to_name[0]}" that one of these labels names, '
            f"in reading order, copied letter by letter{self.within}"
            + (f" ({', '.join(limits)})" if limits else "")
            + self.and_attached()
            + "; an empty list if there is none"
        )

    def shape(self) -> str:
        label = '"labels": ["<label>", ...]' if self.multiple else '"label": "<label>"'
        return f'[{{"text": "<copied passage>", {label}{self.attached_shape()}}}, ...]'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        passages = shown[self.to_name[0]].passages
        words = passages.text.split() if passages else []
        name = self.options[0].name
        label = {"labels": [name]} if self.multiple else {"label": name}
        attached = self.attached_example((self.options[0].value,), shown)
        return [{"text": words[0], **label, **attached}] if words else []

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if not isinstance(raw, list):
            return Decoded(value=None, problem="is not a list of passages", rejected=(clip(raw),))
        quotes, steps, rejected = self._quotes(raw, shown)
        placed = _placed(quotes, shown[self.to_name[0]])
        in_order = sorted(dict.fromkeys(placed), key=lambda found: found[:2])
        spans = self._within_usages(span for _, _, span in in_order)
        counts = {
            "quoted passage(s) are not in the text, or not so often": len(quotes) - len(placed),
            "passage(s) with no known label": len(rejected),
            "passage(s) more than maxUsages allows": len(in_order) - len(spans),
        }
        notes = tuple(f"{count} {what}" for what, count in counts.items() if count) + self.attached_notes(spans)
        rejected += self.attached_rejected(spans)
        if raw and not spans:
            return Decoded(value=None, problem="holds no usable passage", rejected=tuple(rejected), notes=notes)
        if self.required and not spans:
            return Decoded(value=None, problem="is empty", notes=notes)
        return Decoded(
            value=spans or None,
            step=joined_steps(steps) or "exact",
            rejected=tuple(rejected),
            notes=notes,
            usable=len(placed) / len(raw) if raw else 1.0,
        )

    def as_answer(self, value: JSON) -> JSON:
        return [{"text": s.text, **self._named(s.labels), **self.attached_answers(s)} for s in value]

    def _named(self, labels: Sequence[str]) -> dict[str, JSON]:
        named = [self.names[label] for label in labels]
        return {"labels": named} if self.multiple else {"label": named[0]}

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        key = self.tag.lower()
        return [self.region({**s.position.keys(), "text": s.text, key: list(s.labels)}) for s in value]

    def marked(self, region: Region) -> Span | str:
        given = listed_in([region], self.tag.lower())
        named = self.values_by_name
        labels = [named[label] for label in given if isinstance(label, str) and label in named]
        if not given or len(labels) < len(given):
            return UNKNOWN_LABEL if given else "has a region without a label"
        position = _position(region["value"])
        if position is None:
            return "has a region that stands nowhere"
        text = region["value"].get("text")
        in_order = self.in_order(labels) if self.multiple else tuple(dict.fromkeys(labels))
        return Span(position=position, text=text if isinstance(text, str) else "", labels=in_order)

    def matched(self, one: JSON, other: JSON) -> list[tuple[Span, Span]]:
        by_page = all(span.position.global_start is not None for span in (*one, *other))
        free: dict[JSON, list[Span]] = {}
        for span in other:
            free.setdefault(_mark(span, by_page=by_page), []).append(span)
        return [(span, like.pop()) for span in one if (like := free.get(_mark(span, by_page=by_page)))]

    def likeness(self, one: JSON, other: JSON) -> float:
        count = len(one) + len(other)
        return 2 * len(self.matched(one, other)) / count if count else 1.0

    def _quotes(self, raw: Sequence[JSON], shown: Mapping[str, Shown]) -> tuple[list[_Quote], list[str], list[str]]:
        """The items that can be looked for, how their labels were read, and what was no label."""
        quotes: list[_Quote] = []
        steps: list[str] = []
        rejected: list[str] = []
        for origin, item in enumerate(raw):
            text, named = (
                (item.get("text"), item.get("label", item.get("labels"))) if isinstance(item, dict) else (0, 0)
            )
            names = named if isinstance(named, list) else [named]
            matches = [self.match(name) if isinstance(name, str) else None for name in names]
            found = [match for match in matches if match is not None]
            if not isinstance(text, str) or len(found) != len(names) or not found:
                rejected.append(clip(named if isinstance(named, str) else item))
                continue
            named_values = [match.value for match in found]
            labels = self.in_order(named_values) if self.multiple else tuple(named_values[:1])
            answers = self.read_attached(item, labels, shown)
            quotes.append(_Quote(text=text, labels=labels, answers=answers, origin=origin))
            steps += [match.step for match in found]
        return quotes, steps, rejected

    def allows(self, value: JSON) -> bool:
        return len(self._within_usages(value)) == len(value)

    def _within_usages(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        limits, used = dict(self.max_usages), Counter[str]()
        kept: list[Span] = []
        for span in spans:
            if all(label not in limits or used[label] < limits[label] for label in span.labels):
                used.update(span.labels)
                kept.append(span)
        return tuple(kept)


class HyperTextLabels(Labels):
    """Spans of a page: positions are xpaths of text nodes and UTF-16 units in them."""

    tag: ClassVar[str] = "HyperTextLabels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"HyperText"})


class ParagraphLabels(Labels):
    """Spans of a dialogue: positions are a turn's number and UTF-16 units of its text."""

    tag: ClassVar[str] = "ParagraphLabels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"Paragraphs"})
    within: ClassVar[str] = ", each within one turn and without the speaker's name"


def _position(value: Mapping[str, JSON]) -> Position | None:
    """Where a region's value says that it stands; None where that is no place."""
    page = value.get("globalOffsets")
    page = page if isinstance(page, Mapping) else {}
    start, end = value.get("start"), value.get("end")
    offsets = (value.get("startOffset"), value.get("endOffset"), page.get("start"), page.get("end"))
    if not isinstance(start, str | int) or not isinstance(end, str | int):
        return None
    if not all(offset is None or isinstance(offset, int) for offset in offsets):
        return None
    return Position(
        start=start,
        end=end,
        start_offset=offsets[0],
        end_offset=offsets[1],
        global_start=offsets[2],
        global_end=offsets[3],
    )


def _mark(span: Span, *, by_page: bool) -> JSON:
    """What makes two spans the same. Offsets over the page where all have them: one place has several xpaths."""
    p = span.position
    place = (p.global_start, p.global_end) if by_page else (str(p.start), str(p.end), p.start_offset, p.end_offset)
    return (*place, frozenset(span.labels))


_Placed = tuple[int, int, Span]


def _placed(quotes: Sequence[_Quote], shown: Shown) -> list[_Placed]:
    """The quotes that stand in the text and can be a region, with their place in the searched text."""
    passages = shown.passages
    if passages is None:
        return []
    placed: list[_Placed] = []
    standing: dict[str, tuple[int, int]] = {}  # where each quote stands first
    places = find_quotes(passages.text, [passages.without_name(quote.text) for quote in quotes])
    for quote, free in zip(quotes, places, strict=True):
        # The same words under another label, and only there once: two labels of one passage.
        place = free or standing.get(quote.text)
        if place and any(found[:2] == place and found[2].labels == quote.labels for found in placed):
            place = free
        position = passages.place(*place) if place else None
        if place:
            standing.setdefault(quote.text, place)
        if place and position:
            text = passages.text[place[0] : place[1]]
            span = Span(position=position, text=text, labels=quote.labels, answers=quote.answers, origin=quote.origin)
            placed.append((*place, span))
    return placed


def max_usages_of(element: Element) -> tuple[tuple[str, int], ...]:
    """Of each label: its own `maxUsages`, or the control's. 0 and what is no number limit nothing, as in the editor."""
    limits: dict[str, int] = {}
    for child in element:
        limit = usages_in(child) if child.get("maxUsages") else usages_in(element)
        if child.tag == "Label" and limit is not None:
            limits[option_of(child).value] = limit
    return tuple(limits.items())


def usages_in(element: Element) -> int | None:
    """The tag's own `maxUsages`; None where it limits nothing."""
    given = (element.get("maxUsages") or "").strip()
    return int(given) or None if given.isascii() and given.isdigit() and len(given) < 9 else None
