"""Images and documents in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.errors import PrelabelError
from backend.core.values import Document, Media, Picture


class MemoryMedia:
    """`backend.ports.media.MediaSource` over a mapping: what is there, a phrase why not, or an error to raise."""

    def __init__(self, found: Mapping[str, Picture | Document | str | PrelabelError] | None = None) -> None:
        self.found = dict(found or {})
        self.fetched: list[tuple[int, str]] = []
        self.pictures: list[bool] = []  # of documents: whether images of pages were wanted

    async def fetch(self, task_id: int, sources: Sequence[str]) -> Media:
        media: dict[str, Picture | Document | str] = {}
        for source in sources:
            self.fetched.append((task_id, source))
            found = self.found.get(source, "its server answers HTTP 404")
            if isinstance(found, PrelabelError):
                raise found
            media[source] = found
        return media

    async def fetch_documents(self, task_id: int, sources: Sequence[str], *, pictures: bool) -> Media:
        self.pictures.append(pictures)
        return await self.fetch(task_id, sources)
