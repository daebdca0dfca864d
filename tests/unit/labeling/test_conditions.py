"""What `visibleWhen` hides is not answered: decided as the editor decides."""

from __future__ import annotations

import json

import pytest

from backend.core.values import Outcome, TaskState
from backend.dialogue import annotate
from backend.labeling.conditions import Condition
from backend.labeling.parsing import parse_config
from tests.samples import question, reply, task

ISSUES = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text">
    <Choice value="positive"/><Choice value="negative" alias="neg"/><Choice value="neutral"/>
  </Choices>
  <View visibleWhen="choice-selected" whenTagName="sentiment" whenChoiceValue="negative, neutral">
    <Choices name="reason" toName="text" choice="multiple"><Choice value="price"/><Choice value="delay"/></Choices>
    <TextArea name="detail" toName="text" visibleWhen="choice-selected" whenTagName="reason" required="true"/>
  </View>
  <Rating name="joy" toName="text" visibleWhen="choice-unselected" whenTagName="sentiment" whenChoiceValue="neg"/>
</View>
"""


def visible(**values: object) -> set[str]:
    return set(parse_config(ISSUES).visible(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sentiment": ("positive",)}, {"sentiment", "joy"}),
        ({"sentiment": ("neg",)}, {"sentiment", "reason"}),
        ({"sentiment": ("neg",), "reason": ("price",)}, {"sentiment", "reason", "detail"}),
        ({"sentiment": ("neutral",), "reason": ("delay",)}, {"sentiment", "reason", "detail", "joy"}),
        # A choice in a control that is itself hidden is not there.
        ({"sentiment": ("positive",), "reason": ("price",)}, {"sentiment", "joy"}),
        ({}, {"sentiment", "joy"}),
    ],
)
def test_a_control_is_seen_by_what_is_chosen_elsewhere(values: dict[str, object], expected: set[str]) -> None:
    assert visible(**values) == expected


def answered(values: dict[str, object]) -> Outcome:
    dialogue = annotate(question(ISSUES, reasks=0), task(text="Too late."))
    next(dialogue)
    try:
        dialogue.send(reply(json.dumps(values)))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    raise AssertionError("asked again")


def test_what_is_hidden_gets_no_region_and_is_no_fault() -> None:
    outcome = answered({"sentiment": "positive", "reason": None, "detail": None, "joy": 4})
    assert outcome.state is TaskState.DONE
    assert [r["from_name"] for r in outcome.result] == ["sentiment", "joy"]
    assert {f.control: f.step for f in outcome.fields}["detail"] == "not_shown"


def test_an_answer_to_what_is_hidden_is_dropped_and_noted() -> None:
    outcome = answered({"sentiment": "positive", "reason": ["price"], "detail": "why", "joy": 4})
    assert [r["from_name"] for r in outcome.result] == ["sentiment", "joy"]
    dropped = [f.control for f in outcome.fields if f.notes]
    assert dropped == ["reason", "detail"]


def test_what_is_seen_must_be_answered_as_ever() -> None:
    outcome = answered({"sentiment": "negative", "reason": ["price"], "detail": None, "joy": None})
    assert outcome.state is TaskState.INVALID
    assert outcome.error == '"detail" is empty'


def test_the_schema_permits_null_and_the_prompt_says_when() -> None:
    dialogue = annotate(question(ISSUES), task(text="x"))
    request = next(dialogue)
    properties = request.schema["properties"]
    assert {"type": "null"} in properties["joy"]["anyOf"]
    assert "anyOf" not in properties["sentiment"]
    prompt = request.messages[-1].content
    assert 'null unless "sentiment" is negative or neutral' in prompt
    assert 'null unless "sentiment" is not neg' in prompt


@pytest.mark.parametrize(
    ("attributes", "chosen", "holds"),
    [
        ('visibleWhen="choice-selected"', {"a": {"x"}}, True),
        ('visibleWhen="choice-selected"', {"a": set()}, False),
        ('visibleWhen="choice-unselected" whenTagName="a" whenChoiceValue="x"', {"a": {"y"}}, True),
        ('whenChoiceValue="x"', {"a": {"x"}}, True),
        ('whenChoiceValue="x"', {"a": {"y"}}, False),
    ],
)
def test_each_form(attributes: str, chosen: dict[str, set[str]], holds: bool) -> None:
    (control,) = (
        c
        for c in parse_config(
            '<View><Text name="t" value="$t"/><Choices name="a" toName="t"><Choice value="x"/></Choices>'
            f'<Rating name="r" toName="t" {attributes}/></View>'
        ).controls
        if c.name == "r"
    )
    (condition,) = control.conditions
    assert condition.holds(chosen) is holds


@pytest.mark.parametrize("form", ["no-region-selected", "no such form", ""])
def test_what_the_editor_always_shows_has_no_condition(form: str) -> None:
    xml = f'<View><Text name="t" value="$t"/><Rating name="r" toName="t" visibleWhen="{form}"/></View>'
    assert parse_config(xml).controls[0].conditions == ()


def test_controls_that_wait_for_each_other_are_shown() -> None:
    xml = (
        '<View><Text name="t" value="$t"/>'
        '<Choices name="a" toName="t" visibleWhen="choice-selected" whenTagName="b"><Choice value="x"/></Choices>'
        '<Choices name="b" toName="t" visibleWhen="choice-selected" whenTagName="a"><Choice value="x"/></Choices>'
        "</View>"
    )
    assert parse_config(xml).visible({"a": ("x",), "b": ("x",)}) == {"a", "b"}


def test_a_condition_without_values_reads_as_a_sentence() -> None:
    assert str(Condition(kind="choice-selected", control="a")) == '"a" is given'
