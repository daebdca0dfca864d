"""The second question: asked where it can be, and never able to spoil what was read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.errors import ModelTimeout
from backend.core.values import Outcome, Reply, Request, TaskState
from backend.dialogue import annotate
from backend.labeling.relations import MAX_REGIONS
from backend.prompting.render import least_tokens
from tests.samples import question, reply, task
from tests.strict_schema import strict_faults

CONFIG = """
<View>
  <Relations><Relation value="works for"/><Relation value="knows"/></Relations>
  <Text name="t" value="$t"/>
  <Labels name="ner" toName="t"><Label value="PER"/><Label value="ORG"/></Labels>
  <Choices name="mood" toName="t"><Choice value="glad"/><Choice value="sad"/></Choices>
</View>
"""
TEXT = "Ann works for ACME and knows Bob."
PEOPLE = [{"text": "Ann", "label": "PER"}, {"text": "ACME", "label": "ORG"}, {"text": "Bob", "label": "PER"}]
WORKS = {"from": 1, "to": 2, "relation": "works for"}


def asked(*people: Any, text: str = TEXT, **agent: Any) -> tuple[Any, Request | Outcome]:
    """The conversation after the first answer: the second request, or the outcome."""
    dialogue = annotate(question(CONFIG, **agent), task(t=text))
    next(dialogue)
    try:
        return dialogue, dialogue.send(reply(json.dumps({"ner": people, "mood": "glad"})))
    except StopIteration as stop:
        return dialogue, stop.value


def ended(dialogue: Any, second: Reply | Exception) -> Outcome:
    try:
        dialogue.throw(second) if isinstance(second, Exception) else dialogue.send(second)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    raise AssertionError("asked a third time")


def test_the_task_is_shown_again_with_its_regions_by_number() -> None:
    _, request = asked(*PEOPLE)
    assert isinstance(request, Request)
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "user"]
    assert TEXT in request.messages[1].content
    assert '\n1. "ner" PER: "Ann"\n2. "ner" ORG: "ACME"\n3. "ner" PER: "Bob"\n' in request.messages[-1].content
    assert "\n- works for\n- knows\n" in request.messages[-1].content
    assert strict_faults(request.schema) == []
    assert request.logprobs is False


def test_relations_are_added_to_the_regions() -> None:
    dialogue, _ = asked(*PEOPLE)
    outcome = ended(dialogue, reply(json.dumps({"relations": [WORKS]})))
    ids = [region["id"] for region in outcome.result[:3]]
    assert outcome.result[-1] == {
        "type": "relation",
        "from_id": ids[0],
        "to_id": ids[1],
        "direction": "right",
        "labels": ["works for"],
    }
    assert (outcome.state, outcome.usage.calls, outcome.latency_s, outcome.notes) == (TaskState.DONE, 2, 1.0, ())
    assert question(CONFIG).config.validate([dict(region) for region in outcome.result], outcome.score) == []


@pytest.mark.parametrize(
    ("second", "note"),
    [
        (reply("I cannot say."), "relations: the answer is missing: the reply holds no JSON object"),
        (reply('{"relations": "none"}'), "relations: the answer is not a list of relations"),
        (reply('{"relations": [{"from": 1, "to": 7}]}'), "relations: the answer holds no usable relation"),
        (reply('{"relations": [{"from": 1, "t', finish_reason="length"), "relations: the answer was cut off"),
        (reply("", finish_reason="content_filter"), "relations: the answer was filtered by the endpoint"),
        (ModelTimeout("slow"), "relations: asking for them failed: timeout"),
    ],
)
def test_an_unreadable_answer_leaves_the_regions(second: Reply | Exception, note: str) -> None:
    dialogue, _ = asked(*PEOPLE)
    outcome = ended(dialogue, second)
    assert outcome.state is TaskState.DONE
    assert [r["type"] for r in outcome.result] == ["labels", "labels", "labels", "choices"]
    assert note in outcome.notes
    assert outcome.error is None


def test_no_relation_is_an_answer() -> None:
    dialogue, _ = asked(*PEOPLE)
    outcome = ended(dialogue, reply('{"relations": []}'))
    assert (len(outcome.result), outcome.notes) == (4, ())


@pytest.mark.parametrize(("people", "agent"), [(PEOPLE[:1], {}), ([], {}), (PEOPLE, {"relations": False})])
def test_nothing_is_asked_where_nothing_can_be_related(people: list[Any], agent: dict[str, Any]) -> None:
    _, outcome = asked(*people, **agent)
    assert isinstance(outcome, Outcome)
    assert (outcome.usage.calls, outcome.notes) == (1, ())


def test_too_many_regions_are_told_and_not_asked_about() -> None:
    words = [f"w{n}x" for n in range(MAX_REGIONS + 1)]
    _, outcome = asked(*({"text": w, "label": "PER"} for w in words), text=" ".join(words))
    assert isinstance(outcome, Outcome)
    assert outcome.notes == (f"relations: not asked over {MAX_REGIONS + 1} regions, more than {MAX_REGIONS}",)


def test_a_question_that_is_too_long_is_not_asked() -> None:
    words = [f"{n}{'a' * 100}" for n in range(20)]
    people = [{"text": word, "label": "PER"} for word in words]
    first = next(annotate(question(CONFIG), task(t=" ".join(words))))
    fits = least_tokens(first.messages) + 200
    _, outcome = asked(*people, text=" ".join(words), max_tokens=200, context_tokens=fits)
    assert isinstance(outcome, Outcome)
    assert outcome.notes == ("relations: not asked: the question is too long for the model",)
    assert len(outcome.result) == 21
