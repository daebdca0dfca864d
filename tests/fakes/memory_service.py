"""The service as the commands see it, in memory."""

from __future__ import annotations

from collections.abc import Mapping

from backend.core.errors import SettingsError


class MemoryService:
    """`backend.ports.service.Service`. The public attributes are switches and may be changed at any time."""

    def __init__(self) -> None:
        self.told: Mapping[str, str] | None = None  # None: it cannot be asked from here
        self.refusal: str | None = None  # it wants other credentials, and this is the sentence

    def started_with(self, url: str) -> Mapping[str, str] | None:
        if self.refusal is not None:
            raise SettingsError(self.refusal)
        return self.told
