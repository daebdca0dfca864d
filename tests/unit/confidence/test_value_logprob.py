"""The probability of a whole value: the decisions in it, and nothing that the schema gave."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.decisions import decisions
from backend.confidence.value_logprob import value_probability
from backend.core.values import JSON, TokenLogprob

HALF = math.log(0.5)


def token(text: str, probability: float = 1.0, **others: float) -> TokenLogprob:
    """The token taken, and others by their text ("_" stands for a bracket that ends a list)."""
    top = [(text, probability), *((name.replace("_", "]"), p) for name, p in others.items())]
    return TokenLogprob(token=text, logprob=math.log(probability), top=tuple((t, math.log(p)) for t, p in top))


def decided(text: str, **options: list[str]) -> list[str]:
    return [text[d.begin : d.end] for d in decisions(text, 0, len(text), **options) if not d.instead]


def probability(text: str, *tokens: TokenLogprob) -> float | None:
    assert "".join(t.token for t in tokens) == text
    return value_probability(tokens, decisions(text, 0, len(text)))


def test_what_is_decided_in_a_value() -> None:
    assert decided('["a", "b"]') == ['a"', ",", 'b"', "]"]
    assert decided('[{"text": "Ann", "label": "PER"}]') == ['Ann"', 'PER"', "]"]
    assert decided('[{"x": 1.5, "y": [2]}]') == ["1.5,", "2]", "]", "]"]
    assert decided("[]") == ["]"]
    assert decided('"a: b, \\"c"') == ['a: b, \\"c"']
    assert decided('{"one": ["x"], "two": []}') == ['x"', "]", "]"]
    assert [(d.begin, d.end) for d in decisions('{"n": 42}', 6, 8)] == [(6, 9)]  # that no third digit follows
    assert decided('[{"text": "a", "why": ["b", {"c": "d"}]}, {"why": "e"}]', without=["why"]) == ['a"', ",", "]"]


def test_which_item_a_decision_is_about() -> None:
    text = '[{"a": "x"}, {"a": [1]}]'
    found = [(text[d.begin : d.end], d.instead, d.item) for d in decisions(text, 0, len(text))]
    assert found == [
        ("[{", "]", 0),
        ('"', "null", 0),
        ('x"', "", 0),
        (",", "", 1),
        ("[1", "]", 1),
        ("1]", "", 1),
        ("]", "", 1),
        ("]", "", None),
    ]


_LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text()


@given(
    st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    st.none() | st.just(2),
    st.sets(st.text(max_size=1)),
)
def test_decisions_of_any_value(value: JSON, indent: int | None, without: set[str]) -> None:
    text = f" {json.dumps(value, indent=indent)} "
    found = decisions(text, 1, len(text) - 1, without=without)
    assert all(0 < d.begin < d.end <= len(text) for d in found)
    assert all(before.begin <= after.begin for before, after in pairwise(found))
    items = {d.item for d in decisions(text, 1, len(text) - 1)} - {None}
    assert items <= set(range(len(value))) if isinstance(value, list) else not items


def test_only_what_was_decided_counts() -> None:
    tokens = [token('[{"'), token("text", 0.5, x=0.5), token('": "'), token("Ann", 0.5, Bob=0.5), token('"}]')]
    assert probability('[{"text": "Ann"}]', *tokens) == pytest.approx(0.5)


def test_the_same_in_other_case_space_and_quotes_is_the_same() -> None:
    taken = TokenLogprob(
        token="positive", logprob=math.log(0.2), top=(("positive", math.log(0.2)), (" Positive", math.log(0.6)))
    )
    assert probability('"positive"', token('"'), taken, token('"')) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("[]", [token("["), token("]", 0.7, x=0.3)], 0.7),
        ('["a"]', [token("["), token('"a"', 0.9), token("]", 0.6, x=0.4)], 0.54),
        ('["a"]', [token("["), token('"', 0.34, _=0.66), token("a"), token('"'), token("]")], 0.34),
        ('["a"]', [token('["', 0.4, **{"[_": 0.6}), token("a"), token('"]')], 0.4),
        ('[{"t": "a"}]', [token("["), token('{"', 0.25, _=0.75), token('t": "'), token('a"}'), token("]")], 0.25),
        ('"2020"', [token('"', 0.34, null=0.66), token("2020"), token('"')], 0.34),
        ('"2020"', [token('"', 0.34, n=0.6), token("2020"), token('"')], 0.4),
        ('"2020"', [token('"', 0.34, x=0.66), token("2020"), token('"')], 1.0),  # no JSON at all: the schema's matter
    ],
)
def test_that_there_is_anything_and_when_it_ends_are_decisions(
    text: str, tokens: list[TokenLogprob], expected: float
) -> None:
    assert probability(text, *tokens) == pytest.approx(expected)


def test_tokens_without_alternatives_say_nothing() -> None:
    bare = TokenLogprob(token='"a"', logprob=-0.1)
    assert probability('"a"', bare) is None
    assert probability('"a"', token('"a"')) is None  # certain, and nothing beside it
    assert value_probability([token('"a"', 0.9, b=0.05)], ()) is None
