"""How large answers are, from the shape that is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.prompting.answer_size import Size, answer_tokens
from backend.prompting.tokens import text_tokens

ONE = {"type": "string", "enum": ["positive", "negative", "neither"]}
SPAN = {"type": "object", "properties": {"text": {"type": "string"}, "label": ONE}}


def asked(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (asked(sentiment=ONE), {"sentiment": "negative"}),
        (asked(sentiment=ONE, stars={"type": "integer"}), {"sentiment": "negative", "stars": 4}),
        (asked(topics={"type": "array", "items": ONE}), {"topics": ["negative"]}),
        (asked(spans={"type": "array", "items": SPAN}), {"spans": [{"text": "Anna Smith", "label": "positive"}] * 3}),
        (asked(why={"type": ["string", "null"]}), {"why": "The parcel came late and its box was open. " * 3}),
        (asked(why={"anyOf": [ONE, {"type": "null"}]}), {"why": "neither"}),
        (asked(yes={"type": "boolean"}, kind={"const": "a"}), {"yes": True, "kind": "a"}),
    ],
)
def test_a_usual_answer_lies_between_and_near_what_is_likely(schema: dict[str, Any], answer: dict[str, Any]) -> None:
    size, real = answer_tokens(schema, 512), text_tokens(json.dumps(answer)) / 1.5
    assert size.least <= real <= size.most
    assert size.likely == pytest.approx(real, rel=0.5)


def test_no_answer_is_longer_than_it_may_be() -> None:
    schema = asked(**{f"text{n}": {"type": "string"} for n in range(50)})
    assert answer_tokens(schema, 100) == Size(least=100, likely=100, most=100)


@pytest.mark.parametrize("odd", [{}, {"type": "array"}, {"type": "object"}, {"anyOf": []}, {"type": []}, {"enum": []}])
def test_odd_shapes(odd: dict[str, Any]) -> None:
    assert answer_tokens(asked(a=odd), 100).least > 0


def test_a_shape_without_end() -> None:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    assert answer_tokens(schema, 100).most <= 100


def test_at_least_as_many_items_as_are_asked_for() -> None:
    few, many = ({"type": "array", "items": ONE, "minItems": n, "maxItems": n} for n in (1, 3))
    assert answer_tokens(many, 512).least > answer_tokens(few, 512).likely
