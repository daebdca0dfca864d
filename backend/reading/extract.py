"""The JSON object inside a reply: strict, then mended; and where each of its values stands in the reply.

Positions matter because a label's probability is read off the tokens at the value's own place
(`backend.confidence.label_logprob`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import json_repair

MAX_REPLY_CHARS = 200_000  # longer replies are read up to here; no labelling answer is that long
_MAX_MENDED_CHARS = 20_000  # mending tries many readings: longer stretches are cut
_MAX_DEPTH = 60  # deeper nesting is no answer to any of our schemas, and would exhaust the stack
_THINKING = re.compile(r"\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The top-level object of a reply.

    `positions` gives, for values read strictly, the half-open character range in the reply, quotes included.
    `values` is None when the reply holds no object.
    """

    values: dict[str, Any] | None
    step: str | None  # "strict_json", "mended_json" or None
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)


def extract_object(text: str) -> Extracted:
    """Read the JSON object in `text`. Never raises."""
    text = text[:MAX_REPLY_CHARS]
    blanked = without_thinking(text)
    start = blanked.find("{")
    if start < 0 or _depth(blanked) > _MAX_DEPTH:
        return Extracted(values=None, step=None)
    positions: dict[str, tuple[int, int]] = {}
    try:
        values, end = _scan_object(blanked, start, positions)
    except (ValueError, IndexError, RecursionError):
        return _mended(blanked[start:])
    surrounded = bool(blanked[:start].strip() or blanked[end:].strip())
    return Extracted(values=values, step="mended_json" if surrounded else "strict_json", positions=positions)


def without_thinking(text: str) -> str:
    """`text` with the thinking before the answer blanked; of the same length, so that positions stay true.

    Thinking is what a reply begins with between its tags. Some servers swallow the opening tag: then it is what
    stands before a closing one. A tag inside the answer, as in a quoted passage, is left alone.
    """
    end = 0
    while match := _THINKING.match(text, end):
        end = match.end()
    closed = _THOUGHT.search(text, end)
    if closed:
        thought, answer = text[end : closed.start()], text[closed.end() :]
        quoted = thought.lstrip().startswith(("{", "`")) or ("{" in thought and "{" not in answer)
        end = end if quoted else closed.end()
    return " " * end + text[end:]


def _scan_object(text: str, start: int, positions: dict[str, tuple[int, int]]) -> tuple[dict[str, Any], int]:
    """A strict JSON object at `start`, and where it ends; notes each top-level value's range. Raises ValueError."""
    decoder = json.JSONDecoder()
    values: dict[str, Any] = {}
    at = _skip(text, start + 1)
    if text[at] == "}":
        return values, at + 1
    while True:
        if text[at] != '"':
            raise ValueError("a key must be a string")
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("a key must be followed by a colon")
        begin = _skip(text, at + 1)
        values[key], at = decoder.raw_decode(text, begin)
        positions[key] = (begin, at)
        at = _skip(text, at)
        if text[at] == "}":
            return values, at + 1
        if text[at] != ",":
            raise ValueError("values must be parted by commas")
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _depth(text: str) -> int:
    """The deepest nesting of brackets, strings not told apart: an upper bound."""
    depth = deepest = 0
    for character in text:
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth = max(0, depth - 1)
    return deepest


def _mended(text: str) -> Extracted:
    try:
        value = json_repair.loads(text[:_MAX_MENDED_CHARS], skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError):
        return Extracted(values=None, step=None)
    if isinstance(value, list):  # json_repair answers a list when prose follows the object
        value = next((v for v in value if isinstance(v, dict)), None)
    if not isinstance(value, dict) or not value:
        return Extracted(values=None, step=None)
    return Extracted(values={str(k): v for k, v in value.items()}, step="mended_json")
