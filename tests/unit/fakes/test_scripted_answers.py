"""The scripted model's answers are what our own reading takes, in every mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.values import Outcome, Reply, TaskState, TokenLogprob, Usage
from backend.dialogue import annotate
from tests.fakes.pictures import data_uri, drawn
from tests.fakes.scripted_answers import answer, data_in, fields_in, tokens
from tests.samples import EVERY_CONTROL, SENTIMENT, question, task


def scripted(xml: str, mode: str, top: int = 20, **data: str) -> tuple[Outcome, Any]:
    dialogue = annotate(question(xml, reasks=0), task(**data))
    request = next(dialogue)
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    schema = {"type": "json_schema", "json_schema": {"schema": request.schema}}
    written = answer(messages, schema if mode == "json_schema" else {"type": mode})
    listed = tuple(
        TokenLogprob(
            token=t["token"],
            logprob=t["logprob"],
            top=tuple((a["token"], a["logprob"]) for a in t["top_logprobs"]),
        )
        for t in tokens(written, top)
    )
    try:
        dialogue.send(Reply(text=written.text, finish_reason="stop", usage=Usage(calls=1), model="s", tokens=listed))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome, written
    raise AssertionError("asked again")


@pytest.mark.parametrize("mode", ["json_schema", "json_object", "text"])
@pytest.mark.parametrize("text", ["I love Paris, says Ann. 3.5 stars", "broken", "meh", "नमस्ते 👍 '''\n~~~\n{}"])
def test_every_control_gets_an_answer_that_can_be_read(mode: str, text: str) -> None:
    outcome, _ = scripted(EVERY_CONTROL, mode, a=text, b="<p>late again</p>")
    assert outcome.state is TaskState.DONE, outcome.error


@pytest.mark.parametrize(
    ("text", "label"), [("I love it", "positive"), ("It came late and broken", "negative"), ("It is a box", "neutral")]
)
def test_keywords_decide(text: str, label: str) -> None:
    outcome, _ = scripted(SENTIMENT, "json_schema", text=text)
    assert outcome.result[0]["value"] == {"choices": [label]}


@pytest.mark.parametrize("text", ["I love it", "a box", "late", "नमस्ते"])
def test_the_score_is_the_probability_that_the_script_gave(text: str) -> None:
    outcome, written = scripted(SENTIMENT, "json_schema", text=text)
    place = written.labels[0]
    assert outcome.score == pytest.approx(place.distribution[place.label])


def test_scores_differ_between_texts_and_not_between_calls() -> None:
    scores = [scripted(SENTIMENT, "json_schema", text=f"text {n}")[0].score for n in (*range(20), *range(20))]
    assert scores[:20] == scores[20:]
    assert len(set(scores)) == 20


def test_tokens_are_the_text_and_alternatives_are_as_many_as_asked() -> None:
    _, written = scripted(SENTIMENT, "json_schema", text="I love it")
    listed = tokens(written, 2)
    assert "".join(t["token"] for t in listed) == written.text
    assert {len(t["top_logprobs"]) for t in listed} <= {1, 2}
    assert all(t["top_logprobs"] == [] for t in tokens(written, 0))


def test_what_the_prompt_asks_is_found_in_it() -> None:
    prompt = next(annotate(question(EVERY_CONTROL), task(a='"x": one\n- two', b="y"))).messages[-1].content
    assert data_in(prompt) == ['"x": one\n- two', "y"]
    fields = fields_in(prompt)
    assert list(fields) == ["mood", "topics", "entities", "stars", "amount", "summary", "kind", "day", "better"]
    assert fields["kind"][1] == ("Animal", "Animal > Cat", "Animal > Dog", "Plant")


def test_it_sees_the_colour_and_the_box_of_each_image() -> None:
    images = [data_uri(drawn((100, 50), (10, 10, 40, 30), colour=colour)) for colour in ("blue", "green")]
    parts = [{"type": "image_url", "image_url": {"url": uri}} for uri in images]
    sides = {side: {"type": "number"} for side in ("x", "y", "width", "height")}
    box = {"label": {"type": "string", "enum": ["Green", "Blue"]}, "image": {"type": "integer"}, **sides}
    schema = {"properties": {"boxes": {"type": "array", "items": {"type": "object", "properties": box}}}}
    message = {"role": "user", "content": [*parts, {"type": "text", "text": "Where?"}]}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    place = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0}
    assert json.loads(answer([message], form).text)["boxes"] == [
        {"label": "Blue", "image": 1, **place},
        {"label": "Green", "image": 2, **place},
    ]
    assert json.loads(answer([message], form, sees_images=False).text)["boxes"] == []
