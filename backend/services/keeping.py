"""What was paid for is stored, also where the database cannot take it just now: it is tried until there is room."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from backend.core.errors import StoreError

_log = logging.getLogger(__name__)
LONGEST_S = 300.0
_FIRST_S, _MOST_S = 0.5, 3.0  # between two attempts


class Keeping:
    """Stores for one chunk: told once when the database does not take it, and once when it does again.

    A caller that waits here asks no model meanwhile, so that no more is paid than can be kept.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._away = False

    async def keep(self, save: Callable[[], Awaitable[None]]) -> None:
        """Call `save` until it is done. Raises its `StoreError` after `LONGEST_S`."""
        waited_s, delay_s = 0.0, _FIRST_S
        while True:
            try:
                await save()
            except StoreError as error:
                if waited_s >= LONGEST_S:
                    raise
                if not self._away:
                    _log.error("answers wait to be stored", extra={"reason": error.for_log})
                self._away = True
                await self._sleep(delay_s)
                waited_s, delay_s = waited_s + delay_s, min(_MOST_S, 2 * delay_s)
                continue
            if self._away:
                _log.info("answers are stored again")
            self._away = False
            return
