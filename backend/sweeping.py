"""The process of the sweeper (`services/sweeper.py`): it has the lock, or waits for whoever has it to die."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

from backend.core.errors import PrelabelError, QueueError
from backend.wiring import Parts

_log = logging.getLogger(__name__)
LOOK_S = 4.0  # between two looks
_AGAIN_S = 2.0  # until the lock is asked for again


def sweep(parts: Parts) -> None:
    """Look around until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    told = ""
    while not stop.wait(_AGAIN_S):
        try:
            with parts.queue.sweeper_lock() as keep:
                if keep is not None:
                    _looks(parts, keep, stop)
            told = ""
        except QueueError:  # the process that watches the workers tells of a Redis that is away
            continue
        except PrelabelError as error:
            if str(error) != told:  # each of them once
                _log.error("the sweeper cannot look", extra={"reason": error.for_log})
            told = str(error)


def _looks(parts: Parts, keep: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        keep()
        parts.sweeper.look()
        stop.wait(LOOK_S)
