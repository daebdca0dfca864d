"""`<Pdf>`: a document, shown to the model page by page: its text, and images of pages whose text is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from backend.core.text import storable
from backend.core.values import JSON, Document, Media
from backend.labeling.data_values import ABSENT, look_up
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag
from backend.labeling.shown import Shown, ShownImage


@dataclass(frozen=True, kw_only=True)
class Pdf(ObjectTag):
    """Text goes before images: it costs a tenth of their tokens, and models misread small print."""

    tag: ClassVar[str] = "Pdf"

    def documents(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        try:
            return (self._source(data),)
        except NothingToShow:
            return ()

    def show(self, data: Mapping[str, JSON]) -> Shown:
        return self.show_loaded(data, {}, 1)

    def show_loaded(self, data: Mapping[str, JSON], media: Media, first: int) -> Shown:
        try:
            found = media.get(self._source(data), "it was not asked for")
            if not isinstance(found, Document):
                why = found if isinstance(found, str) else "it is an image"
                raise NothingToShow(f"could not be loaded: {why}")
            return self._pages(found, first)
        except NothingToShow as nothing:
            return Shown(name=self.name, text="", problem=f"the data's {self.variable!r} {nothing}")

    def content_of(self, value: JSON) -> Content:
        raise NothingToShow("is a document, and none was loaded")

    def _pages(self, document: Document, first: int) -> Shown:
        parts: list[str] = []
        images: list[ShownImage] = []
        for number, page in enumerate(document.pages, start=1):
            head, text = f"Page {number}", str(storable(page.text)).strip()
            if page.picture is not None:
                images.append(ShownImage(number=first + len(images), picture=page.picture))
                head += f" (Image {images[-1].number})"
            elif not text:
                text = "(an image that is not shown)" if page.partial else "(empty)"
            parts.append(f"{head}:\n{text}" if text else head)
        partial = [str(number) for number, page in enumerate(document.pages, start=1) if page.partial]
        if not images and not any(page.text.strip() for page in document.pages):
            raise NothingToShow("holds no text, and the model takes no images" if partial else "has empty pages only")
        notes = [f"shown without an image: page {', '.join(partial)}"] if partial else []
        last, count = len(document.pages), document.page_count
        if count > last:
            parts.append(f"(The document has {count} pages; the first {last} are given.)")
            notes.append(f"of its {count} pages the first {last} are shown")
        told = tuple(f"the data's {self.variable!r}: {note}" for note in notes)
        return Shown(name=self.name, text="\n\n".join(parts), images=tuple(images), notes=told)

    def _source(self, data: Mapping[str, JSON]) -> str:
        """Where the document comes from. Raises `NothingToShow`."""
        value = look_up(data, self.variable)
        if value is ABSENT:
            raise NothingToShow("is not there")
        if value is None or value == "":
            raise NothingToShow("is empty")
        if not isinstance(value, str) or not value.strip():
            raise NothingToShow("is not the address of a document")
        return str(storable(value)).strip()
