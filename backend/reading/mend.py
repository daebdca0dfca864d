"""JSON as models write it when nothing holds them to it: quotes of other kinds, no quotes, a comma too many, no end.

Nothing is guessed. A scalar counts only where what stands between its colon and the next comma, bracket or end is
exactly that scalar: `3 or 4` is not 3, `"positive"?` is not "positive". A list, string or object that is not closed
was cut off. Every scan goes forward only, so that the time is linear in the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from backend.core.values import JSON
from backend.reading.given import CUT, UNCLEAR, Given, is_deep

_CLOSING_QUOTES = {'"': '"', "'": "'", "“": "”\"", "”": "”", "„": "“”", "«": "»", "‘": "’", "`": "`"}  # fmt: skip
_SPACE = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_QUOTED_KEY = re.compile(r'["“”„«\'`]([^"“”„«»\'`\n]{1,200})["“”»\'`][ \t\r\n]*+:')
_BARE_KEY = re.compile(r"([^\W\d][\w .\-/]{0,100}?) ?:")
_BEGUN_KEY = re.compile(r'["“„«\'][^"“”„«»\'\n]*+\Z')
_STRETCH = re.compile(r"[^,}\]\n]*+")
_AFTER_STRING = re.compile(r'[ \t\r\n]*+(?:[,}\]]|\Z|//|/\*|["“\'][^"“”\'\n]{1,100}["”\'] ?:)')
_NOT_BARE = re.compile("[\"“”„«»`{\\[]|(?<!\\w)'|'(?!\\w)")
_LITERALS = {"True": True, "False": False, "None": None}
_STRICT = json.JSONDecoder()
_LENIENT = json.JSONDecoder(strict=False)  # takes line breaks inside strings


class _Unclear(Exception):
    """What stands here is no value, or more than one."""


class _Cut(Exception):
    """The text ended inside the value; `partial` are the whole items of a list."""

    def __init__(self, partial: list[JSON] | None = None) -> None:
        super().__init__()
        self.partial = partial


@dataclass(frozen=True, kw_only=True)
class MendedObject:
    """The pairs of an object and where it ends; None: it is broken and the end is not known."""

    pairs: tuple[Given, ...]
    end: int | None
    closed: bool = False  # by its own brace, not by the end of the text


def mended_object(text: str, start: int, offset: int = 0) -> MendedObject:
    """The object at the brace `start`; `offset` is added to positions. Never raises."""
    return _Reader(text=text, offset=offset).pairs(start)


def mended_list(text: str, start: int, key: str) -> tuple[Given, int]:
    """The list at the bracket `start` under `key`, and where it ends. Never raises."""
    return _Reader(text=text).given(key, start)


@dataclass(kw_only=True)
class _Reader:
    text: str
    offset: int = 0
    depth: int = 0
    hopeless: dict[str, int] = field(default_factory=dict)  # kind of quote -> from where on nothing closes it

    def pairs(self, start: int) -> MendedObject:
        """Pair after pair until the closing brace or the end of the text."""
        found: list[Given] = []
        at = self.skip(start + 1)
        while at < len(self.text):
            if self.text[at] == "}":
                return MendedObject(pairs=tuple(found), end=at + 1, closed=True)
            if self.text[at] == ",":
                at = self.skip(at + 1)
                continue
            key, after = self.key(at)
            if key is None:
                if _BEGUN_KEY.match(self.text, at):
                    break
                # `{"a": "x", "y"}`: what is the value of "a"? All that was read is in doubt.
                return MendedObject(pairs=tuple(_doubted(one) for one in found), end=None)
            given, at = self.given(key, self.skip(after))
            found.append(given)
            at = self.skip(at)
        return MendedObject(pairs=tuple(found), end=len(self.text))

    def given(self, key: str, begin: int) -> tuple[Given, int]:
        """The value at `begin`, and where to go on."""
        strict = self.strict(begin, _STRICT)
        try:
            value, end, unquoted = (*strict, False) if strict else self.value(begin)
            if is_deep(value):
                raise _Unclear
        except _Cut as cut:
            return Given(key=key, value=cut.partial, step="mended_json", fault=CUT), len(self.text)
        except _Unclear:
            stretch = _STRETCH.match(self.text, begin)
            end = max(stretch.end() if stretch else begin, begin + 1)
            raw = self.text[begin : min(end, begin + 200)].strip()
            return Given(key=key, value=raw, step="mended_json", fault=UNCLEAR), end
        scalar = not isinstance(value, list | dict) and (strict is None or not isinstance(value, str))
        given = Given(
            key=key,
            value=value,
            step="mended_json",
            position=(begin + self.offset, end + self.offset) if strict else None,
            strict=strict is not None,
            unquoted=unquoted,
            at_end=scalar and self.skip(end) >= len(self.text),
        )
        return given, end

    def value(self, at: int) -> tuple[JSON, int, bool]:
        """A value, where it ends, and whether it stands without quotes. Raises `_Cut` or `_Unclear`."""
        found = self.strict(at, _STRICT) or self.strict(at, _LENIENT)
        if found:
            return (*found, False)
        if at >= len(self.text):
            raise _Cut
        character = self.text[at]
        if character in "{[":
            self.depth += 1
            if self.depth > 50:
                raise _Unclear
            container = self.object(at) if character == "{" else self.list(at)
            self.depth -= 1
            return (*container, False)
        if character in _CLOSING_QUOTES:
            return (*self.string(at), False)
        return self.word(at)

    def strict(self, at: int, decoder: json.JSONDecoder) -> tuple[JSON, int] | None:
        """A JSON value that is followed by a comma, a bracket, the next key or the end."""
        try:
            value, end = decoder.raw_decode(self.text, at)
        except (ValueError, RecursionError):
            return None
        if is_deep(value) or not _AFTER_STRING.match(self.text, self.skip(end)):
            return None
        return value, end

    def object(self, at: int) -> tuple[dict[str, JSON], int]:
        found = self.pairs(at)
        if found.end is None or any(p.fault == UNCLEAR for p in found.pairs):
            raise _Unclear
        if any(p.fault for p in found.pairs) or not found.closed:
            raise _Cut
        values: dict[str, JSON] = {}
        for pair in found.pairs:
            if values.get(pair.key, pair.value) != pair.value or (pair.unquoted and not str(pair.value).isalnum()):
                raise _Unclear
            values[pair.key] = pair.value
        return values, found.end

    def list(self, at: int) -> tuple[list[JSON], int]:
        items: list[JSON] = []
        at = self.skip(at + 1)
        while at < len(self.text):
            if self.text[at] == "]":
                return items, at + 1
            if self.text[at] == ",":
                at = self.skip(at + 1)
                continue
            try:
                item, at, _ = self.value(at)
            except _Cut:
                break
            items.append(item)
            at = self.skip(at)
        raise _Cut(items)

    def string(self, at: int) -> tuple[str, int]:
        """A string in any quotes; a quote closes it only where a comma, a bracket, a key or the end follows."""
        opening = self.text[at]
        closing = _CLOSING_QUOTES[opening]
        if at >= self.hopeless.get(opening, len(self.text)):
            raise _Unclear
        seen = False
        for piece in re.compile(rf"\\.|[{closing}]", re.DOTALL).finditer(self.text, at + 1):
            if len(piece.group()) == 1:
                seen = True
                if _AFTER_STRING.match(self.text, piece.end()):
                    return _unescaped(self.text[at + 1 : piece.start()]), piece.end()
        if not seen:
            raise _Cut
        self.hopeless[opening] = at
        raise _Unclear

    def word(self, at: int) -> tuple[JSON, int, bool]:
        """What stands without quotes up to the next comma, bracket or line break."""
        stretch = _STRETCH.match(self.text, at)
        end = stretch.end() if stretch else at
        raw = self.text[at:end].strip()
        if not raw or _NOT_BARE.search(raw):
            raise _Unclear
        if raw in _LITERALS:
            return _LITERALS[raw], end, False
        return raw, end, True

    def key(self, at: int) -> tuple[str | None, int]:
        """A key and where its colon ends; None where there is none."""
        if self.text[at] == '"':
            try:
                key, end = _LENIENT.raw_decode(self.text, at)
            except ValueError:
                return None, at
            end = self.skip(end)
            return (key, end + 1) if self.text[end : end + 1] == ":" else (None, at)
        match = _QUOTED_KEY.match(self.text, at) or _BARE_KEY.match(self.text, at)
        return (match.group(1).strip(), match.end()) if match else (None, at)

    def skip(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at


def _doubted(given: Given) -> Given:
    return Given(key=given.key, value=given.value, step=given.step, fault=given.fault or UNCLEAR)


def _unescaped(inner: str) -> str:
    escaped = re.sub(r"\\.|\"", lambda m: {'"': '\\"', "\\'": "'"}.get(m.group(), m.group()), inner, flags=re.DOTALL)
    try:
        text, _ = _LENIENT.raw_decode(f'"{escaped}"')
    except ValueError:
        return inner
    return str(text)
