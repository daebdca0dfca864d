"""Where, in a JSON value, its writer decided something: strings, numbers, and whether a list goes on.

Keys, braces and colons are given by the schema and decide nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\r\n]*+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_DECODER = json.JSONDecoder()
_LITERAL = re.compile(r'[^\s\[\]{}:,"]++')


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A half-open range of characters that might have been others.

    With `instead`, only that other text counts against what was written: that a list was empty (`]`), or a string
    `null`. Then the range begins where the list or string does.
    """

    begin: int
    end: int
    instead: str = ""
    item: int | None = None  # of the list that the whole value is: which of its items it decided


def decisions(text: str, start: int, end: int, *, without: Collection[str] = ()) -> tuple[Decision, ...]:
    """What is decided in the strict JSON value `text[start:end]`, in order; what stands under the keys `without` not.

    A string counts with its closing quote, which decides that it ends there; a number with the character behind it,
    for the same reason; of a list that it is not empty, its commas and its end. An item of a list is also decided by
    what stands before it: the comma, or that the list is not empty.
    """
    return tuple(_Scan(text=text, without=frozenset(without)).value(start, item=None, top=True)) if end > start else ()


_Decided = Generator[Decision, None, int]  # returns where the value ends


@dataclass(frozen=True, kw_only=True)
class _Scan:
    text: str
    without: frozenset[str]

    def value(self, at: int, *, item: int | None, top: bool = False) -> _Decided:
        """The decisions of the value that begins at `at`."""
        first = self.text[at]
        if first == "[":
            return (yield from self._list(at, item=item, top=top))
        if first == "{":
            return (yield from self._object(at, item=item))
        after = self._end(_STRING if first == '"' else _LITERAL, at)
        if first == '"':
            yield Decision(begin=at, end=at + 1, instead="null", item=item)
            yield Decision(begin=at + 1, end=after, item=item)
        else:
            yield Decision(begin=at, end=min(after + 1, len(self.text)), item=item)
        return after

    def _list(self, at: int, *, item: int | None, top: bool) -> _Decided:
        opening, number = at, 0
        at = self._skip(at + 1)
        if self.text[at] != "]":
            yield Decision(begin=opening, end=at + 1, instead="]", item=0 if top else item)
        while self.text[at] != "]":
            at = self._skip((yield from self.value(at, item=number if top else item)))
            number += 1
            if self.text[at] == ",":
                yield Decision(begin=at, end=at + 1, item=number if top else item)
                at = self._skip(at + 1)
        yield Decision(begin=at, end=at + 1, item=None if top else item)
        return at + 1

    def _object(self, at: int, *, item: int | None) -> _Decided:
        at = self._skip(at + 1)
        while self.text[at] != "}":
            colon = self._end(_STRING, at)
            key = json.loads(self.text[at:colon])
            at = self._skip(self._skip(colon) + 1)
            if key in self.without:
                _, at = _DECODER.raw_decode(self.text, at)
            else:
                at = yield from self.value(at, item=item)
            at = self._skip(at)
            if self.text[at] == ",":
                at = self._skip(at + 1)
        return at + 1

    def _skip(self, at: int) -> int:
        return self._end(_SPACE, at)

    def _end(self, piece: re.Pattern[str], at: int) -> int:
        match = piece.match(self.text, at)
        return match.end() if match else at + 1
