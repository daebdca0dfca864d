"""Images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.errors import PrelabelError
from backend.core.values import Media, Picture


class MemoryMedia:
    """`backend.ports.media.MediaSource` over a mapping: an image, a phrase why there is none, or an error to raise."""

    def __init__(self, found: Mapping[str, Picture | str | PrelabelError] | None = None) -> None:
        self.found = dict(found or {})
        self.fetched: list[tuple[int, str]] = []

    async def fetch(self, task_id: int, sources: Sequence[str]) -> Media:
        media: dict[str, Picture | str] = {}
        for source in sources:
            self.fetched.append((task_id, source))
            found = self.found.get(source, "its server answers HTTP 404")
            if isinstance(found, PrelabelError):
                raise found
            media[source] = found
        return media
