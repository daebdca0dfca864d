"""The service, `prelabel serve`, as the commands see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Service(Protocol):
    """The service at an address, asked from here."""

    def started_with(self, url: str) -> Mapping[str, str] | None:
        """The fingerprints of the settings that it was started with; None when it cannot be asked from here, which
        proves nothing: only Label Studio has to reach it. Raises `SettingsError` when it wants other credentials."""
        ...
