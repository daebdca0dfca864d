"""The probability of a whole value: the decisions in it, and nothing that the schema gave."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.value_logprob import value_probability
from backend.core.values import JSON, TokenLogprob
from backend.reading.decisions import decisions, items

HALF = math.log(0.5)


def token(text: str, logprob: float = 0.0, *others: tuple[str, float]) -> TokenLogprob:
    return TokenLogprob(token=text, logprob=logprob, top=((text, logprob), *others))


def decided(text: str) -> list[str]:
    return [text[begin:end] for begin, end in decisions(text, 0, len(text))]


def test_what_is_decided_in_a_value() -> None:
    assert decided('["a", "b"]') == ['a"', ",", 'b"', "]"]
    assert decided('[{"text": "Ann", "label": "PER"}]') == ['Ann"', 'PER"', "]"]
    assert decided('[{"x": 1.5, "y": [2]}]') == ["1.5,", "2]", "]", "]"]
    assert decided("[]") == ["]"]
    assert decided('"a: b, c"') == ['a: b, c"']
    assert decided('{"one": ["x"], "two": []}') == ['x"', "]", "]"]
    assert decisions('{"n": 42}', 6, 8) == ((6, 9),)  # that no third digit follows


_LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_decisions_are_in_order_and_apart(value: JSON) -> None:
    text = json.dumps(value)
    found = decisions(text, 0, len(text))
    assert all(0 <= begin < end <= len(text) for begin, end in found)
    assert all(before[0] < after[0] for before, after in pairwise(found))


@given(st.lists(st.recursive(_LEAVES, st.lists)), st.none() | st.just(2))
def test_the_items_of_a_list(values: list[JSON], indent: int | None) -> None:
    text = f" {json.dumps(values, indent=indent)} "
    found = items(text, 1, len(text) - 1)
    assert [json.loads(text[begin:end]) for begin, end in found] == values


def test_only_a_list_has_items() -> None:
    assert items('{"a": [1]}', 0, 10) == ()
    assert items('"a"', 0, 3) == ()


def test_only_what_was_decided_counts() -> None:
    tokens = [
        token('[{"'),
        token("text", HALF, ("x", HALF)),
        token('": "'),
        token("Ann", HALF, ("Bob", HALF)),
        token('"}]'),
    ]
    text = "".join(t.token for t in tokens)
    assert value_probability(tokens, decisions(text, 0, len(text))) == pytest.approx(0.5)


def test_the_same_in_other_case_space_and_quotes_is_the_same() -> None:
    tokens = [
        token('"'),
        token("positive", math.log(0.2), (" Positive", math.log(0.6)), ("negative", math.log(0.1))),
        token('"'),
    ]
    assert value_probability(tokens, decisions('"positive"', 0, 10)) == pytest.approx(0.8)


def test_that_a_list_ends_is_a_decision() -> None:
    tokens = [token("["), token("]", math.log(0.7), ('"', math.log(0.3)))]
    assert value_probability(tokens, decisions("[]", 0, 2)) == pytest.approx(0.7)


def test_tokens_without_alternatives_say_nothing() -> None:
    assert value_probability([TokenLogprob(token='"a"', logprob=-0.1)], ((1, 3),)) is None
    assert value_probability([token('"a"')], ((1, 3),)) is None  # certain, and nothing beside it
    assert value_probability([token('"a"', -0.1, ('"b"', -3.0))], ()) is None
