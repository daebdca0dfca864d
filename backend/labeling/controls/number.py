"""`<Number>`: one number, with bounds and a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import READABLE, Control, Decoded, Refused, clip, common
from backend.labeling.controls.reading_back import Region, sole_in
from backend.labeling.shown import Shown

_EXACT = 2.0**53  # above it a float says nothing about its last digits
_SAME = 1e-6  # share of the larger one that two numbers may differ by and be the same


@dataclass(frozen=True, kw_only=True)
class Number(Control):
    """A value is an int where it is whole, else a float. Not required: the model may say that there is none.

    Two numbers are the same, and confirmed, within half a step, or without steps within a millionth of the larger one.
    The agreement of others falls with their distance, measured by the span from `min` to `max`, or without both bounds
    by the larger one.
    """

    tag: ClassVar[str] = "Number"
    object_tags: ClassVar[frozenset[str]] = READABLE

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None  # steps count from the minimum, or from 0 without one

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        minimum, maximum, step = _bound(element, "min"), _bound(element, "max"), _bound(element, "step")
        if step is not None and step <= 0:
            raise Refused(f"has step={exact(step)}, which is not above 0")
        if minimum is not None and maximum is not None and minimum > maximum:
            raise Refused(f"has min={exact(minimum)}, which is above max={exact(maximum)}")
        return cls(
            **common(element, question),
            minimum=minimum,
            maximum=maximum,
            step=step,
        )

    def schema(self) -> dict[str, JSON]:
        return {"type": "number"} if self.required else {"type": ["number", "null"]}

    def ask(self) -> str:
        bounds = [
            f"of at {word} {exact(bound)}"
            for word, bound in (("least", self.minimum), ("most", self.maximum))
            if bound is not None
        ]
        parts = ["a number", " and ".join(bounds)] if bounds else ["a number"]
        if self.step is not None:
            parts.append(f"in steps of {exact(self.step)}")
        return " ".join(parts) + ("" if self.required else ", or null if the data does not give one")

    def shape(self) -> str:
        return "<number>"

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        if self.minimum is not None:
            return self.minimum
        if self.maximum is None or self.maximum >= 0:
            return 0
        return math.floor(self.maximum / self.step) * self.step if self.step else self.maximum

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if raw is None:
            return Decoded(value=None, step="exact") if not self.required else Decoded(value=None, problem="is empty")
        number = as_number(raw)
        if number is None:
            return Decoded(value=None, problem="is not a number", rejected=(clip(raw),))
        if (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum):
            return Decoded(value=None, problem="is out of bounds", rejected=(clip(raw),))
        if self.step and not _on_step(number, self.minimum or 0.0, self.step):
            return Decoded(value=None, problem=f"is not in steps of {exact(self.step)}", rejected=(clip(raw),))
        step = "exact" if isinstance(raw, int | float) else "normalised"
        whole = abs(number) < _EXACT and number == int(number)
        return Decoded(value=int(number) if whole else number, step=step)

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"number": value})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = sole_in(regions, "number")
        return given if isinstance(given, Decoded) else Decoded(value=None) if given is None else self.decode(given, {})

    def likeness(self, one: JSON, other: JSON) -> float:
        if self.same(one, other):
            return 1.0
        bounded = self.minimum is not None and self.maximum is not None
        whole = self.maximum - self.minimum if bounded else max(abs(one), abs(other))  # type: ignore[operator]
        return max(0.0, 1.0 - abs(one - other) / whole) if whole else 0.0

    def same(self, one: JSON, other: JSON) -> bool:
        if one == other:
            return True
        tolerance = self.step / 2 if self.step else _SAME * max(abs(one), abs(other))
        return bool(abs(one - other) < tolerance)


def exact(number: float) -> str:
    """The number with all its digits, a whole one without a fraction."""
    return repr(number).removesuffix(".0")


def as_number(raw: JSON) -> float | None:
    """A finite number from a JSON number or a string that holds just one; None else (True is no number)."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str) or (isinstance(raw, str) and "_" in raw):
        return None  # Python's own float("1_0") is 10
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return raw if isinstance(raw, int) else number  # a long whole number keeps its last digits


def _on_step(number: float, origin: float, step: float) -> bool:
    steps = (number - origin) / step
    return math.isfinite(steps) and math.isclose(steps, round(steps), rel_tol=0.0, abs_tol=1e-6)


def _bound(element: Element, name: str) -> float | None:
    text = element.get(name)
    if text is None or not text.strip():
        return None
    number = as_number(text)
    if number is None:
        raise Refused(f"has {name}={text!r}, which is not a number")
    return number
