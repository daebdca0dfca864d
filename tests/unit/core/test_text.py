"""Text that can be stored and sent anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.text import storable
from backend.core.values import JSON


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\0b", "a\ufffdb"),
        ("cut emoji \ud83d", "cut emoji \ufffd"),
        ("👍 İ é\n\t", "👍 İ é\n\t"),
        (["\0", 1, None, {"\udc00": ["\0"]}], ["\ufffd", 1, None, {"\ufffd": ["\ufffd"]}]),
    ],
)
def test_what_cannot_be_stored_is_replaced_one_for_one(value: JSON, expected: JSON) -> None:
    assert storable(value) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_becomes_utf8_of_the_same_length(text: str) -> None:
    clean = storable(text)
    assert len(clean) == len(text)
    assert b"\0" not in clean.encode()
    assert storable(clean) == clean
