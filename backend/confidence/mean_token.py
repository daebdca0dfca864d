"""The mean probability of all tokens of a reply: MEGAnno+'s score (arXiv 2402.18050), kept only for comparison.

Format tokens are nearly certain and most of a JSON reply, so that a label of probability 0.5 reads as about 0.87. No
prediction gets this number; `prelabel score` prints it next to the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from backend.core.values import TokenLogprob


def mean_token_probability(tokens: Sequence[TokenLogprob]) -> float | None:
    """The mean of exp(logprob) over `tokens` (natural logarithms), in [0, 1].

    None without tokens, for a logprob that is no number, and where an endpoint reports 0.0 for every token with no
    alternatives: a constant says nothing.
    """
    if not tokens or any(math.isnan(t.logprob) for t in tokens):
        return None
    if all(t.logprob >= 0.0 and len(t.top) < 2 for t in tokens):
        return None
    return math.fsum(math.exp(min(0.0, t.logprob)) for t in tokens) / len(tokens)
