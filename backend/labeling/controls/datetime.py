"""`<DateTime>`: a date, a time, both, or only a year or a month."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import READABLE, Control, Decoded, Refused, clip, common
from backend.labeling.controls.reading_back import Region, sole_in
from backend.labeling.shown import Shown

_MAX_CHARS = 100  # of a moment, however it is written
_PARTS = frozenset({"date", "time", "month", "year"})
_DIRECTIVES = frozenset("YymdHIMSpbBaAj%")  # those that the editor and Python understand alike
_FORMS = {  # parts -> what the model is asked for, how it writes that, and how that is read
    "date": ("a date", "YYYY-MM-DD", "%Y-%m-%d"),
    "time": ("a time of 24 hours", "HH:MM", "%H:%M"),
    "date,time": ("a date and time", "YYYY-MM-DDTHH:MM", "%Y-%m-%dT%H:%M"),
    "month": ("a month", "YYYY-MM", "%Y-%m"),
    "year": ("a year", "YYYY", "%Y"),
}


@dataclass(frozen=True, kw_only=True)
class DateTime(Control):
    """A value is the text that the editor stores: in `format`, by default ISO. A year alone is its first of January.

    Agreement is 1 for the same moment, in whatever form it is written, and 0 for any other; confirmed likewise.
    """

    tag: ClassVar[str] = "DateTime"
    object_tags: ClassVar[frozenset[str]] = READABLE

    parts: str = "date,time"
    format: str = "%Y-%m-%dT%H:%M"
    minimum: str | None = None  # an ISO date or a year: the editor compares them as text
    maximum: str | None = None

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        parts = _parts(element.get("only", ""))
        given = element.get("format") or None
        unknown = sorted(set(re.findall(r"%(.)", given or "")) - _DIRECTIVES)
        if unknown:
            raise Refused(f"has a format with %{unknown[0]}, which is not supported")
        default = {"date,time": "%Y-%m-%dT%H:%M", "time": "%H:%M"}.get(parts, "%Y-%m-%d")
        return cls(
            **common(element, question),
            parts=parts,
            format=default if parts == "time" or given is None else given,
            minimum=_bound(element.get("min")),
            maximum=_bound(element.get("max")),
        )

    def schema(self) -> dict[str, JSON]:
        return {"type": "string"} if self.required else {"type": ["string", "null"]}

    def ask(self) -> str:
        bounds = [
            f"{word} {bound}" for word, bound in (("from", self.minimum), ("to", self.maximum)) if bound is not None
        ]
        what, form, _ = _FORMS[self.parts]
        asked = " ".join([f"{what} as {form}", *bounds])
        return asked + ("" if self.required else ", or null if the data does not give one")

    def shape(self) -> str:
        return f'"<{_FORMS[self.parts][1]}>"'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        bound = self.minimum or self.maximum or "2020"
        moment = datetime.fromisoformat(bound if len(bound) > 4 else f"{bound}-01-01")
        return moment.strftime(_FORMS[self.parts][2])

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        if raw is None or raw == "":
            return Decoded(value=None, problem="is empty") if self.required else Decoded(value=None, step="exact")
        text = str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
        moment, step = _read(text, self.parts)
        if moment is None:
            return Decoded(
                value=None, problem=f"is not {_FORMS[self.parts][0]} as {_FORMS[self.parts][1]}", rejected=(clip(raw),)
            )
        if self.parts != "time" and not self._within(moment):
            return Decoded(value=None, problem="is out of bounds", rejected=(clip(raw),))
        return Decoded(value=_written(moment, self.format), step=step)

    def as_answer(self, value: JSON) -> JSON:
        """Of a format without the year nobody knows which: the text as it is, which is no answer."""
        if self.parts != "time" and not {"%Y", "%y"} & set(re.findall(r"%.", self.format)):
            return value
        return _written(datetime.strptime(value, self.format), _FORMS[self.parts][2])

    def _within(self, moment: datetime) -> bool:
        compared = str(moment.year) if self.parts == "year" else moment.date().isoformat()
        after = self.minimum is None or compared >= self.minimum[: len(compared)]
        return after and (self.maximum is None or compared[: len(self.maximum)] <= self.maximum)

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"datetime": value})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = sole_in(regions, "datetime")
        if given is None or isinstance(given, Decoded):
            return given or Decoded(value=None)
        text = str(given).strip()[:_MAX_CHARS]
        try:
            moment: datetime | None = datetime.strptime(text, self.format)
        except ValueError:
            moment, _ = _read(text, self.parts)
        return Decoded(value=_written(moment, self.format)) if moment else Decoded(value=None, problem="is no date")

    def likeness(self, one: JSON, other: JSON) -> float:
        return float(one == other)


def _parts(only: str) -> str:
    """The parts that the editor shows, as a key of `_FORMS`. A date takes precedence over month and year."""
    asked = {part.strip() for part in only.split(",") if part.strip()}
    if asked - _PARTS:
        raise Refused(f"has only={only!r}, which names no part of a date")
    if not asked or {"date", "time"} <= asked:
        return "date,time"
    if "time" in asked and asked != {"time"}:
        raise Refused(f"has only={only!r}: a time goes with a whole date")
    return next(part for part in ("date", "time", "month", "year") if part in asked)


def _bound(text: str | None) -> str | None:
    """An ISO date or a year. Raises `Refused` for what is neither; "current" bounds nothing that is known here."""
    if text is None or not text.strip() or text == "current":
        return None
    try:
        return text if re.fullmatch(r"\d{4}", text) else date.fromisoformat(text).isoformat()
    except ValueError:
        raise Refused(f"has the bound {text!r}, which is no ISO date and no year") from None


def _read(text: str, parts: str) -> tuple[datetime | None, str]:
    """The moment that `text` writes as asked ("exact"), or in another form of ISO 8601 ("normalised")."""
    try:
        return datetime.strptime(text, _FORMS[parts][2]), "exact"
    except ValueError:
        pass
    try:
        if parts == "time":
            return datetime.strptime(text, "%H:%M:%S"), "normalised"
        moment = datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=None)
    except ValueError:
        return None, ""
    if parts == "date,time" and ":" not in text:
        return None, ""  # midnight would be an invented time
    month, day = (1 if parts == "year" else moment.month), (1 if parts in ("year", "month") else moment.day)
    return moment.replace(month=month, day=day), "normalised"


def _written(moment: datetime, form: str) -> str:
    # Not every platform's %Y pads a year before 1000.
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))
