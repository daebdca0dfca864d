"""Boxes on an image, and which of two lists are around the same thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backend.core.values import JSON
from backend.labeling.controls.regions import Answer

SAME_BOX = 0.5  # intersection over union from which two boxes are around the same thing, as in PASCAL VOC
KEPT_BOX = 0.9  # intersection over union from which a box that a person moved a little counts as confirmed


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in per cent of its image. It stands on no edge outside 0 and 100."""

    x: float
    y: float
    width: float
    height: float
    original_width: int  # of the image, in pixels
    original_height: int
    item: int | None = None  # which image of a list
    label: str | None = None
    answers: tuple[Answer, ...] = ()  # of the attached controls
    origin: int = field(default=0, compare=False)  # which item of the model's answer it was read from


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, in [0, 1]."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    both = max(0.0, width) * max(0.0, height)
    return min(1.0, both / (one.width * one.height + other.width * other.height - both))  # sums of floats are not exact


def paired(one: Sequence[Box], other: Sequence[Box], labels: Callable[[Box], JSON]) -> list[tuple[float, Box, Box]]:
    """Pairs of boxes with the same `labels` around the same thing, with their overlap, the best first.

    Ties go by the boxes' places, so that it does not matter which list comes first.
    """
    kinds, other_kinds = [labels(box) for box in one], [labels(box) for box in other]
    found = [
        (share, at, by)
        for at, a in enumerate(one)
        for by, b in enumerate(other)
        if kinds[at] == other_kinds[by] and (share := overlap(a, b)) >= SAME_BOX
    ]
    found.sort(key=lambda pair: (-pair[0], sorted([_corner(one[pair[1]]), _corner(other[pair[2]])])))
    ones: set[int] = set()
    others: set[int] = set()
    kept: list[tuple[float, Box, Box]] = []
    for share, at, by in found:
        if at not in ones and by not in others:
            ones.add(at)
            others.add(by)
            kept.append((share, one[at], other[by]))
    return kept


def _corner(box: Box) -> tuple[float, ...]:
    return (box.x, box.y, box.width, box.height)
