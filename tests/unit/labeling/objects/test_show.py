"""What of a task is shown, and why there may be nothing to show."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

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


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("Read this", {}, "Read this"),
        (" $a ", {"a": "x"}, " x "),
        ("$a by $b", {"a": "Dune", "b": "Herbert"}, "Dune by Herbert"),
        ("$a.b[0]: $n", {"a": {"b": ["first"]}, "n": 1.0}, "first: 1"),
        ("$a, $b", {"a": "x"}, "x, undefined"),
        ("$a, $b", {"a": True, "b": None}, "true, null"),
        ("<b>$a</b>", {"a": "<i>x</i>"}, "<b><i>x</i></b>"),
    ],
)
def test_text_with_variables_is_put_together_as_the_editor_does(value: str, data: dict[str, Any], text: str) -> None:
    tag = Text.parse(Element("Text", name="o", value=value))
    shown = tag.show(data)
    assert (shown.text, shown.problem) == (text, None)
    assert shown.passages is not None
    assert shown.passages.text == text


def test_html_with_variables_is_a_page() -> None:
    tag = HyperText.parse(Element("HyperText", name="o", value="<p>$a</p><p><b>$b</b></p>"))
    shown = tag.show({"a": "x <i>y</i>", "b": 1})
    assert shown.text == "x y\n1"
    assert tag.keys == ("a", "b")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "the data has no key 'a' and no 'b'"),
        ({"a": None, "b": None}, "the data's 'a' and 'b' is null"),
        ({"a": None}, "the data's 'a' and 'b' is null"),
        ({"a": "x", "b": ["y"]}, "the data's 'a' and 'b' is not text"),
        ({"a": {}}, "the data's 'a' and 'b' is not text"),
    ],
)
def test_text_without_its_values_shows_nothing(data: dict[str, Any], problem: str) -> None:
    assert Text.parse(Element("Text", name="o", value="$a by $b")).show(data).problem == problem
