"""The JSON of a reply: every top-level object, strict or mended, and where each of its values stands.

All of them, because a reply may echo the form of the answer before it ("{text}"), or take an answer back and give
another. Positions matter because a label's probability is read off the tokens at the value's own place
(`backend.confidence.label_logprob`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.core.values import JSON
from backend.reading.given import Given, closed_braces, is_deep
from backend.reading.mend import mended_list, mended_object
from backend.reading.thinking import without_thinking

MAX_REPLY_CHARS = 2_000_000  # longer replies are read up to here, as cut off
_MAX_MENDED_CHARS = 30_000  # of one object; what stands after that counts as cut off
_MAX_BROKEN = 20  # objects that cannot be read strictly; one try each may go over the whole reply
_MAX_OBJECTS = 2_000
_SPACE = re.compile(r"[ \t\r\n]*+")
_FENCE = re.compile(r"\s*+```[\w+-]*+[ \t]*+\n?")
_FENCE_END = re.compile(r"\s*+```\s*+")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The objects of a reply that hold at least one key, in their order."""

    objects: tuple[tuple[Given, ...], ...]
    overflow: bool = False  # there were more than were read
    empty: bool = False  # there was one without keys

    @property
    def values(self) -> Mapping[str, Any] | None:
        """The first object's readable values; None where the reply holds no object."""
        return {g.key: g.value for g in self.objects[0] if g.fault is None} if self.objects else None

    @property
    def step(self) -> str | None:
        return self.objects[0][0].step if self.objects else None

    @property
    def positions(self) -> Mapping[str, tuple[int, int]]:
        return {g.key: g.position for g in self.objects[0] if g.position} if self.objects else {}


def extract_object(text: str) -> Extracted:
    """Read the objects in `text`, thinking left out. Never raises."""
    return extract(without_thinking(text[:MAX_REPLY_CHARS]))


def extract(text: str) -> Extracted:
    """Read the objects in `text`. Never raises."""
    found: list[tuple[Given, ...]] = []
    at = broken = seen = 0
    empty = False
    alone = True  # only space around the object
    ends: dict[int, int] | None = None
    while (start := text.find("{", at)) >= 0:
        if broken >= _MAX_BROKEN or seen >= _MAX_OBJECTS:
            return Extracted(objects=tuple(found), overflow=True)
        seen += 1
        alone = alone and not text[at:start].strip()
        try:
            pairs, at = _strict_object(text, start)
        except (ValueError, IndexError, RecursionError):
            broken, alone = broken + 1, False
            pairs, at_end = _mended(text, start)
            if at_end is None:
                ends = closed_braces(text, start, len(text)) if ends is None else ends
            at = (ends or {}).get(start, start + 1) if at_end is None else at_end
        empty = empty or not (pairs or broken)
        if pairs:
            found.append(pairs)
    if not alone or len(found) != 1 or text[at:].strip():
        found = [tuple(replace(given, step="mended_json") for given in pairs) for pairs in found]
    return Extracted(objects=tuple(found), empty=empty)


def bare_value(text: str, key: str) -> Given | None:
    """The reply as one JSON value that is no object, alone or in a code fence; a list also where it is cut off."""
    fence = _FENCE.match(text)
    begin = _skip(text, fence.end() if fence else 0)
    if text[begin : begin + 1] in ("{", ""):
        return None
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        if text[begin] != "[":
            return None
        given, end = mended_list(text[: begin + _MAX_MENDED_CHARS], begin, key)
    else:
        at_end = isinstance(value, int | float) and not fence
        step = "mended_json" if fence else "strict_json"
        given = Given(key=key, value=value, step=step, position=(begin, end), strict=True, at_end=at_end)
    closed = _FENCE_END.match(text, end)
    rest = text[closed.end() if fence and closed else end :]
    return None if rest.strip() or is_deep(given.value) else given


def _strict_object(text: str, start: int) -> tuple[tuple[Given, ...], int]:
    """A strict JSON object at `start`, and where it ends. Raises ValueError."""
    pairs: list[Given] = []
    at = _skip(text, start + 1)
    if text[at] == "}":
        return (), at + 1
    while True:
        if text[at] != '"':
            raise ValueError("a key must be a string")
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("a key must be followed by a colon")
        begin = _skip(text, at + 1)
        value, at = _decoded(text, begin)
        pairs.append(Given(key=key, value=value, step="strict_json", position=(begin, at), strict=True))
        at = _skip(text, at)
        if text[at] == "}":
            return tuple(pairs), at + 1
        if text[at] != ",":
            raise ValueError("values must be parted by commas")
        at = _skip(text, at + 1)


def _decoded(text: str, begin: int) -> tuple[JSON, int]:
    value, end = _DECODER.raw_decode(text, begin)
    if is_deep(value):
        raise ValueError("nested too deep")
    return value, end


def _mended(text: str, start: int) -> tuple[tuple[Given, ...], int | None]:
    """The pairs of a broken object, and where it ends; None: it is so broken that this is not known."""
    found = mended_object(text[start : start + _MAX_MENDED_CHARS], 0, offset=start)
    if found.end is None:
        return found.pairs, None
    return found.pairs, len(text) if found.end >= _MAX_MENDED_CHARS else start + found.end


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
