"""Replies -> readings."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.values import FieldReading, TokenLogprob
from backend.fields import read_reply
from backend.labeling.parsing import parse_config
from tests.reply_cases import CASES, CONFIGS, Case, page
from tests.samples import EVERY_CONTROL, REGIONS, SENTIMENT, SENTIMENT_AND_TOPIC, reply

_FUZZED = int(os.environ.get("PRELABEL_TEST_FUZZ", "2000"))  # replies; 200,000 take a quarter of an hour
_MEGABYTE = 1_000_000
DATA = {name: "Ann thanks Ann" for name in ("text", "a", "note")} | {
    "b": "<p>ok</p>",
    "items": [{"id": "Ann", "title": "x"}, {"id": 5, "title": "y"}],
}
RANKED = """
<View>
  <List name="items" value="$items"/><Ranker name="label" toName="items"/>
  <Ranker name="kind" toName="items"><Bucket name="text"/><Bucket name="a" default="true"/></Ranker>
</View>
"""


def read(
    xml: str, text: str, *, finish_reason: str = "stop", tokens: tuple[TokenLogprob, ...] | None = None
) -> tuple[FieldReading, ...]:
    config = parse_config(xml)
    return read_reply(reply(text, finish_reason=finish_reason, tokens=tokens), config.bind(DATA), config.show(DATA))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{heading}: {case.reply[:60]}") for heading, cs in CASES.items() for case in cs]
)
def test_the_table_of_odd_replies(case: Case) -> None:
    (field,) = read(CONFIGS[case.control], case.reply, finish_reason=case.finish_reason)
    value = field.value
    if value is not None and case.control in ("spans", "label"):
        value = tuple(span.text for span in value)
    assert (value, field.problem) == (case.value, case.problem)
    assert case.problem is not None or field.step == case.step


def test_the_page_about_replies_is_current(repository: Path) -> None:
    written = (repository / "docs" / "replies.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m tests.reply_cases > docs/replies.md"


# --- several controls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("sentiment: positive\ntopic:\n- billing\n- delivery", [None, None]),
        ("sentiment: positive\ntopic: billing, delivery", [None, None]),
        ("sentiment: positive", [None, "is missing in the reply"]),
        ("label: positive", ["is missing: the reply holds no JSON object"] * 2),  # of which control?
        ('{"label": "positive", "topic": []}', ["is missing in the reply", None]),
        ('{"sentiment": "positive"} {"topic": ["billing"]}', [None, None]),
        ('{"sentiment": "positive", "topic": ["billing", ', [None, "was cut off"]),
        ('{"sentiment": "positive", "topic": "billing" or "delivery"}', [None, "is not one of the labels"]),
        ('{"sentiment": positive or neutral, "topic": ["billing"]}', ["is not one of the labels", None]),
        ("positive, billing", ["is missing: the reply holds no JSON object"] * 2),
    ],
)
def test_several_controls(text: str, problems: list[str | None]) -> None:
    assert [field.problem for field in read(SENTIMENT_AND_TOPIC, text)] == problems


def test_a_key_that_two_controls_could_mean_is_nobodys() -> None:
    xml = SENTIMENT_AND_TOPIC.replace('name="topic"', 'name="Sentiment"')
    both = read(xml, '{"sentiment": "positive", "Sentiment": ["billing"]}')
    assert [field.value for field in both] == [("positive",), ("billing",)]
    assert [field.value for field in read(xml, '{"SENTIMENT": "positive"}')] == [None, None]


# --- the probability ---------------------------------------------------------------------------------------------


def _tokens(*pieces: tuple[str, dict[str, float]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=t, logprob=math.log(top[t]), top=tuple((o, math.log(p)) for o, p in top.items()))
        for t, top in pieces
    )


_POSITIVE = ("positive", {"positive": 0.6, "negative": 0.3, "neutral": 0.1})


@pytest.mark.parametrize("before", ["", "The sentiment is ", "<think>so</think> "])
@pytest.mark.parametrize("after", ["", "."])
def test_a_label_outside_json_has_its_probability(before: str, after: str) -> None:
    around = [(piece, {piece: 1.0}) for piece in (before, after)]
    pieces = [piece for piece in (around[0], _POSITIVE, around[1]) if piece[0]]
    (field,) = read(SENTIMENT, before + "positive" + after, tokens=_tokens(*pieces))
    assert field.value == ("positive",)
    assert field.confidence == pytest.approx(0.6)
    assert field.label_probabilities == {"positive": 0.6, "negative": 0.3, "neutral": 0.1}
    assert field.label_rest == 0.0


@pytest.mark.parametrize("text", ["positive. Label: positive", "positive positive"])
def test_a_label_at_two_places_has_none(text: str) -> None:
    (field,) = read(SENTIMENT, text, tokens=_tokens((text, {text: 0.9, "x": 0.1})))
    assert field.confidence is None


def test_an_alias_that_is_another_options_name_takes_no_probability() -> None:
    first = {"1": 0.5, "0": 0.2, "2": 0.3}  # option 1 is named 1 with the alias 0; "2" is option 2
    pieces = _tokens(('{"level": "', {'{"level": "': 1.0}), ("1", first), ('"}', {'"}': 1.0}))
    (field,) = read(CONFIGS["level"], '{"level": "1"}', tokens=pieces)
    assert field.value == ("0",)
    assert field.confidence == pytest.approx(0.7)
    assert next(iter(field.label_probabilities)) == "0"  # by what a region holds, not by the name shown


def test_of_a_long_list_twenty_labels_are_kept_and_the_others_as_one_number() -> None:
    options = "".join(f'<Choice value="{letter}{number}"/>' for letter in "abcde" for number in range(1, 7))
    xml = f'<View><Text name="text" value="$text"/><Choices name="c" toName="text">{options}</Choices></View>'
    listed = {"a": 0.4, "b": 0.3, "c": 0.1, "d": 0.1, "e": 0.1}
    pieces = _tokens(('{"c": "', {'{"c": "': 1.0}), ("a", listed), ("1", {"1": 0.8, "2": 0.2}), ('"}', {'"}': 1.0}))
    (field,) = read(xml, '{"c": "a1"}', tokens=pieces)
    assert len(field.label_probabilities) == 20
    assert field.label_probabilities["a1"] == pytest.approx(0.32)
    assert sum(field.label_probabilities.values()) + field.label_rest == pytest.approx(1, abs=1e-5)
    assert field.label_rest == pytest.approx(0.1, abs=1e-5)


def test_two_objects_that_agree_are_scored_at_the_first() -> None:
    again = ' Again: {"sentiment": "positive"}'
    pieces = _tokens(('{"sentiment": "', {'{"sentiment": "': 1.0}), _POSITIVE, ('"}', {'"}': 1.0}), (again, {again: 1}))
    (field,) = read(SENTIMENT, '{"sentiment": "positive"}' + again, tokens=pieces)
    assert field.confidence == pytest.approx(0.6)


# --- anything ----------------------------------------------------------------------------------------------------

_BROKEN = """
{ {" " {'a': [{ \\ {} <think> </think> a{b} {"a":" ` * ** a: - <a> <b>x</b> {a:b, [ [[ [1, "\\ <|end|> ``` 5 é̃ “ {“
{"sentiment":"x"y, {"sentiment":["x", {"sentiment":"positive"} {sentiment:positive} {x <div </ | !! ? "a":{ {"k":tru
</think>{"a" {"a":"</think>"} <answer> [THINK] /* {/* // positive not
"""
_UNITS = [*_BROKEN.split(), " ", "\n", "Label: x\n", "1. x\n", "x ", "| a | b |\n", "\0", "\ud83d", "{ \n", "{a: b\n"]


@pytest.mark.parametrize("unit", _UNITS)
def test_a_megabyte_is_read_in_a_second(unit: str) -> None:
    body = unit * (_MEGABYTE // len(unit))
    for text in (body, '{"sentiment": ' + body, body + '{"sentiment":"positive"}'):
        began = time.process_time()
        read(SENTIMENT, text)
        assert time.process_time() - began < 2  # under 1 s on a quiet machine; a quadratic step takes minutes


_COMMON = """
{ } " ' [ ] , : \\ /* // ` ``` “ ” null true 5 1e999 -0 <think> </think> [THINK] <|channel|>final<|message|> <answer>
</answer> sentiment topic mood topics entities stars amount kind label PER text Ann positive negative Happy pos billing
"sentiment" "positive" {"sentiment":"positive"} not - 1. | = -> ? ! Animal > Cat left
"""
_ODD = ["\0", "\x1b[31m", "\ud800", "\u202e", " ", "\n", "\t", "```json\n", ": ", '": "', '", "', "Label: "]
_PIECES = [*_COMMON.split(), *_ODD]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(_PIECES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_PIECES), inner, max_size=3),
    max_leaves=6,
)
_TEXTS = (
    st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)
    | st.lists(st.sampled_from(_PIECES), max_size=25).map(" ".join)
    | st.text(st.characters(exclude_categories=()), max_size=80)
    | st.binary(max_size=80).map(lambda b: b.decode("utf-8", "surrogateescape"))
    | st.binary(max_size=80).map(lambda b: b.decode("latin-1"))
    | st.tuples(st.sampled_from(["[", '{"sentiment":', '{"a":[', "(", "{'topic':["]), st.integers(1, 3000)).map(
        lambda pair: '{"sentiment":' + pair[0] * pair[1]
    )
    | st.integers(1, 2000).map(lambda depth: '{"sentiment":' + "[" * depth + "]" * depth + "}")
    | st.dictionaries(
        st.sampled_from(["sentiment", "topic", "mood", "entities", "stars", "amount", "kind", "ner", "label"]), _VALUES
    ).map(json.dumps)
)


def _cut(text: str, size: int | None) -> tuple[TokenLogprob, ...] | None:
    """The text in pieces of one size, with the piece before each as its alternative; None: no log-probabilities."""
    if size is None:
        return None
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return tuple(
        TokenLogprob(token=piece, logprob=-0.3, top=((piece, -0.3), (before, -1.5), ("]", -3.0)))
        for before, piece in zip(["", *pieces], pieces, strict=False)
    )


@settings(max_examples=_FUZZED)
@given(
    _TEXTS,
    st.text(st.characters(exclude_categories=()), max_size=3) | st.just(""),
    st.integers(0, 60),
    st.sampled_from([SENTIMENT, SENTIMENT_AND_TOPIC, EVERY_CONTROL, REGIONS, RANKED, *CONFIGS.values()]),
    st.sampled_from(["stop", "stop", "length", "content_filter"]),
    st.none() | st.integers(1, 9),
)
def test_no_reply_makes_it_raise(
    text: str, put_in: str, at: int, xml: str, finish_reason: str, token_size: int | None
) -> None:
    text = text[:at] + put_in + text[at:]
    fields = read(xml, text, finish_reason=finish_reason, tokens=_cut(text, token_size))
    controls = parse_config(xml).controls
    assert [f.control for f in fields] == [c.name for c in controls]
    for control, field in zip(controls, fields, strict=True):
        assert field.problem is not None or field.step is not None
        assert field.confidence is None or 0 <= field.confidence <= 1
        if field.value is not None and control.closed_options:
            chosen = field.value[0] if isinstance(field.value, tuple) else field.value
            assert str(chosen) in {o.value for o in control.closed_options}
