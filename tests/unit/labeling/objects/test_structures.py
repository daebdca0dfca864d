"""Dialogues, chats, lists and tables: what is shown of whatever the data holds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON
from backend.labeling.objects import SUPPORTED, ObjectTag
from backend.labeling.parsing import parse_config


def tag(kind: str, attributes: str = 'value="$x"') -> ObjectTag:
    xml = f'<View><{kind} name="o" {attributes}/><TextArea name="c" toName="o"/></View>'
    (only,) = parse_config(xml).objects
    return only


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("Paragraphs", [{"author": "Ann", "text": "Hi"}, {"author": "Bob", "text": "Ho"}], "Ann: Hi\nBob: Ho"),
        ("Paragraphs", [{"text": "Hi"}, {"author": None, "text": "Ho"}, {"author": "Bob"}], "Hi\nHo"),
        ("Paragraphs", [{"author": 1, "text": 2}, "plain", None, 3, []], "1: 2\nplain\n3\n[]"),
        ("Paragraphs", [{"author": "Ann", "text": {"a": ["é"]}}], 'Ann: {"a": ["é"]}'),
        (
            "Chat",
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
            "user: Hi\nassistant: Ho",
        ),
        ("Chat", [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}], "user: a\nb"),
        ("Chat", [{"role": "tool", "content": None}, {"content": {"text": "x"}}, "y", 1], "x\ny\n1"),
        (
            "List",
            [{"id": 1, "title": "One", "body": "first"}, {"id": "b", "title": "Two"}],
            "[1] One\nfirst\n\n[b] Two",
        ),
        ("List", [{"id": 1, "html": "<p>a<p>b"}, {"id": 2}, {"title": "t"}, "s", None], "[1] a\nb\n\nt\n\ns"),
        ("Table", {"b": 1, "a": "x", "none": None, "deep": {"y": [1]}}, 'b: 1\na: x\ndeep: {"y": [1]}'),
        ("Table", [{"a": 1, "b": 2}, {"a": 3}], "a: 1, b: 2\na: 3"),
        ("Table", [["key", "value"], [1, 2, 3], "x", None], "key: value\n[1, 2, 3]\nx"),
        ("Table", '{"a": 1}', "a: 1"),
        ("Table", '[{"a": 1}]', "a: 1"),
        ("Table", "a,b\n1,2", "a,b\n1,2"),
        ("Table", "{broken", "{broken"),
        ("Table", 5, "5"),
    ],
)
def test_shown(kind: str, value: JSON, text: str) -> None:
    shown = tag(kind).show({"x": value})
    assert (shown.text, shown.problem) == (text, None)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("Paragraphs", "text", "the data's 'x' is not a list of turns"),
        ("Paragraphs", {"author": "Ann", "text": "Hi"}, "the data's 'x' is not a list of turns"),
        ("Paragraphs", [], "the data's 'x' is empty"),
        ("Paragraphs", [{}, None, {"author": "Ann"}], "the data's 'x' is empty"),
        ("Chat", {"messages": []}, "the data's 'x' is not a list of messages"),
        ("Chat", [{"role": "user"}], "the data's 'x' is empty"),
        ("List", 3, "the data's 'x' is not a list of items"),
        ("List", [{"id": 1}], "the data's 'x' is empty"),
        ("Table", {}, "the data's 'x' is empty"),
        ("Table", [None, {}], "the data's 'x' is empty"),
        ("Table", None, "the data's 'x' is null"),
    ],
)
def test_nothing_to_show(kind: str, value: JSON, problem: str) -> None:
    assert tag(kind).show({"x": value}).problem == problem


def test_other_keys_of_a_dialogue() -> None:
    turns = [{"role": "user", "content": "Hi", "author": "no", "text": "no"}]
    assert tag("Paragraphs", 'value="$x" nameKey="role" textkey="content"').show({"x": turns}).text == "user: Hi"


def test_the_editors_order_of_turns_by_time() -> None:
    turns = [
        {"text": "zero", "start": 0},
        {"text": "late", "start": 9},
        {"text": "early", "start": 1.5},
        {"text": "no"},
    ]
    shown = tag("Paragraphs", 'value="$x" contextScroll="true"').show({"x": turns})
    assert shown.text == "early\nlate\nzero\nno"
    assert shown.passages is not None
    position = shown.passages.place(0, 5)
    assert position is not None
    assert position.start == "0"


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("$a.b", {"a": {"b": "x"}}, "x"),
        ("$a.b", {"a.b": "whole", "a": {"b": "x"}}, "whole"),
        ("$a[1].b", {"a": [{}, {"b": "x"}]}, "x"),
        ("$a.0", {"a": ["x"]}, "x"),
    ],
)
def test_a_path_in_the_data(value: str, data: dict[str, JSON], text: str) -> None:
    found = tag("Text", f'value="{value}"')
    assert found.show(data).text == text
    assert set(data) <= set(found.keys)


@pytest.mark.parametrize("data", [{}, {"a": 1}, {"a": {"c": 1}}, {"a": ["x"]}, {"a": None}])
def test_a_path_that_is_not_in_the_data(data: dict[str, JSON]) -> None:
    assert tag("Text", 'value="$a.b"').show(data).problem == "the data has no key 'a.b'"


def test_a_deep_value_is_no_error() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    for kind in SUPPORTED:
        shown = tag(kind).show({"x": deep})
        assert shown.problem or shown.unseen
        assert tag(kind).show({"x": [{"author": "a", "text": deep, "content": deep, "title": deep}]}) is not None


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
_KEYS = (
    st.sampled_from(["author", "text", "role", "content", "id", "title", "body", "html", "start", "end"]) | st.text()
)
_DATA = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


@pytest.mark.parametrize("kind", sorted(SUPPORTED))
@given(_DATA)
def test_no_data_makes_it_raise(kind: str, value: JSON) -> None:
    shown = tag(kind).show({"x": value})
    assert (shown.problem is None) == bool(shown.text.strip())
    shown.text.encode()


@pytest.mark.parametrize("html", ["<p>Hello <b>wor</b>ld &amp; all</p>\n", "<p>", "<table><tr><td>", "<"])
def test_half_a_megabyte_of_html(html: str) -> None:
    began = time.process_time()
    tag("HyperText").show({"x": html * (500_000 // len(html))})
    assert time.process_time() - began < 15  # one to three on two quiet cores
