"""The JSON object inside a reply."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reading.extract import MAX_REPLY_CHARS, extract_object, without_thinking

STRICT, MENDED = "strict_json", "mended_json"


@pytest.mark.parametrize(
    ("text", "values", "step"),
    [
        ('{"a": "b"}', {"a": "b"}, STRICT),
        (' \n{"a": "b"}\n ', {"a": "b"}, STRICT),
        ('{"a": {"b": [1, {"c": null}]}, "d": true}', {"a": {"b": [1, {"c": None}]}, "d": True}, STRICT),
        ('{"a": "}\\" {"}', {"a": '}" {'}, STRICT),
        ('{"a": "\\u0130 \\ud83d\\ude00"}', {"a": "İ 😀"}, STRICT),
        ('{"a": "\\ud83d"}', {"a": "\ud83d"}, STRICT),
        ('{"a": 1, "a": 2}', {"a": 2}, STRICT),
        ('{"सार": "अच्छा"}', {"सार": "अच्छा"}, STRICT),
        ('```json\n{"a": 1}\n```', {"a": 1}, MENDED),
        ('Here you are: {"a": 1}. Anything else?', {"a": 1}, MENDED),
        ("{'a': 'b'}", {"a": "b"}, MENDED),
        ('{"a": 1,}', {"a": 1}, MENDED),
        ("{a: b}", {"a": "b"}, MENDED),
        ('{"a": "b"', {"a": "b"}, MENDED),
        ('{"a": "b", "c": "d', {"a": "b"}, MENDED),
        ('{"a": 3 or 4, "c": "d"}', {"a": "3 or 4", "c": "d"}, MENDED),
        ('{"a": "say "hi" now"}', {"a": 'say "hi" now'}, MENDED),
        ('{"a": 1} // done', {"a": 1}, MENDED),
        ('{"a": True}', {"a": True}, MENDED),
        ('<think>{"a": 1}?</think>{"a": 2}', {"a": 2}, STRICT),
        ('<THINKING>\n{ </THINKING>\n{"a": 2}', {"a": 2}, STRICT),
        ('so {x} it is\n</think>\n{"a": 2}', {"a": 2}, STRICT),
        ('{"a": "tag <think>b</think> c"}', {"a": "tag <think>b</think> c"}, STRICT),
        ('{"a": "</think>", "b": {}}', {"a": "</think>", "b": {}}, STRICT),
        ('```\n{"a": "</think>", "b": {}}\n```', {"a": "</think>", "b": {}}, MENDED),
        ('Sure: {"a": "x </think> y"}', {"a": "x </think> y"}, MENDED),
    ],
)
def test_objects(text: str, values: dict[str, Any], step: str) -> None:
    extracted = extract_object(text)
    assert (extracted.values, extracted.step) == (values, step)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "positive",
        '"positive"',
        "[1, 2]",
        "null",
        "I cannot help with that.",
        "<think>{",
        '<think>the answer is {"a": 1}',
        '<think>{"a": 1}</think>',
        "}",
        "\0" * 20,
        "{" * 100,
        "{}",
        "[" * 100_000,
        "{" + "[" * 1000,
    ],
)
def test_no_object(text: str) -> None:
    extracted = extract_object(text)
    assert (extracted.values, extracted.step, extracted.positions) == (None, None, {})


def test_a_number_that_is_none_is_read_as_one_and_left_to_the_control() -> None:
    values = extract_object('{"a": NaN, "b": 1e999}').values
    assert values is not None
    assert math.isnan(values["a"])
    assert math.isinf(values["b"])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "b", "c": [1, {"d": "e"}], "f": -1.5e3}',
        'It is:\n```json\n{ "a" :\t"İ \\" }" ,"c":\n[ ] , "f": null }```',
        '<think>İİ {"a": 0}</think> {"a": "ß", "c": {"a": "x"}, "f": 1}',
    ],
)
def test_positions_are_those_of_the_values_in_the_reply(text: str) -> None:
    extracted = extract_object(text)
    assert extracted.values is not None
    assert set(extracted.positions) == {"a", "c", "f"}
    for name, (start, end) in extracted.positions.items():
        assert json.loads(text[start:end]) == extracted.values[name]


def test_mended_values_have_no_position() -> None:
    assert extract_object("{'a': 'b'}").positions == {}


def test_an_answer_after_the_limit_is_not_read() -> None:
    assert extract_object("x" * MAX_REPLY_CHARS + '{"a": 1}').values is None
    assert extract_object("x" * (MAX_REPLY_CHARS - 8) + '{"a": 1}').values == {"a": 1}


def test_what_is_nested_too_deep_is_no_answer() -> None:
    (pairs,) = extract_object('{"a":' * 100 + "1" + "}" * 100).objects
    assert [given.fault for given in pairs] == ["cannot be read with certainty"]


@pytest.mark.parametrize(
    "unit", ["{", '{"', '"', "{'a':", "[{", "\\", "{}", "<think>", "</think>", "a{b}", '{"a":"', "`"]
)
def test_a_long_broken_reply_is_read_in_bounded_time(unit: str) -> None:
    began = time.perf_counter()
    extract_object(unit * (MAX_REPLY_CHARS // len(unit)))
    extract_object('{"a": ' + unit * 20_000)
    assert time.perf_counter() - began < 20


def test_blanking_the_thinking_moves_nothing() -> None:
    text = "<think>İ{</think>positive"
    assert without_thinking(text) == " " * len("<think>İ{</think>") + "positive"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _JSON, min_size=1), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_object_that_was_written_is_read(values: dict[str, Any], ascii: bool, indent: int | str | None) -> None:
    extracted = extract_object(json.dumps(values, ensure_ascii=ascii, indent=indent))
    assert extracted.values == values
    assert extracted.step == STRICT


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_makes_it_raise(text: str) -> None:
    extract_object(text)
    assert len(without_thinking(text)) == len(text)


@given(st.text(alphabet="{}[]\":,\\ntrue1.-e' \n<>/hik`", max_size=60))
def test_nothing_that_looks_like_json_makes_it_raise(text: str) -> None:
    extracted = extract_object(text)
    assert (extracted.values is None) == (extracted.step is None)


@given(st.binary(max_size=300), st.sampled_from(["utf-8", "latin-1", "utf-16-le"]))
def test_no_bytes_make_it_raise(content: bytes, encoding: str) -> None:
    extract_object("{" + content.decode(encoding, "replace"))
