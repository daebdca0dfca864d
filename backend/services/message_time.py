"""How long one queue message of model calls may take. The queue ends it after that; it always ends before by itself.

No task is begun after `LONGEST_CHUNK_S`, and none goes on to a further question: whatever hangs, what is left is one
question with all its attempts, the wait for what is already paid, and storing.
"""

from __future__ import annotations

from backend.core.retry import MAX_ATTEMPTS, MAX_DELAY_S
from backend.services.keeping import LONGEST_S as LONGEST_KEEPING_S

LONGEST_CHUNK_S = 240.0
PATIENCE_S = 120.0  # for the further calls of a task, when the model's limit is far off
LONGEST_PROBE_S = 20.0  # of an endpoint, whether it answers
_LEAVES_S = 90.0  # what a call waits for its place, its job's pace and the model's limit before it is given back
_WRITING_S = 300.0  # back to Label Studio, when all is asked
_MARGIN_S = 60.0


def longest_message_s(call_s: float) -> float:
    """Seconds, for calls that take at most `call_s`. One attempt more is made where the others may have failed because
    of this one request; and since a quarter more tasks are in hand than calls in flight, some wait for others' calls.
    """
    calls_s = (MAX_ATTEMPTS + 3) * call_s
    attempts_s = calls_s + (MAX_ATTEMPTS + 1) * _LEAVES_S + MAX_ATTEMPTS * (MAX_DELAY_S + 1.0)
    waits_s = PATIENCE_S + LONGEST_PROBE_S + LONGEST_KEEPING_S + _WRITING_S
    return LONGEST_CHUNK_S + attempts_s + waits_s + _MARGIN_S
