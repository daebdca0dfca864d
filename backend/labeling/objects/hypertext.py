"""`<HyperText>`: HTML, shown to the model as its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag, attribute, plain
from backend.labeling.objects.page import MAX_DEPTH, read_page
from backend.labeling.objects.sanitised import TooDeep

MAX_HTML_CHARS = 500_000  # about a second of parsing


@dataclass(frozen=True, kw_only=True)
class HyperText(ObjectTag):
    """Blocks begin a new line, as a line end in `<pre>` does; what a reader does not see is left out.

    Regions name text nodes by their xpath and count UTF-16 units in them.
    """

    tag: ClassVar[str] = "HyperText"
    takes_text: ClassVar[bool] = True

    inline: bool = False  # in Label Studio's own page, not in a frame of its own

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        return {"inline": attribute(element, "inline").lower() == "true"}

    def content_of(self, value: JSON) -> Content:
        html = plain(value)
        if len(html) > MAX_HTML_CHARS:
            raise NothingToShow(f"is HTML of more than {MAX_HTML_CHARS:,} characters")
        try:
            page = read_page(html, inline=self.inline)
        except TooDeep:
            raise NothingToShow(f"is HTML of more than {MAX_DEPTH} levels") from None
        return Content(text=page.text, passages=page)
