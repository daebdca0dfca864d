"""`<Table>`: keys and values, or rows of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from backend.core.values import JSON
from backend.labeling.objects.base import Content, ObjectTag, plain, written


@dataclass(frozen=True, kw_only=True)
class Table(ObjectTag):
    """A line `key: value` for each key of an object, a line for each row of a list. CSV is shown as it is."""

    tag: ClassVar[str] = "Table"

    def content_of(self, value: JSON) -> Content:
        if isinstance(value, str):
            value = _parsed(value)
        if isinstance(value, dict):
            return Content(text="\n".join(_pairs(value)))
        if not isinstance(value, list):
            return Content(text=plain(value))
        rows = (", ".join(_pairs(row)) if isinstance(row, dict) else _row(row) for row in value)
        return Content(text="\n".join(row for row in rows if row.strip()))


def _parsed(text: str) -> JSON:
    """A string that holds JSON, as the editor takes it too; any other text as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _pairs(row: dict[str, JSON]) -> list[str]:
    return [f"{written(key)}: {written(value)}" for key, value in row.items() if written(value)]


def _row(row: JSON) -> str:
    return ": ".join(written(cell) for cell in row) if isinstance(row, list) and len(row) == 2 else written(row)
