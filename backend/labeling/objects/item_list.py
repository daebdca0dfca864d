"""`<List>`: items with an id, a title and a body, such as search results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.core.values import JSON
from backend.labeling.data_values import in_javascript
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag, written
from backend.labeling.objects.page import text_of_html


@dataclass(frozen=True, kw_only=True)
class List(ObjectTag):
    """Each item is shown as `[id] title`, its body and the text of its html below it."""

    tag: ClassVar[str] = "List"

    def content_of(self, value: JSON) -> Content:
        if not isinstance(value, list):
            raise NothingToShow("is not a list of items")
        return Content(text="\n\n".join(shown for item in value if (shown := _item(item))))


def _item(item: JSON) -> str:
    if not isinstance(item, dict):
        return written(item).strip()
    html = item.get("html")
    parts = [
        written(item.get("title")).strip(),
        written(item.get("body")).strip(),
        text_of_html(html) if isinstance(html, str) else "",
    ]
    text = "\n".join(part for part in parts if part)
    return f"[{_id(item.get('id'))}] {text}" if text and item.get("id") is not None else text


def _id(identity: JSON) -> str:
    """As the editor spells it, and rankings name it: 1.0 is 1."""
    return in_javascript(identity) if isinstance(identity, int | float) else written(identity)
