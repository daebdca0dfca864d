"""Controls whose shortest answer is longer than an answer may be: refused for the task before a token is spent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from backend.labeling.config import LabelingConfig, Refusal
from backend.labeling.controls import Control
from backend.prompting.tokens import text_tokens

_TOO_HIGH = 2.0  # more often than the estimate is over the truth (`prompting.tokens`), digits apart
_DIGITS = re.compile(r"[0-9]{1,3}")  # what is one token at most with the tokenizers that put the most into one


def answers_that_fit(config: LabelingConfig, max_tokens: int) -> LabelingConfig:
    """The config without the controls whose answer surely does not fit beside the others' in `max_tokens`.

    They are in `refusals`.
    """
    left = float(max_tokens)
    kept: list[Control] = []
    refusals = list(config.refusals)
    for control in config.controls:
        least = _least_tokens(control.must_write)
        if least > left:
            reason = (
                f"has {len(control.must_write):,} items, whose ids alone do not fit in an answer of {max_tokens:,} "
                "tokens: raise PRELABEL_MAX_TOKENS"
            )
            refusals.append(Refusal(tag=control.tag, name=control.name, reason=reason))
        else:
            left -= least
            kept.append(control)
    return (
        config if len(kept) == len(config.controls) else replace(config, controls=tuple(kept), refusals=tuple(refusals))
    )


def _least_tokens(texts: Sequence[str]) -> float:
    """What a list of these strings surely is at least: each a token, and one between it and the next."""
    return sum(1 + max(1.0, text_tokens(_DIGITS.sub("0", text)) / _TOO_HIGH) for text in texts)
