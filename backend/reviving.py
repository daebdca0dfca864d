"""Looks after jobs whose tasks are being read: where the message for it was lost, there is a new one. The process that
watches the workers does it now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from backend.core.errors import QueueError, StoreError
from backend.services.enlisting import revive
from backend.wiring import Parts

_log = logging.getLogger(__name__)

EACH_S = 20.0


class Reviving:
    """Asked often, it works three times a minute."""

    def __init__(self, parts: Parts, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._monotonic = monotonic
        self._next = monotonic()

    def look(self) -> None:
        """A database or a Redis that does not answer is told, and asked again later."""
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + EACH_S
        try:
            revive(self._parts.store, self._parts.queue)
        except (QueueError, StoreError) as error:
            _log.warning("jobs were not looked after", extra={"reason": str(error)})
        finally:
            self._parts.store.close()  # a fork may come next, and connections do not survive one
