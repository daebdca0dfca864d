"""What a task refers to and does not hold: images and documents at URLs, in storages, in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from backend.core.values import Media


class MediaSource(Protocol):
    """Loads images and documents, each as annotators see it and small enough for a model."""

    async def fetch(self, task_id: int, sources: Sequence[str]) -> Media:
        """Every source with its image, or the phrase that says why it cannot be loaded.

        Raises `MediaUnreachable` where trying again later may help.
        """
        ...

    async def fetch_documents(self, task_id: int, sources: Sequence[str], *, pictures: bool) -> Media:
        """Every source with its document, or the phrase that says why it cannot be loaded.

        With `pictures`, pages whose text may not be all that they say have an image too. Raises `MediaUnreachable`.
        """
        ...
