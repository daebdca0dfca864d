"""How many tokens a prompt has, estimated without a tokenizer: every model has its own, and few endpoints tell it.

The estimate is meant to be rarely too low and never far too high. Its weights are measured against Qwen 2.5's
tokenizer, whose vocabulary grew out of OpenAI's cl100k (`tests/unit/prompting/token_counts.json`): whole
prompts of the default template come out at 1.5 to 1.7 times the truth, English at 1.1 to 1.4, code, labels and JSON at
1.4 to 1.7, other languages and scripts at 1.0 to 1.9. Too low are Finnish, with its long words in plain letters, by a
quarter, and letters that make no words (keys, base64), by about a half.
What is surely there, whatever the tokenizer, is `render.least_tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from backend.core.values import Message

MESSAGE_TOKENS = 8  # a chat template's marks and role around each message; OpenAI's and ChatML's have 3 to 5
# The most that OpenAI's tiles come to at full detail: 85, and 170 for each 512-pixel square of at most 768 by 2,048.
IMAGE_TOKENS = 1_445
_KINDS: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (r"[A-Z]?[a-z]{1,4}|[A-Z]{1,3}", 1.0),  # pieces of words in plain letters; the space before one is part of it
        (r"[!-@\[-`{-~\n\x00-\x08\x0e-\x1f\x7f]", 1.0),  # digits, punctuation, line ends, control characters
        (r"[ \t\r\v\f](?=[!-@\[-`{-~])|[ \t\r\v\f]{2,32}", 1.0),  # spaces before those, and runs of spaces
        # Scripts, by the character: Latin with marks, Greek, Thai, Hangul, kana, Chinese characters, full width.
        (
            r"[\u0080-\u02ff\u0370-\u03ff\u0e00-\u0e7f\u1100-\u11ff\u2000-\u206f"
            r"\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]",
            1.0,
        ),
        (r"[\u1e00-\u1eff]", 0.3),  # Vietnamese, mostly: whole syllables are tokens
        (r"[\u0400-\u052f]", 0.6),  # Cyrillic
        (r"[\u0590-\u06ff\u0750-\u077f]", 0.7),  # Hebrew, Arabic
        # Everything else: Indic scripts, Georgian, Ethiopic, symbols; then emoji and rare characters.
        (
            r"[\u0300-\u036f\u0530-\u058f\u0700-\u074f\u0780-\u0dff\u0e80-\u10ff\u1200-\u1dff\u1f00-\u1fff"
            r"\u2070-\u2fff\ua000-\uabff\ud7b0-\ufeff\ufff0-\uffff]",
            1.5,
        ),
        (r"[\U00010000-\U0010ffff]", 2.0),
    )
)


def estimated_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens the messages are, their images and the chat template's marks included."""
    return sum(MESSAGE_TOKENS + text_tokens(m.content) + IMAGE_TOKENS * len(m.images) for m in messages)


@lru_cache(maxsize=128)  # of a prompt it is asked twice: whether it fits the window, and before its call
def text_tokens(text: str) -> int:
    """About how many tokens `text` is."""
    return round(sum(tokens * sum(1 for _ in kind.finditer(text)) for kind, tokens in _KINDS))
