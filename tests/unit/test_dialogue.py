"""One task's conversation with a model: ask, read, ask again, end in an outcome."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import ContextTooLong
from backend.core.values import Outcome, Picture, Reply, Request, Task, TaskState, TokenLogprob, Usage
from backend.dialogue import MAX_STORED_REPLY_CHARS, Question, annotate
from tests.samples import ALL_REFUSED, EVERY_CONTROL, SENTIMENT, SENTIMENT_AND_TOPIC, TWO_OBJECTS, question, reply, task

LOVE = task(text="I love it")
GOOD = '{"sentiment": "positive"}'
BOTH_GOOD = '{"sentiment": "positive", "topic": ["billing"]}'


def converse(asking: Question, about: Task, *replies: Reply | str) -> tuple[Outcome, list[Request]]:
    """The outcome, and the requests that led to it. Every reply must be asked for."""
    dialogue = annotate(asking, about)
    requests: list[Request] = []
    left = [reply(r) if isinstance(r, str) else r for r in replies]
    try:
        requests.append(next(dialogue))
        while True:
            requests.append(dialogue.send(left.pop(0)))
    except StopIteration as stop:
        assert not left, "a reply was not asked for"
        outcome: Outcome = stop.value
        return outcome, requests


def choices(outcome: Outcome) -> list[list[str]]:
    return [region["value"]["choices"] for region in outcome.result]


def tokens(*pieces: tuple[str, dict[str, float]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=t, logprob=math.log(top[t]), top=tuple((o, math.log(p)) for o, p in top.items()))
        for t, top in pieces
    )


# --- asking ----------------------------------------------------------------------------------------------------


def test_the_request() -> None:
    asking = question(SENTIMENT, instructions="Be kind.", model="m", temperature=0.3, max_tokens=99, seed=4)
    request = next(annotate(asking, LOVE))
    assert [m.role for m in request.messages] == ["system", "user"]
    assert "I love it" in request.messages[1].content
    assert "Be kind." in request.messages[1].content
    assert request.schema == asking.config.schema()
    assert (request.model, request.temperature, request.max_tokens, request.seed) == ("m", 0.3, 99, 4)
    assert request.logprobs


def test_log_probabilities_are_asked_for_only_where_they_are_of_use() -> None:
    free_text = '<View><Text name="text" value="$text"/><TextArea name="why" toName="text"/></View>'
    assert not next(annotate(question(free_text), LOVE)).logprobs
    assert not next(annotate(question(confidence="agreement"), LOVE)).logprobs
    assert next(annotate(question(confidence="auto"), LOVE)).logprobs


# --- a good reply ----------------------------------------------------------------------------------------------


def test_a_good_reply() -> None:
    outcome, requests = converse(question(), LOVE, GOOD)
    (region,) = outcome.result
    assert {k: v for k, v in region.items() if k != "id"} == {
        "from_name": "sentiment",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["positive"]},
    }
    assert outcome.state is TaskState.DONE
    assert outcome.score is None  # no log-probabilities: unknown
    assert (outcome.error, outcome.error_class, outcome.notes) == (None, None, ())
    assert (outcome.reply_text, outcome.model, outcome.latency_s) == (GOOD, "scripted-1", 0.5)
    assert outcome.usage == Usage(prompt_tokens=100, completion_tokens=10, calls=1)
    assert outcome.request_key == requests[0].key
    (field,) = outcome.fields
    assert (field.control, field.value, field.step, field.confidence) == (
        "sentiment",
        ("positive",),
        "strict_json+exact",
        None,
    )


def test_the_score_is_the_probability_of_the_label() -> None:
    pieces = tokens(
        ('{"sentiment": "', {'{"sentiment": "': 1.0}),
        ("positive", {"positive": 0.6, "neutral": 0.3, "negative": 0.1}),
        ('"}', {'"}': 1.0}),
    )
    outcome, _ = converse(question(), LOVE, reply(GOOD, tokens=pieces))
    assert outcome.score == pytest.approx(0.6)
    assert outcome.result[0]["score"] == pytest.approx(0.6)
    assert outcome.fields[0].confidence == pytest.approx(0.6)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n" + GOOD + "\n```",  # read strictly, surrounded
        '{"sentiment": "Positive"}',
    ],
)
def test_tokens_that_are_not_those_of_the_text_give_no_score(text: str) -> None:
    outcome, _ = converse(question(), LOVE, reply(text, tokens=tokens((GOOD, {GOOD: 0.9, "x": 0.1}))))
    assert outcome.state is TaskState.DONE
    assert outcome.score is None


def test_a_tasks_score_is_the_lowest_of_its_controls() -> None:
    xml = SENTIMENT.replace(
        "</View>", '<Choices name="polite" toName="text"><Choice value="yes"/><Choice value="no"/></Choices></View>'
    )
    pieces = tokens(
        ('{"sentiment": "', {'{"sentiment": "': 1.0}),
        ("positive", {"positive": 0.9, "neutral": 0.1}),
        ('", "polite": "', {'", "polite": "': 1.0}),
        ("no", {"no": 0.7, "yes": 0.3}),
        ('"}', {'"}': 1.0}),
    )
    text = "".join(p.token for p in pieces)
    outcome, _ = converse(question(xml), LOVE, reply(text, tokens=pieces))
    assert outcome.score == pytest.approx(0.7)
    assert [r["score"] for r in outcome.result] == [pytest.approx(0.9, abs=0.02), pytest.approx(0.7)]


def test_one_call_answers_every_control() -> None:
    text = json.dumps(
        {
            "mood": "Happy",
            "topics": ["billing", "delivery"],
            "entities": [{"text": "Ann", "label": "PER"}, {"text": "Ann", "label": "PER"}],
            "stars": 4,
            "amount": None,
            "summary": "Ann is glad.",
            "kind": ["Animal > Cat"],
            "day": None,
            "better": "right",
        }
    )
    outcome, requests = converse(question(EVERY_CONTROL), task(a="Ann thanks Ann", b="<p>ok</p>"), text)
    assert len(requests) == 1
    assert outcome.state is TaskState.DONE
    assert [(r["from_name"], r["to_name"]) for r in outcome.result] == [
        ("mood", "a"),
        ("topics", "a"),
        ("entities", "a"),
        ("entities", "a"),
        ("stars", "b"),
        ("summary", "b"),
        ("kind", "a"),
        ("better", "a"),
    ]
    assert outcome.result[0]["value"] == {"choices": ["pos"]}  # the alias, as the editor writes it
    ids = [r["id"] for r in outcome.result]
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {10}


def test_the_same_reply_gives_the_same_ids() -> None:
    first, second = (converse(question(), LOVE, GOOD)[0] for _ in range(2))
    assert first.result == second.result


def test_rightly_nothing_is_empty_and_not_invalid() -> None:
    only_multiple = SENTIMENT.replace("<Choices ", '<Choices choice="multiple" ')
    outcome, _ = converse(question(only_multiple), LOVE, '{"sentiment": []}')
    assert outcome.state is TaskState.EMPTY
    assert (outcome.result, outcome.score, outcome.error) == ((), None, None)


# --- asking again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("I cannot tell.", '"sentiment" is missing: the reply holds no JSON object'),
        ("", '"sentiment" is missing: the reply holds no JSON object'),
        ('{"mood": "positive"}', '"sentiment" is missing in the reply'),
        ('{"sentiment": "great"}', '"sentiment" is not one of the labels'),
        ('{"sentiment": ["positive", "neutral"]}', '"sentiment" needs one label and got 2'),
        ('{"sentiment": null}', '"sentiment" is empty'),
    ],
)
def test_an_unreadable_reply_is_asked_again_once_naming_the_fault(bad: str, fault: str) -> None:
    outcome, requests = converse(question(), LOVE, bad, GOOD)
    assert len(requests) == 2
    first, again = requests
    assert again.messages[: len(first.messages)] == first.messages
    assert [m.role for m in again.messages[2:]] == ["assistant", "user"]
    assert again.messages[2].content == (bad or "(nothing)")
    assert fault in again.messages[3].content
    assert again.schema == first.schema
    assert outcome.state is TaskState.DONE
    assert choices(outcome) == [["positive"]]
    assert outcome.usage == Usage(prompt_tokens=200, completion_tokens=20, calls=2)
    assert outcome.latency_s == 1.0
    assert outcome.notes == ("asked 2 times",)
    assert outcome.request_key == first.key


def test_a_second_unreadable_reply_is_invalid_and_comes_first() -> None:
    outcome, requests = converse(question(), LOVE, "no idea", '{"sentiment": "great"}')
    assert len(requests) == 2
    assert outcome.state is TaskState.INVALID
    assert (outcome.result, outcome.score) == ((), 0.0)
    assert outcome.error_class == "invalid_reply"
    assert outcome.error == '"sentiment" is not one of the labels'
    assert outcome.fields[0].rejected == ("great",)
    assert outcome.reply_text == '{"sentiment": "great"}'


@pytest.mark.parametrize("reasks", [0, 3])
def test_how_often_is_the_agents_setting(reasks: int) -> None:
    _, requests = converse(question(reasks=reasks), LOVE, *["?"] * (reasks + 1))
    assert len(requests) == reasks + 1


def test_what_could_be_read_of_a_partly_invalid_reply_is_kept() -> None:
    text = '{"sentiment": "positive", "topic": ["weather"]}'
    outcome, _ = converse(question(SENTIMENT_AND_TOPIC, reasks=0), LOVE, text)
    assert outcome.state is TaskState.INVALID
    assert choices(outcome) == [["positive"]]
    assert outcome.score == 0.0
    assert outcome.error == '"topic" is not one of the labels'
    assert [f.problem is None for f in outcome.fields] == [True, False]


def test_a_cut_reply_says_so() -> None:
    outcome, requests = converse(question(), LOVE, reply("Let me think, it is positive", finish_reason="length"), GOOD)
    assert "was cut off" in requests[1].messages[3].content
    assert outcome.state is TaskState.DONE


def test_a_cut_reply_whose_values_are_whole_is_used_with_a_note() -> None:
    cut = reply('{"sentiment": "positive", "topic": ["billing", "deli', finish_reason="length")
    outcome, _ = converse(question(SENTIMENT_AND_TOPIC, reasks=0), LOVE, cut)
    assert outcome.state is TaskState.INVALID
    assert choices(outcome) == [["positive"]]
    assert outcome.fields[0].notes == ("the reply was cut off",)


def test_a_label_that_may_be_half_of_another_is_not_used() -> None:
    xml = SENTIMENT.replace('"positive"', '"entail"').replace('"negative"', '"entailment"')
    cut = reply('{"sentiment": "entail', finish_reason="length")
    outcome, _ = converse(question(xml, reasks=0), LOVE, cut)
    assert outcome.state is TaskState.INVALID
    assert outcome.error == '"sentiment" was cut off'
    whole, _ = converse(question(xml), LOVE, reply('{"sentiment": "entail"} and so', finish_reason="length"))
    assert choices(whole) == [["entail"]]


def test_a_filtered_reply_is_invalid() -> None:
    filtered = reply(GOOD, finish_reason="content_filter")
    outcome, _ = converse(question(reasks=0), LOVE, filtered)
    assert outcome.state is TaskState.INVALID
    assert outcome.result == ()
    assert outcome.error == '"sentiment" was filtered by the endpoint'


# --- plain text ------------------------------------------------------------------------------------------------


def test_prose_that_names_one_option() -> None:
    outcome, _ = converse(question(), LOVE, "The sentiment is **Negative**.")
    assert choices(outcome) == [["negative"]]
    assert outcome.fields[0].step == "label_in_prose+exact"


@pytest.mark.parametrize(
    "text",
    [
        "positive or negative",
        "It could be both: positive, and a bit negative.",
        "It is not positive.",
        "I'm sorry, I cannot label this.",
        "mixed",
        "<think>surely positive",
        "<think>positive</think>",
    ],
)
def test_prose_that_names_none_or_two_is_invalid(text: str) -> None:
    outcome, _ = converse(question(reasks=0), LOVE, text)
    assert outcome.state is TaskState.INVALID
    assert outcome.result == ()


def test_prose_never_answers_several_controls() -> None:
    outcome, _ = converse(question(SENTIMENT_AND_TOPIC, reasks=0), LOVE, "positive, billing")
    assert outcome.state is TaskState.INVALID
    assert outcome.result == ()


# --- not asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"text": ""}, "the data's 'text' is empty"),
        ({"text": "  \n"}, "the data's 'text' is empty"),
        ({"text": None}, "the data's 'text' is null"),
        ({}, "the data has no key 'text'"),
        ({"text": {"a": 1}}, "the data's 'text' is not text"),
    ],
)
def test_a_task_without_text_is_skipped(data: dict[str, Any], reason: str) -> None:
    outcome, requests = converse(question(), task(**data))
    assert requests == []
    assert outcome.state is TaskState.SKIPPED
    assert outcome.error_class == "nothing_to_show"
    assert outcome.error == f"Nothing to annotate: {reason}."
    assert (outcome.score, outcome.result, outcome.usage) == (0.0, (), Usage())


def test_a_text_that_is_too_long_is_skipped() -> None:
    outcome, requests = converse(question(context_tokens=4_000), task(text="word " * 200_000))
    assert requests == []
    assert outcome.state is TaskState.SKIPPED
    assert outcome.error_class == "context_too_long"
    assert outcome.error is not None
    assert "4,000" in outcome.error


def test_a_control_about_something_that_is_missing_is_not_asked_and_noted() -> None:
    text = '{"tone": "calm", "quality": "bad"}'
    outcome, requests = converse(question(TWO_OBJECTS), task(question="Where is it?"), text)
    assert "(nothing)" in requests[0].messages[1].content
    assert list(requests[0].schema["properties"]) == ["tone"]
    assert outcome.state is TaskState.DONE
    assert [region["from_name"] for region in outcome.result] == ["tone"]
    assert outcome.notes == (
        "the data has no key 'reply'",
        "\"quality\" has nothing to look at: the data has no key 'reply'",
    )


def test_what_was_read_well_once_stays_when_asking_again_goes_wrong() -> None:
    half = '{"sentiment": "positive", "topic": ["weather"]}'
    outcome, _ = converse(question(SENTIMENT_AND_TOPIC, reasks=1), task(text="x"), half, "sorry")
    assert outcome.state is TaskState.INVALID
    assert [region["from_name"] for region in outcome.result] == ["sentiment"]
    assert outcome.usage.calls == 2


def test_an_error_after_the_first_reply_keeps_what_was_read() -> None:
    dialogue = annotate(question(SENTIMENT_AND_TOPIC, reasks=2), task(text="x"))
    next(dialogue)
    dialogue.send(reply('{"sentiment": "positive", "topic": ["weather"]}'))
    with pytest.raises(StopIteration) as stop:
        dialogue.throw(ContextTooLong("too long"))
    outcome: Outcome = stop.value.value
    assert outcome.state is TaskState.INVALID
    assert [region["from_name"] for region in outcome.result] == ["sentiment"]
    assert outcome.reply_text is not None
    assert "asking again failed: context_too_long" in outcome.notes


def test_an_error_of_the_first_call_comes_back_out() -> None:
    dialogue = annotate(question(), task(text="x"))
    next(dialogue)
    with pytest.raises(ContextTooLong):
        dialogue.throw(ContextTooLong("too long"))


def test_a_filtered_reply_is_not_asked_again() -> None:
    dialogue = annotate(question(reasks=3), task(text="x"))
    next(dialogue)
    with pytest.raises(StopIteration) as stop:
        dialogue.send(reply("", finish_reason="content_filter"))
    assert stop.value.value.state is TaskState.INVALID
    assert stop.value.value.usage.calls == 1


def test_an_image_is_sent_again_when_the_answer_is_asked_again() -> None:
    xml = '<View><Image name="i" value="$i"/><Rectangle name="r" toName="i"/></View>'
    media = {"u": Picture(data_uri="data:image/png;base64,AA==", width=10, height=10)}
    dialogue = annotate(question(xml), task(i="u"), media)
    first = next(dialogue)
    again = dialogue.send(reply('{"r": [{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}]}'))
    assert [len(m.images) for m in first.messages] == [0, 1]
    assert [len(m.images) for m in again.messages] == [0, 1, 0, 0]
    assert "fractions" in again.messages[-1].content
    with pytest.raises(StopIteration) as stop:
        dialogue.send(reply('{"r": [{"x": 10, "y": 10, "width": 50, "height": 50}, {"x": 99, "y": 0}]}'))
    outcome: Outcome = stop.value.value
    assert outcome.state is TaskState.DONE
    assert outcome.score is None
    assert outcome.fields[0].notes == ("1 box(es) that cannot be read",)
    (region,) = outcome.result
    assert region["original_width"] == 10
    assert "score" not in region


def test_a_config_of_which_nothing_can_be_answered_is_said_by_name() -> None:
    outcome, requests = converse(question(ALL_REFUSED), task(sound="x.mp3"))
    assert requests == []
    assert outcome.state is TaskState.SKIPPED
    assert outcome.error_class == "unsupported_config"
    assert outcome.error is not None
    assert 'Labels "calls" on Audio "sound" marks moments of a recording' in outcome.error


def test_what_is_refused_beside_what_is_answered_is_noted() -> None:
    xml = SENTIMENT.replace("</View>", '<Ranker name="rank" toName="text"/></View>')
    outcome, _ = converse(question(xml), LOVE, GOOD)
    assert outcome.state is TaskState.DONE
    assert [note[:34] for note in outcome.notes] == ['refused: Ranker "rank" on Text "te']


# --- whatever comes --------------------------------------------------------------------------------------------


def test_what_no_database_takes_is_replaced() -> None:
    xml = SENTIMENT.replace("</View>", '<TextArea name="why" toName="text"/></View>')
    text = '{"sentiment": "positive", "why": "\\u0000 \\ud83d"}\0\ud800'
    outcome, _ = converse(question(xml), task(text="cut \ud83d"), text)
    assert outcome.state is TaskState.DONE
    assert outcome.result[1]["value"] == {"text": ["\ufffd \ufffd"]}
    assert outcome.reply_text == text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")


def test_a_long_reply_is_kept_in_part() -> None:
    outcome, _ = converse(question(), LOVE, GOOD + " " * 100_000)
    assert outcome.reply_text is not None
    assert len(outcome.reply_text) == MAX_STORED_REPLY_CHARS


_ODD = [
    "\0",
    "\x1b[31m",
    "\ud800",
    "\u202e",
    "{",
    "}",
    '"',
    "[",
    "sentiment",
    "positive",
    "null",
    "<think>",
    "```json\n",
]
_REPLY_TEXTS = (
    st.text(st.characters(exclude_categories=()))
    | st.lists(st.sampled_from([*_ODD, GOOD, BOTH_GOOD, "topic", ": ", ", "]), max_size=12).map("".join)
    | st.binary(max_size=200).map(lambda b: b.decode("latin-1"))
    | st.integers(1, 3_000).map(lambda depth: '{"sentiment":' + "[" * depth + "]" * depth + "}")
    | st.integers(1, 3_000).map(lambda depth: '{"sentiment":' * depth)
    | st.dictionaries(
        st.sampled_from(["sentiment", "topic", "x"]),
        st.none()
        | st.booleans()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.sampled_from(["billing", "positive"])),
    ).map(json.dumps)
)
_TOKENS = st.none() | st.lists(st.sampled_from(['{"', "positive", "ne", '"}', "", "x"]), max_size=6).map(
    lambda pieces: tuple(TokenLogprob(token=p, logprob=-0.1, top=((p, -0.1), ("ne", -3.0))) for p in pieces)
)


@pytest.mark.parametrize("xml", [SENTIMENT, SENTIMENT_AND_TOPIC])
@given(
    st.lists(
        st.builds(
            lambda text, reason, t: reply(text, finish_reason=reason, tokens=t),
            _REPLY_TEXTS,
            st.sampled_from(["stop", "length", "content_filter", "", "tool_calls"]),
            _TOKENS,
        ),
        min_size=2,
        max_size=2,
    )
)
def test_every_reply_ends_in_an_outcome_that_the_server_accepts(xml: str, replies: Sequence[Reply]) -> None:
    asking = question(xml)
    dialogue = annotate(asking, LOVE)
    next(dialogue)
    try:
        for each in replies:
            dialogue.send(each)
    except StopIteration as stop:
        outcome: Outcome = stop.value
    assert outcome.state in (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID)
    assert (outcome.state is TaskState.INVALID) == (outcome.error is not None)
    assert outcome.state is not TaskState.INVALID or outcome.score == 0.0
    assert outcome.score is None or 0.0 <= outcome.score <= 1.0
    assert asking.config.validate([dict(r) for r in outcome.result], outcome.score) == []
    assert [f.control for f in outcome.fields] == [c.name for c in asking.config.controls]
    json.dumps([outcome.reply_text, outcome.error, list(outcome.result)], ensure_ascii=False).encode("utf-8")


@given(st.text(st.characters(exclude_categories=())) | st.none() | st.integers() | st.lists(st.text()))
def test_every_task_is_asked_or_skipped(text: object) -> None:
    asked: Request | Outcome
    try:
        asked = next(annotate(question(), task(text=text)))
    except StopIteration as stop:
        asked = stop.value
    if isinstance(asked, Outcome):
        assert asked.state is TaskState.SKIPPED
    else:
        json.dumps([m.content for m in asked.messages], ensure_ascii=False).encode("utf-8")
