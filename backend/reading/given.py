"""What a reply gives under one key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backend.core.values import JSON

CUT = "was cut off"
UNCLEAR = "cannot be read with certainty"
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[{}]', re.DOTALL)
_MAX_DEPTH = 60  # deeper nesting is no answer to any of our schemas, and would exhaust the stack later


@dataclass(frozen=True, kw_only=True)
class Given:
    """One value under one key. With a `fault` the value is what could be read of it, and no answer."""

    key: str
    value: JSON
    step: str  # "strict_json", "mended_json", "labelled_line" or "label_in_prose"
    position: tuple[int, int] | None = None  # half-open in the reply, quotes included, of a value that stands as it is
    strict: bool = False  # the value itself is strict JSON
    unquoted: bool = False  # it stands there without quotes: not free text, but it may name an option
    at_end: bool = False  # nothing ends it but the end of the reply: the next token could have gone on with it
    fault: str | None = None  # CUT or UNCLEAR


def is_deep(value: JSON) -> bool:
    """Whether lists and objects are nested deeper than any answer."""
    level: list[JSON] = [value]
    for _ in range(_MAX_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: JSON) -> Iterator[JSON]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def closed_braces(text: str, start: int, stop: int) -> dict[int, int]:
    """Where each brace from `start` on is closed, for those that are before `stop`; braces in strings left out."""
    ends: dict[int, int] = {}
    begun: list[int] = []
    for piece in _PIECE.finditer(text, start, stop):
        if text[piece.start()] == "{":
            begun.append(piece.start())
        elif text[piece.start()] == "}" and begun:
            ends[begun.pop()] = piece.end()
    return ends
