"""`<Text>`: plain text, shown as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.labeling.objects.base import ObjectTag


@dataclass(frozen=True, kw_only=True)
class Text(ObjectTag):
    """Offsets into it are Unicode code points of the very string in the task's data."""

    tag: ClassVar[str] = "Text"

    def text_of(self, value: str) -> str:
        return value
