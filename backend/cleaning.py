"""Deletes stored replies of models that nobody has used for PRELABEL_CACHE_DAYS, and vectors of texts that are as old.

The process that watches the workers does it now and then: one process a machine, and nothing of it in the way of a
task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from backend.adapters.clock import utc_now
from backend.core.errors import StoreError
from backend.ports.clock import Clock
from backend.wiring import Parts

_log = logging.getLogger(__name__)

EACH_S = 3600.0
BATCH = 500  # rows in one statement, so that no worker waits long for it
BREATH_S = 5.0  # between two such statements


class Cleaning:
    """Asked often, it works each hour, and a small batch at a time. With the cache off it deletes every reply."""

    def __init__(
        self, parts: Parts, *, clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._monotonic = monotonic
        self._next = monotonic()

    def look(self) -> None:
        """Delete a batch if it is time to. A database that does not answer is told, and asked again in an hour."""
        if self._monotonic() < self._next:
            return
        unused_since = self._clock() - timedelta(days=self._parts.settings.cache_days)
        deleted = 0
        try:
            deleted = self._parts.store.delete_replies(unused_since=unused_since, most=BATCH)
            deleted = max(deleted, self._parts.store.delete_vectors(made_before=unused_since, most=BATCH))
        except StoreError as error:
            _log.warning("old replies and vectors were not deleted", extra={"reason": error.for_log})
        finally:
            self._parts.store.close()  # a fork may come next, and connections do not survive one
        self._next = self._monotonic() + (BREATH_S if deleted == BATCH else EACH_S)
