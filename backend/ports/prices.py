"""What model calls cost."""

from __future__ import annotations

from typing import Protocol


class Prices(Protocol):
    """Prices of one installation."""

    def price(self, model: str, prompt_tokens: int, completion_tokens: int, endpoint: str) -> float | None:
        """What one call costs in US dollars; None where that is not known. Asks nobody."""
        ...
