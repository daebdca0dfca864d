"""`<Text>`: plain text, shown as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.core.values import JSON
from backend.labeling.objects.base import Content, ObjectTag, plain
from backend.labeling.shown import PlainText


@dataclass(frozen=True, kw_only=True)
class Text(ObjectTag):
    """Offsets into it are Unicode code points of the very string in the task's data."""

    tag: ClassVar[str] = "Text"
    takes_text: ClassVar[bool] = True

    def content_of(self, value: JSON) -> Content:
        text = plain(value)
        return Content(text=text, passages=PlainText(text=text))
