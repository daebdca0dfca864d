"""`<Chat>`: messages of a role and a content, shown as one line a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.core.values import JSON
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag, written
from backend.labeling.objects.paragraphs import turn_line


@dataclass(frozen=True, kw_only=True)
class Chat(ObjectTag):
    """Contents that are lists of parts, as chat APIs take them, are shown by their texts."""

    tag: ClassVar[str] = "Chat"

    def content_of(self, value: JSON) -> Content:
        if not isinstance(value, list):
            raise NothingToShow("is not a list of messages")
        lines = []
        for message in value:
            if isinstance(message, dict):
                role, text = written(message.get("role")).strip(), _said(message.get("content"))
            else:
                role, text = "", written(message)
            if text.strip():
                lines.append(turn_line(role, text))
        return Content(text="\n".join(lines))


def _said(content: JSON) -> str:
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return written(content)
    parts = (written(part.get("text")) if isinstance(part, dict) else written(part) for part in content)
    return "\n".join(part for part in parts if part)
