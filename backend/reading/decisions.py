"""Where, in a JSON value, its writer decided something: strings, numbers, and whether a list goes on.

Keys, braces and colons are given by the schema and decide nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_BETWEEN = re.compile(r"[\s,]*+")
_DECODER = json.JSONDecoder()
_KEY_ENDS = re.compile(r"\s*+:")


def decisions(text: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Half-open ranges in `text` of what is decided in the strict JSON value `text[start:end]`, in order.

    A string counts with its closing quote, which decides that it ends there; a number with the character behind it,
    for the same reason; of a list its commas and its end.
    """
    return tuple(_decisions(text, start, end))


def items(text: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Half-open ranges in `text` of the items of the strict JSON list `text[start:end]`; none for another value."""
    found: list[tuple[int, int]] = []
    at = _BETWEEN.match(text, start + 1, end)
    while text[start : start + 1] == "[" and at and at.end() < end - 1:
        _, after = _DECODER.raw_decode(text, at.end())
        found.append((at.end(), after))
        at = _BETWEEN.match(text, after, end)
    return tuple(found)


def _decisions(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    lists: list[bool] = []  # of what is open: whether it is a list
    for piece in _PIECE.finditer(text, start, end):
        begin, after = piece.span()
        first = text[begin]
        if first in "[{":
            lists.append(first == "[")
        elif first in "]}":
            if lists and lists.pop():
                yield begin, after
        elif first == ",":
            if lists and lists[-1]:
                yield begin, after
        elif first == '"':
            if not (lists and not lists[-1] and _KEY_ENDS.match(text, after)):
                yield begin + 1, after
        elif first != ":":
            yield begin, min(after + 1, len(text))
