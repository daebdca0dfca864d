"""One task's conversation where the options are many: what is asked, what is read, and what the record says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.errors import ContextTooLong, ModelError, ModelRateLimited
from backend.core.values import Outcome, Reply, Request, Task, TaskState
from backend.dialogue import Question, annotate
from backend.prompting.tokens import estimated_tokens
from tests.samples import question, reply, task

COLOURS, THINGS = ("red", "green", "blue", "white", "black"), ("car", "cup", "hat", "bag")
TOPICS = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
SHORT = "".join(f'<Choice value="{topic}"/>' for topic in TOPICS)
LONG = SHORT + "".join(f'<Choice value="topic number {n} of the long list"/>' for n in range(380))


def config(options: str = LONG, more: str = "") -> str:
    return (
        f'<View><Text name="text" value="$text"/><Choices name="topic" toName="text">{options}</Choices>{more}</View>'
    )


def converse(asking: Question, about: Task, *answers: Reply | ModelError) -> tuple[Outcome, list[Request]]:
    """The outcome and the requests that led to it; an error is thrown in the place of a reply."""
    dialogue = annotate(asking, about)
    requests: list[Request] = []
    left = list(answers)
    try:
        requests.append(next(dialogue))
        while True:
            answer = left.pop(0)
            requests.append(dialogue.throw(answer) if isinstance(answer, ModelError) else dialogue.send(answer))
    except StopIteration as stop:
        assert not left, "an answer was not asked for"
        outcome: Outcome = stop.value
        return outcome, requests


def offered(request: Request) -> list[str]:
    """The options in the schema, which are those of the prompt."""
    names: list[str] = request.schema["properties"]["topic"]["enum"]
    listed = [line[2:] for line in request.messages[-1].content.splitlines() if line.startswith("- ")]
    assert listed == names
    return names


def answer(topic: str) -> Reply:
    return reply(json.dumps({"topic": topic}))


def chosen(outcome: Outcome) -> list[Any]:
    return [region["value"]["choices"] for region in outcome.result]


def test_the_most_similar_options_are_asked_and_the_record_says_how_many() -> None:
    outcome, (request,) = converse(question(config(), max_options=20), task(text="a blue hat"), answer("blue hat"))
    assert len(offered(request)) == 20
    assert "blue hat" in offered(request)
    assert outcome.state is TaskState.DONE
    assert outcome.notes == ('"topic": 20 of 400 options shown, the most similar to the text',)


RANKER = '<View><List name="items" value="$items"/><Ranker name="r" toName="items"/></View>'


def test_an_order_that_is_too_long_is_not_asked_again_with_the_same_words() -> None:
    asking = question(RANKER, max_tokens=4_000)
    items = [{"id": n, "title": "x"} for n in range(300)]
    dialogue = annotate(asking, task(items=items))
    next(dialogue)
    with pytest.raises(ContextTooLong):
        dialogue.throw(ContextTooLong("The prompt is too long."))


def test_beside_an_order_a_long_list_is_still_shortened() -> None:
    xml = RANKER.replace("</View>", f'<Text name="t" value="$t"/><Choices name="c" toName="t">{SHORT}</Choices></View>')
    dialogue = annotate(
        question(xml, max_tokens=4_000), task(t="x", items=[{"id": n, "title": "x"} for n in range(300)])
    )
    offered = [next(dialogue).schema["properties"]]
    offered.append(dialogue.throw(ContextTooLong("The prompt is too long.")).schema["properties"])
    assert [len(p["c"]["enum"]) for p in offered] == [20, 10]
    assert [len(p["r"]["items"]["enum"]) for p in offered] == [300, 300]


@pytest.mark.parametrize(("count", "asked"), [(60, True), (300, False)])
def test_an_order_that_surely_does_not_fit_in_an_answer_costs_no_token(count: int, asked: bool) -> None:
    dialogue = annotate(question(RANKER), task(items=[{"id": f"item-{n}", "title": "x"} for n in range(count)]))
    if asked:
        assert next(dialogue)
        return
    with pytest.raises(StopIteration) as stop:
        next(dialogue)
    assert stop.value.value.state is TaskState.SKIPPED
    assert (
        'Ranker "r" has 300 items, whose ids alone do not fit in an answer of 512 tokens: raise PRELABEL_MAX_TOKENS'
    ) in stop.value.value.error


def test_an_order_in_buckets_may_be_short() -> None:
    xml = RANKER.replace("/></View>", '><Bucket name="best"/></Ranker></View>')
    assert next(annotate(question(xml), task(items=[{"id": f"item-{n}", "title": "x"} for n in range(300)])))


def test_orders_that_do_not_fit_together_are_asked_one_at_a_time() -> None:
    xml = RANKER.replace("</View>", '<List name="b" value="$b"/><Ranker name="s" toName="b"/></View>')
    items = [{"id": f"item-{n}", "title": "x"} for n in range(120)]
    assert list(next(annotate(question(xml), task(items=items, b=items))).schema["properties"]) == ["r"]


def test_the_default_is_two_hundred() -> None:
    _, (request,) = converse(question(config()), task(text="a blue hat"), answer("blue hat"))
    assert len(offered(request)) == 200


def test_an_option_that_was_not_offered_is_still_read() -> None:
    outcome, (request,) = converse(question(config(), max_options=8), task(text="a blue hat"), answer("black bag"))
    assert "black bag" not in offered(request)
    assert chosen(outcome) == [["black bag"]]


def test_a_small_window_holds_as_many_options_as_fit() -> None:
    asking = question(config(), max_options=400, context_tokens=1_000, max_tokens=100)
    _, (request,) = converse(asking, task(text="a blue hat"), answer("blue hat"))
    assert 8 < len(offered(request)) < 200
    assert 880 < estimated_tokens(request.messages) <= 900
    assert "blue hat" in offered(request)


def test_a_text_that_leaves_no_room_is_asked_with_eight() -> None:
    """The estimate may be too high: only what surely exceeds the window is not asked."""
    asking = question(config(), context_tokens=1_000, max_tokens=100)
    outcome, (request,) = converse(asking, task(text="a blue hat " * 400), answer("blue hat"))
    assert len(offered(request)) == 8
    assert outcome.notes == ('"topic": 8 of 400 options shown, the most similar to the text',)


def test_a_text_that_surely_exceeds_the_window_is_skipped_as_ever() -> None:
    asking = question(config(), context_tokens=1_000, max_tokens=100)
    dialogue = annotate(asking, task(text="a blue hat " * 100_000))
    with pytest.raises(StopIteration) as stop:
        next(dialogue)
    assert (stop.value.value.state, stop.value.value.error_class) == (TaskState.SKIPPED, "context_too_long")


def test_a_refused_prompt_is_asked_again_with_half_of_the_options() -> None:
    too_long = ContextTooLong("The prompt is too long.")
    answers = [too_long, too_long, answer("blue hat")]
    outcome, requests = converse(question(config()), task(text="a blue hat"), *answers)
    assert [len(offered(request)) for request in requests] == [200, 100, 50]
    assert outcome.notes == ('"topic": 50 of 400 options shown, the most similar to the text',)
    assert outcome.request_key == requests[-1].key
    assert outcome.usage.calls == 1
    assert chosen(outcome) == [["blue hat"]]


def test_the_error_goes_out_when_eight_options_are_too_long_as_well() -> None:
    dialogue = annotate(question(config(SHORT)), task(text="x"))
    too_long = ContextTooLong("The prompt is too long.")
    lengths = [
        len(offered(request)) for request in (next(dialogue), dialogue.throw(too_long), dialogue.throw(too_long))
    ]
    assert lengths == [20, 10, 8]
    with pytest.raises(ContextTooLong):
        dialogue.throw(too_long)


def test_another_error_is_not_mended_by_fewer_options() -> None:
    dialogue = annotate(question(config()), task(text="x"))
    next(dialogue)
    with pytest.raises(ModelRateLimited):
        dialogue.throw(ModelRateLimited("Too many requests."))


def test_asking_again_offers_the_same_options() -> None:
    outcome, requests = converse(
        question(config(), max_options=8), task(text="a blue hat"), answer("no such"), answer("blue hat")
    )
    assert requests[0].schema == requests[1].schema
    assert requests[1].messages[: len(requests[0].messages)] == requests[0].messages
    assert outcome.notes == (
        '"topic": 8 of 400 options shown, the most similar to the text',
        "asked 2 times",
    )


def test_what_depends_on_an_option_that_was_not_offered_is_still_read() -> None:
    more = (
        '<Choices name="why" toName="text" visibleWhen="choice-selected" whenTagName="topic" '
        'whenChoiceValue="black bag"><Choice value="lost"/><Choice value="torn"/></Choices>'
    )
    answered = reply('{"topic": "black bag", "why": "torn"}')
    outcome, _ = converse(question(config(more=more), max_options=8), task(text="a blue hat"), answered)
    assert chosen(outcome) == [["black bag"], ["torn"]]


def test_options_that_the_task_brings_along_are_shortened_too() -> None:
    xml = '<View><Text name="text" value="$text"/><Taxonomy name="topic" toName="text" value="$tree"/></View>'
    tree = [{"value": f"Shelf {n}", "children": [{"value": f"Box {n} {m}"} for m in range(9)]} for n in range(999)]
    tree.append({"value": "Clothes", "children": [{"value": "blue hats"}]})
    outcome, (request,) = converse(
        question(xml, max_options=10),
        task(text="a blue hat", tree=tree),
        reply('{"topic": ["Clothes > blue hats"]}'),
    )
    names = request.schema["properties"]["topic"]["items"]["enum"]
    assert len(names) == 10
    assert names[-2:] == ["Clothes", "Clothes > blue hats"]
    assert outcome.notes == ('"topic": 10 of 9,992 options shown, the most similar to the text',)
    assert outcome.state is TaskState.DONE
