"""`perItem="true"` on an Image: a control that is answered once for each image of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import Control, Decoded, Option, clip, joined_steps
from backend.labeling.controls.reading_back import MAX_REGIONS, Region
from backend.labeling.schema import nullable
from backend.labeling.shown import Shown


@dataclass(frozen=True, kw_only=True)
class PerItem(Control):
    """Another control over the images of its object. A value is a tuple with that control's value for each image, in
    their order; None where there is none. On a single image (`listed` False) the question is the other control's own.

    Read back, it ends with the last image that has an answer. Agreement is the mean over the images; confirmed are
    those of which each image is.
    """

    inner: Control
    listed: bool

    @classmethod
    def over(cls, inner: Control, *, listed: bool) -> Self:
        return cls(
            inner=inner,
            listed=listed,
            name=inner.name,
            to_name=inner.to_name,
            required=inner.required,
            question=inner.question,
            options=inner.options,
            conditions=inner.conditions,
            options_variable=inner.options_variable,
        )

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        raise TypeError("PerItem stands around a parsed control: use PerItem.over")

    @property
    def tag(self) -> str:  # type: ignore[override]
        return self.inner.tag

    @property
    def has_confidence(self) -> bool:
        return self.inner.has_confidence

    @property
    def closed_options(self) -> tuple[Option, ...]:
        return () if self.listed else self.inner.closed_options

    def bind(self, data: Mapping[str, JSON]) -> Self:
        inner = self.inner.bind(data)
        return replace(self, inner=inner, options=inner.options)

    def offering(self, ranked: Sequence[int], most: int) -> Self:
        inner = self.inner.offering(ranked, most)
        return replace(self, inner=inner, options=inner.options)

    def chosen(self, value: JSON) -> frozenset[str]:
        return frozenset(text for one in value if one is not None for text in self.inner.chosen(one))

    def schema(self) -> dict[str, JSON]:
        inner = self.inner.schema()
        if not self.listed:
            return inner
        return {"type": "array", "items": inner if self.required else nullable(inner)}

    def ask(self) -> str:
        if not self.listed:
            return self.inner.ask()
        return (
            f'a list with exactly one answer for each image of "{self.to_name[0]}", in their order, each '
            + self.inner.ask()
            + ("" if self.required else "; null for an image that has no answer")
        )

    def shape(self) -> str:
        return f"[{self.inner.shape()}, ...]" if self.listed else self.inner.shape()

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        one = self.inner.example(shown)
        return [one] * len(shown[self.to_name[0]].images) if self.listed else one

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        images = shown[self.to_name[0]].images
        if not self.listed:
            answers = [raw]
        elif not isinstance(raw, list):
            return Decoded(value=None, problem="is not a list with an answer for each image", rejected=(clip(raw),))
        elif len(raw) != len(images):
            return Decoded(value=None, problem=f"has {len(raw)} answer(s) for {len(images)} image(s)")
        else:
            answers = raw
        read = [self._one(answer, shown) for answer in answers]
        rejected = tuple(text for one in read for text in one.rejected)
        notes = tuple(note for one in read for note in one.notes)
        for number, one in enumerate(read, start=1):
            if one.problem:
                where = f" (image {number} of {len(read)})" if self.listed else ""
                return Decoded(value=None, problem=one.problem + where, rejected=rejected, notes=notes)
        value = tuple(one.value for one in read) if any(one.value is not None for one in read) else None
        step = joined_steps([one.step for one in read if one.step])
        return Decoded(value=value, step=step, rejected=rejected, notes=notes)

    def _one(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if raw is None and self.listed and not self.required:
            return Decoded(value=None, step="exact")
        return self.inner.decode(raw, shown)

    def as_answer(self, value: JSON) -> JSON:
        answers = [self.inner.encode(one) for one in value]
        return answers if self.listed else answers[0]

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [
            {**region, "item_index": item}
            for item, one in enumerate(value)
            if one is not None
            for region in self.inner.regions(one)
        ]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        by_image: dict[int, list[Region]] = {}
        for region in regions:
            index = region.get("item_index", 0)
            if not isinstance(index, int) or not 0 <= index < MAX_REGIONS:
                return Decoded(value=None, problem="has a region on no image")
            by_image.setdefault(index, []).append(region)
        read = [self.inner.read_back(by_image.get(index, ())) for index in range(max(by_image, default=-1) + 1)]
        problem = next((one.problem for one in read if one.problem), None)
        if problem or all(one.value is None for one in read):
            return Decoded(value=None, problem=problem)
        return Decoded(value=tuple(one.value for one in read))

    def likeness(self, one: JSON, other: JSON) -> float:
        pairs = list(zip_longest(one, other))
        return sum(self.inner.agreement(a, b) for a, b in pairs) / len(pairs) if pairs else 1.0

    def same(self, one: JSON, other: JSON) -> bool:
        return all(self.inner.agree(a, b) for a, b in zip_longest(one, other))

    def as_json(self, value: JSON | None) -> JSON | None:
        return None if value is None else [self.inner.as_json(one) for one in value]
