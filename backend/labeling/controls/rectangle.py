"""`<RectangleLabels>` and `<Rectangle>`: boxes on an image, in per cent of it, from the top left corner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import Decoded, Option, clip, common, joined_steps, options_of
from backend.labeling.controls.box_labels import BoxLabels
from backend.labeling.controls.boxes import KEPT_BOX, SAME_BOX, Box, overlap, paired
from backend.labeling.controls.dynamic import variable_of
from backend.labeling.controls.labels import max_usages_of, usages_in
from backend.labeling.controls.number import as_number
from backend.labeling.controls.reading_back import UNKNOWN_LABEL, Region, listed_in
from backend.labeling.controls.regions import RegionControl
from backend.labeling.shown import Shown, ShownImage

if TYPE_CHECKING:
    from backend.labeling.objects.base import ObjectTag

_DIGITS = 4  # of a per cent: below a pixel on the largest images
_SIDES = ("x", "y", "width", "height")
_FULL = 100.0
_FAR = 1e9  # per cent: no box reaches so far
_LEAST_INSIDE = 0.5  # of a box's area: of one that lies further outside it is not known what was meant


@dataclass(frozen=True, kw_only=True)
class RectangleLabels(RegionControl):
    """A value is a tuple of `Box`es in the model's order. What sticks out of the image is cut off and told.

    Agreement pairs boxes of one label on one image, the best overlap first, from `SAME_BOX` on: twice the sum of their
    intersections over union, by the number of all boxes. Confirmed are boxes that are all paired, each at `KEPT_BOX` or
    more, with the same answers of the attached controls.
    """

    tag: ClassVar[str] = "RectangleLabels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"Image"})
    own_keys: ClassVar[frozenset[str]] = frozenset({"label", "image", *_SIDES})

    listed: bool = False  # on a list of images: each box says on which

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        variable = cls.variable_of(element)
        return cls(
            **common(element, question),
            options=() if variable else cls.labels_of(element),
            options_variable=variable,
            max_usages=max_usages_of(element),
            usages_each=usages_in(element) if variable else None,
        )

    @classmethod
    def variable_of(cls, element: Element) -> str | None:
        return variable_of(element, "Label")

    @classmethod
    def labels_of(cls, element: Element) -> tuple[Option, ...]:
        return options_of(element, "Label")

    def about(self, target: ObjectTag) -> Self:
        return replace(self, listed=getattr(target, "listed", False))

    def aligned(self, values: Sequence[JSON | None]) -> list[JSON | None]:
        """Boxes of one label that mostly cover each other become the first of them."""
        known: list[Box] = []
        return super().aligned([None if v is None else tuple(self._known(v, known)) for v in values])

    def _known(self, boxes: Sequence[Box], known: list[Box]) -> Iterator[Box]:
        """Each box in the place of one of `known`, where no other of them stands; a new one is added."""
        free = list(known)
        for box in boxes:
            alike = [(overlap(box, other), other) for other in free if self._labels(box) == self._labels(other)]
            most, found = max(alike, key=lambda pair: pair[0], default=(0.0, box))
            if most < SAME_BOX:
                known.append(box)
                yield box
            else:
                free.remove(found)
                yield replace(found, answers=box.answers)

    def _labels(self, box: Box) -> tuple[JSON, ...]:
        """What it is a box of, and on which image."""
        return (box.label, box.item, tuple(answer.value for answer in self.identity(box).answers))

    def allows(self, value: JSON) -> bool:
        return len(self._within_usages(value)) == len(value)

    def schema(self) -> dict[str, JSON]:
        properties: dict[str, JSON] = {}
        if self.options:
            properties["label"] = {"type": "string", "enum": [o.name for o in self.options]}
        if self.listed:
            properties["image"] = {"type": "integer"}
        return self.list_schema(properties | {side: {"type": "number"} for side in _SIDES})

    def ask(self) -> str:
        return (
            f'a list with a box around {self._what()} in "{self.to_name[0]}": '
            "x and y are the box's left and top edge, "
            "each number a per cent of the image's width or height, from 0 to 100"
            + ("; image is the number of the image" if self.listed else "")
            + self.and_attached()
            + "; an empty list if there is none"
        )

    def _what(self) -> str:
        return "everything that one of these labels names"

    def shape(self) -> str:
        parts = ['"label": "<label>"'] if self.options else []
        parts += ['"image": <number>'] if self.listed else []
        parts += [f'"{side}": <number>' for side in _SIDES]
        return "[{" + ", ".join(parts) + self.attached_shape() + "}, ...]"

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        box: dict[str, JSON] = {"label": self.options[0].name} if self.options else {}
        if self.listed:
            images = shown[self.to_name[0]].images
            box["image"] = images[0].number if images else 1
        labels = (self.options[0].value,) if self.options else ()
        return [box | {"x": 10, "y": 20.5, "width": 30, "height": 40} | self.attached_example(labels, shown)]

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if not isinstance(raw, list):
            return Decoded(value=None, problem="is not a list of boxes", rejected=(clip(raw),))
        images = shown[self.to_name[0]].images
        steps: list[str] = []
        rejected: list[str] = []
        read: list[Box] = []
        for origin, item in enumerate(raw):
            found = self._box(item, images, shown)
            if isinstance(found, str):
                rejected.append(clip(found))
                continue
            box, step = found
            read.append(replace(box, origin=origin))
            steps.append(step)
        if read and all(max(b.x, b.y, b.width, b.height) <= 1 for b in read):
            return Decoded(value=None, problem="has fractions where per cent, from 0 to 100, were asked")
        placed = [_inside(box) for box in read]
        different = tuple(dict.fromkeys(box for box in placed if box is not None))
        boxes = self._within_usages(different)
        cut = sum(after is not None and not _same(after, before) for after, before in zip(placed, read, strict=True))
        notes = tuple(
            note
            for note, count in (
                (f"{len(rejected)} box(es) that cannot be read", len(rejected)),
                (f"{placed.count(None)} box(es) that are empty or not on the image", placed.count(None)),
                (f"{cut} box(es) cut off at the image's edge", cut),
                (f"{len(different) - len(boxes)} box(es) more than maxUsages allows", len(different) - len(boxes)),
            )
            if count
        ) + self.attached_notes(boxes)
        rejected += self.attached_rejected(boxes)
        if raw and not boxes:
            return Decoded(value=None, problem="holds no usable box", rejected=tuple(rejected), notes=notes)
        if self.required and not boxes:
            return Decoded(value=None, problem="is empty", notes=notes)
        step = joined_steps(steps) or "exact"
        usable = sum(box is not None for box in placed) / len(raw) if raw else 1.0
        return Decoded(value=boxes or None, step=step, rejected=tuple(rejected), notes=notes, usable=usable)

    def as_answer(self, value: JSON) -> JSON:
        """Images are counted from the first one of the control's own object."""
        return [
            ({"label": self.names[box.label]} if box.label is not None else {})
            | ({"image": 1 + (box.item or 0)} if self.listed else {})
            | {side: getattr(box, side) for side in _SIDES}
            | self.attached_answers(box)
            for box in value
        ]

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self._region(box) for box in value]

    def _region(self, box: Box) -> dict[str, JSON]:
        value: dict[str, JSON] = {side: getattr(box, side) for side in _SIDES} | {"rotation": 0}
        if box.label is not None:
            value[self.tag.lower()] = [box.label]
        region = self.region(value) | {
            "original_width": box.original_width,
            "original_height": box.original_height,
            "image_rotation": 0,
        }
        return region if box.item is None else region | {"item_index": box.item}

    def marked(self, region: Region) -> Box | str:
        value = region["value"]
        numbers = [as_number(value.get(side)) for side in _SIDES]
        x, y, width, height = (number if number is not None and abs(number) < _FAR else 0.0 for number in numbers)
        if None in numbers or width <= 0 or height <= 0 or width * height == 0:
            return "has a box without a place"
        if as_number(value.get("rotation") or 0) != 0:
            return "has a turned box, which cannot be compared"
        label, given = None, listed_in([region], self.tag.lower())
        if self.options:
            label = self.values_by_name.get(_sole_text(given))
            if label is None:
                return UNKNOWN_LABEL if given else "has a region without a label"
        sizes = [region.get(key) for key in ("original_width", "original_height")]
        item = region.get("item_index")
        return Box(
            x=x,
            y=y,
            width=width,
            height=height,
            original_width=sizes[0] if isinstance(sizes[0], int) else 0,
            original_height=sizes[1] if isinstance(sizes[1], int) else 0,
            item=item if isinstance(item, int) else None,
            label=label,
        )

    def matched(self, one: JSON, other: JSON) -> list[tuple[Box, Box]]:
        return [(a, b) for _, a, b in paired(one, other, self._labels)]

    def likeness(self, one: JSON, other: JSON) -> float:
        count = len(one) + len(other)
        return 2 * sum(share for share, _, _ in paired(one, other, self._labels)) / count if count else 1.0

    def same(self, one: JSON, other: JSON) -> bool:
        return super().same(one, other) and all(share >= KEPT_BOX for share, _, _ in paired(one, other, self._labels))

    def _within_usages(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        limits, used = dict(self.max_usages), Counter[str | None]()
        kept: list[Box] = []
        for box in boxes:
            used[box.label] += 1
            if box.label is None or used[box.label] <= limits.get(box.label, len(boxes)):
                kept.append(box)
        return tuple(kept)

    def _box(self, item: JSON, images: Sequence[ShownImage], shown: Mapping[str, Shown]) -> tuple[Box, str] | str:
        """A box and the step that gave its label; or what cannot be used of it."""
        if not isinstance(item, dict):
            return repr(item)
        numbers = [_number(item.get(side)) for side in _SIDES]
        image = self._image(item.get("image"), images)
        if image is None or any(number is None for number in numbers):
            return repr(item)
        x, y, width, height = (number or 0.0 for number in numbers)
        label, step = None, "exact"
        if self.options:
            named = item.get("label")
            match = self.match(named) if isinstance(named, str) else None
            if match is None:
                return named if isinstance(named, str) else repr(item)
            label, step = match.value, match.step
        box = Box(
            x=x,
            y=y,
            width=width,
            height=height,
            original_width=image.picture.width,
            original_height=image.picture.height,
            item=image.item,
            label=label,
            answers=self.read_attached(item, () if label is None else (label,), shown),
        )
        return box, step

    def _image(self, number: JSON, images: Sequence[ShownImage]) -> ShownImage | None:
        if len(images) == 1:
            return images[0]
        wanted = as_number(number)
        return next((image for image in images if image.number == wanted), None)


@dataclass(frozen=True, kw_only=True)
class Rectangle(RectangleLabels):
    """Boxes without a label of their own; a `<Labels>` on the same image is attached to them."""

    tag: ClassVar[str] = "Rectangle"
    own_keys: ClassVar[frozenset[str]] = frozenset({"image", *_SIDES})

    @classmethod
    def labels_of(cls, element: Element) -> tuple[Option, ...]:
        return ()

    def _what(self) -> str:
        labels = [key for key, control in self.keys.items() if isinstance(control, BoxLabels)]
        named = " or ".join(f'"{key}"' for key in labels)
        return f"everything that a label of {named} names" if labels else "everything that is asked for"

    @classmethod
    def variable_of(cls, element: Element) -> str | None:
        return None


def _sole_text(given: Sequence[JSON]) -> str:
    """The one text of a list; empty where it holds none, or anything else."""
    return given[0] if len(given) == 1 and isinstance(given[0], str) else ""


def _number(raw: JSON) -> float | None:
    number = as_number(raw.strip().removesuffix("%") if isinstance(raw, str) else raw)
    return None if number is None or abs(number) > _FAR else float(number)


def _inside(box: Box) -> Box | None:
    """The part of a box that is on its image; None for an empty one and for one that lies mostly outside."""
    left, right = (round(min(max(edge, 0.0), _FULL), _DIGITS) for edge in (box.x, box.x + box.width))
    top, bottom = (round(min(max(edge, 0.0), _FULL), _DIGITS) for edge in (box.y, box.y + box.height))
    width, height = round(right - left, _DIGITS), round(bottom - top, _DIGITS)
    if width <= 0 or height <= 0 or width * height < _LEAST_INSIDE * box.width * box.height:
        return None
    return replace(box, x=left, y=top, width=width, height=height)


def _same(one: Box, other: Box) -> bool:
    return all(abs(getattr(one, side) - getattr(other, side)) < 10 ** (1 - _DIGITS) for side in _SIDES)
