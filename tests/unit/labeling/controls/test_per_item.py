"""One answer for each image of a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON, Picture
from backend.labeling.controls import Control
from backend.labeling.parsing import parse_config
from backend.labeling.shown import Shown, ShownImage

CHOICE = '<Choice value="cat" alias="c"/><Choice value="dog"/>'


def control(attributes: str = "", value: str = 'valueList="$i"') -> Control:
    (found,) = parse_config(
        f'<View><Image name="i" {value}/><Text name="t" value="$t"/>'
        f'<Choices name="what" toName="i" perItem="true" {attributes}>{CHOICE}</Choices></View>'
    ).controls
    return found


def shown(images: int) -> dict[str, Shown]:
    picture = Picture(data_uri="data:", width=10, height=10)
    found = tuple(ShownImage(number=4 + n, item=n, picture=picture) for n in range(images))
    return {"i": Shown(name="i", text="Images", images=found)}


def test_each_image_gets_its_own_answer() -> None:
    decoded = control().decode(["dog", None, "Cat"], shown(3))
    assert (decoded.value, decoded.problem, decoded.step) == ((("dog",), None, ("c",)), None, "normalised")
    assert control().regions(decoded.value) == [
        {"from_name": "what", "to_name": "i", "type": "choices", "value": {"choices": ["dog"]}, "item_index": 0},
        {"from_name": "what", "to_name": "i", "type": "choices", "value": {"choices": ["c"]}, "item_index": 2},
    ]


@pytest.mark.parametrize(
    ("attributes", "raw", "problem"),
    [
        ("", ["dog"], "has 1 answer(s) for 2 image(s)"),
        ("", ["dog", "dog", "cat"], "has 3 answer(s) for 2 image(s)"),
        ("", "dog", "is not a list with an answer for each image"),
        ("", None, "is not a list with an answer for each image"),
        ("", ["dog", "bird"], "is not one of the labels (image 2 of 2)"),
        ('required="true"', ["dog", None], "is empty (image 2 of 2)"),
        ("", [None, None], None),
        ('choice="multiple"', [["dog", "cat"], []], None),
    ],
)
def test_an_answer_too_few_or_too_many_is_none(attributes: str, raw: JSON, problem: str | None) -> None:
    decoded = control(attributes).decode(raw, shown(2))
    assert decoded.problem == problem
    assert (decoded.value is None) == (problem is not None or raw == [None, None])


def test_null_is_offered_where_no_answer_is_needed() -> None:
    assert control().schema()["items"] == {"anyOf": [{"type": "string", "enum": ["cat", "dog"]}, {"type": "null"}]}
    assert control('required="true"').schema()["items"] == {"type": "string", "enum": ["cat", "dog"]}
    assert "null" not in control('required="true"').ask()


def test_the_editor_looks_for_the_answer_about_a_single_image_at_its_first_item() -> None:
    single = control(value='value="$i"')
    assert (single.ask(), single.shape()) == ("exactly one of these", '"<label>"')
    decoded = single.decode("dog", shown(1))
    assert [r["item_index"] for r in single.regions(decoded.value)] == [0]


def test_on_other_objects_the_attribute_means_nothing() -> None:
    (found,) = parse_config(
        f'<View><Text name="t" value="$t"/><Choices name="what" toName="t" perItem="true">{CHOICE}</Choices></View>'
    ).controls
    decoded = found.decode("dog", {})
    assert found.regions(decoded.value) == [
        {"from_name": "what", "to_name": "t", "type": "choices", "value": {"choices": ["dog"]}}
    ]


def test_options_of_the_task() -> None:
    (found,) = (
        parse_config(
            '<View><Image name="i" valueList="$i"/><Choices name="what" toName="i" perItem="true" value="$o"/></View>'
        )
        .bind({"o": ["one", "two"]})
        .controls
    )
    assert found.tag == "Choices"
    assert found.schema()["items"]["anyOf"][0]["enum"] == ["one", "two"]
    assert found.decode(["two"], shown(1)).value == (("two",),)
    assert found.chosen((("two",), None)) == {"two"}


@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_whatever_is_answered_has_one_value_an_image_or_none(raw: JSON) -> None:
    decoded = control().decode(raw, shown(2))
    assert decoded.value is None or len(decoded.value) == 2
