"""The probability with which the model wrote exactly this value: for answers that are not one label of a few.

A list of labels, passages, boxes, a number, a date have no small set of other values to normalise over. What can be
read off the tokens is how likely each decision was that makes the value: each string and number in it, whether there
is anything at all, and whether the list goes on or ends. Keys, braces and quotes that the schema demands are no
decisions and are left out. Alternatives that read the same but for case, quotes and space count as the token taken:
log-probabilities under a grammar are often those *before* it.

The product of these is the probability of the whole value given what stands before it, and so at most that of being
right in just these words. It is smaller the more there is to decide, and orders answers better than it says how often
they are right: calibrate it before it is read as a share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from backend.confidence.decisions import Decision
from backend.core.values import TokenLogprob

_UNREAD = " \t\r\n\"'`"
_CERTAIN = 1.0 - 1e-9


def value_probability(tokens: Sequence[TokenLogprob], decisions: Sequence[Decision]) -> float | None:
    """The product, in [0, 1], over the tokens that reach into one of the `decisions`, which are in order.

    None, which is unknown, without any such token, where one carries no alternatives, and where an endpoint reports
    that all were certain and lists nothing else.
    """
    probability, informed, counted, begin, at = 1.0, False, 0, 0, 0
    for token in tokens:
        end = begin + len(token.token)
        while at < len(decisions) and decisions[at].end <= begin:
            at += 1
        reached = [d for d in _up_to(decisions, at, end) if d.end > begin] if begin < end else []
        if reached:
            if not token.top or math.isnan(token.logprob):
                return None
            if any(not d.instead for d in reached):
                mass = _same(token)
            else:
                mass = math.prod(1.0 - _instead(token, begin, d) for d in reached)
            probability *= min(1.0, max(0.0, mass))
            informed |= len(token.top) > 1 or mass < _CERTAIN
            counted += 1
        begin = end
    return probability if counted and informed else None


def _up_to(decisions: Sequence[Decision], at: int, end: int) -> Iterator[Decision]:
    """From the one at index `at` on, those that begin before the character `end`."""
    return takewhile(lambda decision: decision.begin < end, islice(decisions, at, None))


def _same(token: TokenLogprob) -> float:
    """The mass of what reads as the token taken."""
    taken = _read(token.token)
    return math.exp(min(0.0, token.logprob)) + sum(
        math.exp(min(0.0, p)) for t, p in token.top if t != token.token and (not t.strip() or _read(t) == taken)
    )


def _instead(token: TokenLogprob, begin: int, decision: Decision) -> float:
    """The mass of tokens that would have written the other text: a list's end behind its bracket, null for a string."""
    opened = decision.begin + (decision.instead == "]") - begin  # from where on in the token the other text would stand
    lead = token.token[: max(0, opened)].strip()
    mass = 0.0
    for other, logprob in token.top:
        rest = other.strip()
        if other != token.token and rest.startswith(lead):
            rest = rest[len(lead) :].lstrip()
            if rest and (rest.startswith(decision.instead) or decision.instead.startswith(rest)):
                mass += math.exp(min(0.0, logprob))
    return mass


def _read(token: str) -> str:
    return token.strip(_UNREAD).casefold()
