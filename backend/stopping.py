"""A stop that reaches the process that works on a message: what it has not begun it gives back.

RQ's own stop waits for the message that is in hand. The worker passes its SIGTERM on as SIGUSR1, which its fork has
been listening for since before it was one.
"""

from __future__ import annotations

import signal
from types import FrameType

STOP = signal.SIGUSR1
_asked = False


def listen() -> None:
    """In the main thread, before any fork."""
    signal.signal(STOP, _ask)


def asked() -> bool:
    """Whether this process is to begin nothing more."""
    return _asked


def _ask(_: int, __: FrameType | None) -> None:
    global _asked
    _asked = True
