"""What of a task is shown, and why there may be nothing to show."""

from __future__ import annotations

from typing import Any

import pytest

from backend.labeling.objects import ObjectTag
from backend.labeling.objects.hypertext import HyperText
from backend.labeling.objects.text import Text

KINDS = [Text(name="o", variable="text"), HyperText(name="o", variable="text")]


@pytest.mark.parametrize("tag", KINDS)
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "the data has no key 'text'"),
        ({"other": "x"}, "the data has no key 'text'"),
        ({"text": None}, "the data's 'text' is null"),
        ({"text": ""}, "the data's 'text' is empty"),
        ({"text": " \n\t\u00a0"}, "the data's 'text' is empty"),
        ({"text": ["a"]}, "the data's 'text' is not text"),
        ({"text": {"a": 1}}, "the data's 'text' is not text"),
    ],
)
def test_nothing_to_show(tag: ObjectTag, data: dict[str, Any], problem: str) -> None:
    shown = tag.show(data)
    assert shown.problem == problem
    assert shown.is_empty


@pytest.mark.parametrize("tag", KINDS)
@pytest.mark.parametrize(("value", "text"), [("a b", "a b"), (12, "12"), (1.5, "1.5"), (0, "0"), (False, "False")])
def test_something_to_show(tag: ObjectTag, value: Any, text: str) -> None:
    shown = tag.show({"text": value})
    assert (shown.name, shown.text, shown.problem) == ("o", text, None)


def test_html_without_text_is_empty() -> None:
    assert KINDS[1].show({"text": "<p> </p>"}).problem == "the data's 'text' is empty"


@pytest.mark.parametrize("text", ["  spaces stay  ", "a\r\nb", "{'''}", "e\u0301", "<p>tags stay</p>", "\u202eabc"])
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert KINDS[0].show({"text": text}).text == text


def test_what_cannot_be_sent_is_replaced_one_for_one() -> None:
    assert KINDS[0].show({"text": "Ann \ud83d\0 Bob"}).text == "Ann \ufffd\ufffd Bob"
