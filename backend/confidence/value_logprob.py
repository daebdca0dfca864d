"""The probability with which the model wrote exactly this value: for answers that are not one label of a few.

A list of labels, passages, boxes, a number, a date have no small set of other values to normalise over. What can be
read off the tokens is how likely each decision was that makes the value: each string and number in it, and whether the
list goes on or ends. Keys, braces and quotes that the schema demands are no decisions and are left out. Alternatives
that read the same but for case, quotes and space count as the token taken: log-probabilities under a grammar are often
those *before* it.

The product of these is the probability of the whole value given what stands before it, and so at most that of being
right in just these words. It is smaller the more there is to decide, and orders answers better than it says how often
they are right: calibrate it before it is read as a share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from backend.core.values import TokenLogprob

_UNREAD = " \t\r\n\"'`"
_CERTAIN = 1.0 - 1e-9


def value_probability(tokens: Sequence[TokenLogprob], decisions: Sequence[tuple[int, int]]) -> float | None:
    """The product, in [0, 1], over the tokens that reach into one of the `decisions`.

    `decisions` are half-open character ranges in the concatenated tokens, in order (`backend.reading.decisions`).
    None, which is unknown, without any such token, where one carries no alternatives, and where an endpoint reports
    that all were certain and lists nothing else.
    """
    probability, informed, begin, at = 1.0, False, 0, 0
    counted = 0
    for token in tokens:
        end = begin + len(token.token)
        while at < len(decisions) and decisions[at][1] <= begin:
            at += 1
        if at < len(decisions) and decisions[at][0] < end and begin < end:
            if not token.top or math.isnan(token.logprob):
                return None
            taken = _read(token.token)
            mass = math.exp(min(0.0, token.logprob)) + sum(
                math.exp(min(0.0, p)) for t, p in token.top if t != token.token and _read(t) == taken
            )
            probability *= min(1.0, mass)
            informed |= len(token.top) > 1 or mass < _CERTAIN
            counted += 1
        begin = end
    return probability if counted and informed else None


def _read(token: str) -> str:
    return token.strip(_UNREAD).casefold()
