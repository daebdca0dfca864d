"""Estimated tokens, beside what a real tokenizer counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import Message
from backend.prompting.render import least_tokens
from backend.prompting.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens, text_tokens

# Texts, and how many tokens Qwen 2.5's tokenizer makes of them: by `/tokenize` of llama.cpp's server.
COUNTED = json.loads((Path(__file__).parent / "token_counts.json").read_text(encoding="utf-8"))
TOO_LOW = {"finnish": 0.75}  # the others are not below the truth by more than a twentieth


@pytest.mark.parametrize("name", COUNTED)
def test_the_estimate_is_near_and_rarely_below_what_a_tokenizer_counts(name: str) -> None:
    text, counted = COUNTED[name]["text"], COUNTED[name]["tokens"]
    assert TOO_LOW.get(name, 0.95) * counted <= text_tokens(text) < 2 * counted


def test_every_message_and_image_counts() -> None:
    picture = "data:image/png;base64," + "A" * 100_000
    message = Message(role="user", content="one two", images=(picture, picture))
    assert estimated_tokens([message, message]) == 2 * (MESSAGE_TOKENS + 2 + 2 * IMAGE_TOKENS)
    assert estimated_tokens([]) == 0


@given(st.text(st.characters()), st.text(st.characters()))
def test_the_estimate_lies_between_what_is_surely_there_and_the_bytes(first: str, second: str) -> None:
    message = Message(role="user", content=first)
    assert least_tokens((message,)) <= estimated_tokens([message])
    assert text_tokens(first) <= len(first.encode("utf-8", "surrogatepass"))
    assert text_tokens(first + "\n" + second) >= max(text_tokens(first), text_tokens(second))


def test_no_script_is_free() -> None:
    blocks = ["".join(map(chr, range(first, first + 16))) for first in range(0x80, 0x110000, 16)]
    assert [ascii(block) for block in blocks if text_tokens(block) < 4] == []


def test_a_megabyte_is_estimated_at_once() -> None:
    assert text_tokens("word " * 200_000) == 200_000
    assert text_tokens(" " * 1_000_000) == 31_250
