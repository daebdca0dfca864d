"""About how many tokens an answer has, from the shape that is asked for: its keys, labels, numbers and texts.

How long free text is, and how many spans or boxes there are, is not in the shape: usual numbers stand for them. What a
model thinks before it answers is not counted. An answer is never longer than it may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.core.values import JSON
from backend.prompting.tokens import text_tokens

LEAST, LIKELY, MOST = 0.5, 0.65, 1.1  # real tokens as shares of the estimate: JSON is over-estimated (`tokens.py`)
_DEEPEST = 12
_NUMBERS = 3.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """Tokens, as they are estimated: at least, likely, and rarely more."""

    least: float
    likely: float
    most: float

    def __add__(self, other: Size) -> Size:
        return Size(least=self.least + other.least, likely=self.likely + other.likely, most=self.most + other.most)

    def times(self, least: float, likely: float, most: float) -> Size:
        return Size(least=self.least * least, likely=self.likely * likely, most=self.most * most)


NO_TOKENS = Size(least=0, likely=0, most=0)
_TEXT = Size(least=3, likely=40, most=250)  # free text of its own
_QUOTE = Size(least=3, likely=8, most=40)  # a text in a list: a passage, a name, a remark
_ITEMS = (0.0, 3.0, 12.0)  # spans or boxes of one task
_CHOSEN = (0.0, 1.5, 4.0)  # of a list of labels, as far as there are so many


def answer_tokens(schema: Mapping[str, JSON], max_tokens: int) -> Size:
    """Of one answer to a request with this JSON schema."""
    size = _of(schema, inside=False, depth=0) + Size(least=1, likely=2, most=4)  # its end; white space
    size = size.times(LEAST, LIKELY, MOST)
    return Size(least=min(size.least, max_tokens), likely=min(size.likely, max_tokens), most=min(size.most, max_tokens))


def _of(schema: JSON, *, inside: bool, depth: int) -> Size:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return NO_TOKENS
    if isinstance(schema.get("enum"), Sequence) or "const" in schema:
        return _one_of(schema.get("enum") or [schema.get("const")])
    if isinstance(schema.get("anyOf"), Sequence):
        return _any_of([_of(one, inside=inside, depth=depth + 1) for one in schema["anyOf"]])
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):  # "string or null"
        return _any_of([_of({**schema, "type": one}, inside=inside, depth=depth + 1) for one in kind])
    if kind == "object":
        size = Size(least=2, likely=2, most=2)
        for name, one in (schema.get("properties") or {}).items():
            key = text_tokens(json.dumps(name, ensure_ascii=False)) + 2.0
            size += Size(least=key, likely=key, most=key) + _of(one, inside=inside, depth=depth + 1)
        return size
    if kind == "array":
        return _list_of(schema, depth)
    if kind == "string":
        return _QUOTE if inside else _TEXT
    return (
        Size(least=1, likely=2, most=_NUMBERS * 2) if kind in ("number", "integer") else Size(least=1, likely=1, most=1)
    )


def _list_of(schema: Mapping[str, JSON], depth: int) -> Size:
    items = schema.get("items")
    options = items.get("enum") if isinstance(items, Mapping) else None
    counts = _CHOSEN if options else _ITEMS
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    low = fewest if isinstance(fewest, int) else 0
    high = most if isinstance(most, int) else max(low, counts[2])
    high = min(high, len(options)) if options else high
    numbers = [min(max(count, low), high) for count in counts]
    comma = Size(least=1, likely=1, most=1)
    size = _of(items, inside=True, depth=depth + 1) + comma
    return size.times(numbers[0], numbers[1], numbers[2]) + Size(least=2, likely=2, most=2)


def _one_of(options: Sequence[JSON]) -> Size:
    sizes = [float(text_tokens(json.dumps(option, ensure_ascii=False))) for option in options[:500]]
    return Size(least=min(sizes), likely=sum(sizes) / len(sizes), most=max(sizes))


def _any_of(sizes: Sequence[Size]) -> Size:
    if not sizes:
        return NO_TOKENS
    return Size(
        least=min(size.least for size in sizes),
        likely=max(size.likely for size in sizes),
        most=max(size.most for size in sizes),
    )
