"""Several answers to one task: what they agree on, and how far."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

import pytest

from backend.core.errors import ModelRateLimited, ModelUnauthorized
from backend.core.values import FieldReading, Outcome, Picture, Request, TaskState, TokenLogprob
from backend.dialogue import annotate
from backend.fields import read_reply
from backend.labeling.controls.rectangle import Box, overlap
from backend.labeling.parsing import parse_config
from backend.votes import voted
from tests.samples import SENTIMENT, SENTIMENT_AND_TOPIC, question, reply, task

TEXT = task(text="Ann met Bob at Acme")
SPANS = (
    '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="PER"/>'
    '<Label value="ORG"/></Labels></View>'
)
FREE_TEXT = '<View><Text name="text" value="$text"/><TextArea name="why" toName="text"/></View>'


def converse(
    xml: str, *answers: object, confidence: str = "agreement", **agent: object
) -> tuple[Outcome, list[Request]]:
    """The outcome of a task that is answered in turn with these values (a string is a raw reply)."""
    dialogue = annotate(question(xml, confidence=confidence, **agent), TEXT)
    requests: list[Request] = []
    left = list(answers)
    try:
        requests.append(next(dialogue))
        while True:
            answer = left.pop(0)
            if isinstance(answer, Exception):
                requests.append(dialogue.throw(answer))
            else:
                text = answer if isinstance(answer, str) else json.dumps(answer)
                requests.append(dialogue.send(reply(text)))
    except StopIteration as stop:
        assert not left, "an answer was not asked for"
        outcome: Outcome = stop.value
        return outcome, requests


def says(*moods: str) -> list[object]:
    return [{"sentiment": mood} for mood in moods]


def test_the_share_of_the_plurality_is_the_score() -> None:
    outcome, requests = converse(SENTIMENT, *says("neutral", "positive", "positive", "negative", "positive"))
    (field,) = outcome.fields
    assert (outcome.state, outcome.score) == (TaskState.DONE, 0.6)
    assert outcome.result[0]["value"] == {"choices": ["positive"]}
    assert (field.method, dict(field.signals)) == ("agreement", {"samples": 5, "read": 5, "tied": 0})
    assert outcome.usage.calls == 5
    assert [r.temperature for r in requests] == [0.0, 0.7, 0.7, 0.7, 0.7]
    assert len({r.key for r in requests}) == 5  # each with a seed of its own
    assert len({r.messages for r in requests}) == 1


def test_a_vote_has_no_label_probabilities_of_the_first_answer() -> None:
    shares = {"positive": 0.9, "neutral": 0.1}
    first = FieldReading(
        control="sentiment", value=("positive",), step="exact", label_probabilities=shares, label_rest=0.1
    )
    found = voted(parse_config(SENTIMENT).controls[0], [first, first, first], "agreement")
    assert (found.confidence, found.label_probabilities, found.label_rest) == (1.0, {}, 0.0)


def test_an_unreadable_sample_agrees_with_nothing() -> None:
    outcome, _ = converse(SENTIMENT, *says("positive"), "who knows", *says("positive", "positive"), "{", samples=5)
    assert outcome.score == 0.6
    assert outcome.fields[0].signals["read"] == 3


def test_a_sample_that_fails_ends_the_sampling_and_is_told() -> None:
    outcome, _ = converse(SENTIMENT, *says("positive", "negative", "positive"), ModelRateLimited("slow down"))
    assert outcome.score == pytest.approx(2 / 3)
    assert outcome.notes == ("a further sample failed: rate_limited",)
    assert outcome.usage.calls == 3


def test_an_answer_with_a_problem_is_not_sampled() -> None:
    outcome, _ = converse(SENTIMENT, "no idea", reasks=0)
    assert (outcome.state, outcome.score) == (TaskState.INVALID, 0.0)


def test_auto_asks_again_only_for_what_has_no_score() -> None:
    outcome, requests = converse(SENTIMENT, *says(*["positive"] * 5), confidence="auto")
    assert (outcome.score, requests[0].logprobs, requests[1].logprobs) == (1.0, True, False)
    outcome, requests = converse(FREE_TEXT, {"why": "because"}, confidence="auto")
    assert (outcome.score, len(requests)) == (None, 1)


def test_only_one_method_is_used_when_it_is_named() -> None:
    outcome, requests = converse(SENTIMENT, *says("positive"), confidence="logprob")
    assert (outcome.score, len(requests)) == (None, 1)


def test_passages_are_voted_on_each_by_itself() -> None:
    ann, bob, acme = ({"text": t, "label": label} for t, label in (("Ann", "PER"), ("Bob", "PER"), ("Acme", "ORG")))
    samples = [[ann, acme], [ann, bob], [ann, bob], [ann, bob, acme], [ann]]
    outcome, _ = converse(SPANS, *({"who": sample} for sample in samples))
    assert [(r["value"]["text"], r["score"]) for r in outcome.result] == [("Ann", 1.0), ("Bob", 0.6)]
    assert outcome.score == 0.6  # as the weakest decision, also that against Acme


def test_that_nothing_is_there_has_a_score_too() -> None:
    outcome, _ = converse(SPANS, *({"who": sample} for sample in ([], [], [], [{"text": "Ann", "label": "PER"}], [])))
    assert (outcome.state, outcome.score, outcome.result) == (TaskState.EMPTY, 0.8, ())


def test_a_passage_that_is_not_there_lowers_the_score() -> None:
    ann, ghost = {"text": "Ann", "label": "PER"}, {"text": "Zoe", "label": "PER"}
    outcome, _ = converse(SPANS, *({"who": sample} for sample in ([ann, ghost], [ann], [ann], [ann], [ann])))
    assert outcome.score == pytest.approx(0.9)
    assert outcome.fields[0].notes == ("1 quoted passage(s) are not in the text, or not so often",)


def test_a_required_set_is_never_voted_empty() -> None:
    xml = SENTIMENT.replace("<Choices ", '<Choices choice="multiple" required="true" ')
    samples = [["negative"], ["positive"], ["neutral"], ["positive"], ["negative", "neutral"]]
    outcome, _ = converse(xml, *({"sentiment": sample} for sample in samples))
    (field,) = outcome.fields
    assert (field.value, field.confidence) == (("positive",), 0.4)


def test_variants_ask_in_other_words_and_orders_and_never_twice_the_same() -> None:
    answers = says("positive", "positive", "positive", "neutral", "positive")
    outcome, requests = converse(SENTIMENT, *answers, confidence="prompt_variants")
    assert outcome.score == 0.8
    assert outcome.fields[0].method == "prompt_variants"
    assert len({r.messages for r in requests}) == 5
    assert {r.temperature for r in requests} == {0.0}
    orders = {tuple(r.schema["properties"]["sentiment"]["enum"]) for r in requests}
    assert len(orders) == 5
    plain = "{% block user %}{% for o in objects %}{{ o.text }}{% endfor %}{{ shape }}{% endblock %}"
    xml = SPANS.replace('<Label value="ORG"/>', "")
    outcome, requests = converse(xml, {"who": []}, confidence="prompt_variants", template=plain)
    assert (len(requests), outcome.score) == (1, None)


def test_the_models_own_number_is_asked_for_and_read() -> None:
    answer = {"sentiment": "positive", "topic": [], "confidence": {"sentiment": 85, "topic": "60 %"}}
    outcome, requests = converse(SENTIMENT_AND_TOPIC, answer, confidence="self_reported")
    assert [(f.method, f.confidence) for f in outcome.fields] == [("self_reported", 0.85), ("self_reported", 0.6)]
    assert outcome.score == 0.6
    assert '"confidence": {"sentiment": <0 to 100>, "topic": <0 to 100>}' in requests[0].messages[-1].content
    assert requests[0].schema["required"] == ["sentiment", "topic", "confidence"]
    without = {"sentiment": "positive", "topic": []}
    assert converse(SENTIMENT_AND_TOPIC, without, confidence="self_reported")[0].score is None


def test_a_control_called_confidence_keeps_its_name() -> None:
    xml = SENTIMENT.replace('name="sentiment"', 'name="confidence"')
    answer = {"confidence": "positive", "confidence_in_per_cent": {"confidence": 70}}
    outcome, _ = converse(xml, answer, confidence="self_reported")
    assert (outcome.result[0]["value"], outcome.score) == ({"choices": ["positive"]}, 0.7)


# --- single controls -------------------------------------------------------------------------------------------


def box(x: float, label: str = "a", item: int | None = None) -> Box:
    return Box(x=x, y=0, width=10, height=10, original_width=100, original_height=100, item=item, label=label)


def vote(inside: str, samples: Sequence[FieldReading]) -> FieldReading:
    objects = '<Text name="text" value="$text"/><Image name="image" value="$image"/>'
    (control,) = parse_config(f"<View>{objects}{inside}</View>").controls
    return voted(control, samples, "agreement")


def boxes(*found: Box) -> FieldReading:
    return FieldReading(control="it", value=found or None, step="strict_json+exact")


def test_boxes_around_the_same_thing_are_the_same() -> None:
    inside = '<RectangleLabels name="it" toName="image"><Label value="a"/><Label value="b"/></RectangleLabels>'
    found = vote(inside, [boxes(box(0), box(50)), boxes(box(2)), boxes(box(3), box(20, "b")), boxes(box(0, "b"))])
    assert found.value == (box(0),)
    assert found.confidence == 0.75
    assert overlap(box(0), box(0)) == 1
    assert overlap(box(0), box(5)) == pytest.approx(1 / 3)
    assert overlap(box(0), box(50)) == 0


@pytest.mark.parametrize(
    ("inside", "answers", "value", "share"),
    [
        ('<Number name="it" toName="text"/>', [3, 3.0, 4], 3, 2 / 3),
        ('<Rating name="it" toName="text"/>', [5, 4, 4], 4, 2 / 3),
        ('<Number name="it" toName="text"/>', [None, None, 4], None, 2 / 3),
        (
            '<Taxonomy name="it" toName="text"><Choice value="a"><Choice value="b"/></Choice></Taxonomy>',
            [["a > b"], ["a", "a > b"], ["a > b"]],
            (("a", "b"),),
            2 / 3,
        ),
    ],
)
def test_what_agreement_means_for_each_control(inside: str, answers: list[object], value: object, share: float) -> None:
    config = parse_config(f'<View><Text name="text" value="$text"/>{inside}</View>')
    shown = config.show({"text": "x"})
    samples = [read_reply(reply(json.dumps({"it": answer})), config, shown)[0] for answer in answers]
    found = voted(config.controls[0], samples, "agreement")
    assert found.value == value
    assert found.confidence == pytest.approx(share)


def test_a_control_that_samples_did_not_show_is_voted_on_by_the_others() -> None:
    xml = (
        '<View><Text name="text" value="$text"/><Choices name="mood" toName="text"><Choice value="sad"/>'
        '<Choice value="fine"/></Choices><Choices name="why" toName="text" visibleWhen="choice-selected" '
        'whenTagName="mood" whenChoiceValue="sad"><Choice value="work"/><Choice value="love"/></Choices></View>'
    )
    sad, fine = {"mood": "sad", "why": "work"}, {"mood": "fine", "why": None}
    outcome, _ = converse(xml, fine, sad, sad, {"mood": "sad", "why": "love"}, fine)
    assert [(f.value, f.confidence) for f in outcome.fields] == [(("sad",), 0.6), (("work",), pytest.approx(2 / 3))]
    outcome, _ = converse(xml, fine, sad, fine, fine, fine)
    assert [r["from_name"] for r in outcome.result] == ["mood"]


# --- off the tokens of one reply -------------------------------------------------------------------------------


def in_tokens(text: str, doubts: dict[str, float]) -> tuple[TokenLogprob, ...]:
    """A reply cut into words and marks; the `doubts` give a word's probability, all other tokens are nearly certain."""
    pieces = re.findall(r"\w+|\W", text)
    return tuple(
        TokenLogprob(token=p, logprob=math.log(sure), top=((p, math.log(sure)), ("?", math.log(1.001 - sure))))
        for p in pieces
        for sure in [doubts.get(p, 1.0)]
    )


def test_each_passage_has_a_probability_of_its_own() -> None:
    answer = (
        '{"who": [{"text": "Bob", "label": "PER"}, {"text": "Zoe", "label": "PER"}, {"text": "Ann", "label": "PER"}]}'
    )
    config = parse_config(SPANS)
    given = reply(answer, tokens=in_tokens(answer, {"Bob": 0.5, "Ann": 0.8}))
    (field,) = read_reply(given, config, config.show(TEXT.data))
    assert [span.text for span in field.value or ()] == ["Ann", "Bob"]
    assert field.region_confidences == pytest.approx((0.8, 0.5))
    assert field.confidence == pytest.approx(0.5 * 0.8 * 2 / 3)  # Zoe is not in the text
    assert field.method == "value_logprob"


def test_numbers_and_ratings_are_scored_off_their_tokens() -> None:
    inside = '<Number name="n" toName="text"/><Rating name="r" toName="text"/>'
    config = parse_config(f'<View><Text name="text" value="$text"/>{inside}</View>')
    answer = '{"n": 42, "r": 4}'
    stars = TokenLogprob(token="4", logprob=math.log(0.6), top=(("4", math.log(0.6)), ("5", math.log(0.3))))
    tokens = tuple(stars if t.token == "4" else t for t in in_tokens(answer, {"42": 0.7}))
    number, rating = read_reply(reply(answer, tokens=tokens), config, config.show(TEXT.data))
    assert (number.method, number.confidence) == ("value_logprob", pytest.approx(0.7))
    assert (rating.method, rating.confidence) == (
        "label_logprob",
        pytest.approx(0.6),
    )  # what is not listed may be another rating


# --- what belongs together -------------------------------------------------------------------------------------

ANN = {"text": "Ann", "label": "PER"}
ATTACHED = (
    '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="PER"/></Labels>'
    '<Choices name="c" toName="text" perRegion="true"><Choice value="a"/><Choice value="b"/></Choices>'
    '<Choices name="e" toName="text" perRegion="true"><Choice value="a"/><Choice value="b"/></Choices></View>'
)


def test_each_attached_answer_is_what_most_say() -> None:
    pairs = [("b", "b"), ("b", "b"), ("a", "b"), ("a", "a"), ("a", None)]
    outcome, _ = converse(ATTACHED, *({"who": [{**ANN, "c": c, "e": e}]} for c, e in pairs))
    answers = {region["from_name"]: region["value"].get("choices") for region in outcome.result}
    assert (answers["c"], answers["e"]) == (["a"], ["b"])
    assert outcome.score == 1.0  # that Ann is a person


def test_the_label_of_a_box_is_a_part_of_it() -> None:
    inside = '<Rectangle name="it" toName="image"/><Labels name="what" toName="image"><Label value="car"/>'
    config = parse_config(f'<View><Image name="image" value="$image"/>{inside}<Label value="truck"/></Labels></View>')
    (control,) = config.controls
    picture = Picture(data_uri="data:image/png;base64,AA==", width=100, height=100)
    shown = config.show({"image": "x"}, {"x": picture})
    labels = ["truck", "car", "car", "truck", "car"]
    place = {"x": 1, "y": 1, "width": 10, "height": 10}
    answers = [reply(json.dumps({"it": [{**place, "what": label}]})) for label in labels]
    found = voted(control, [read_reply(answer, config, shown)[0] for answer in answers], "agreement")
    assert [region["value"].get("labels") for group in control.grouped(found.value) for region in group][1] == ["car"]
    assert found.confidence == 0.6


def test_free_text_is_that_of_an_answer_that_says_what_the_vote_says() -> None:
    xml = SENTIMENT.replace("</View>", '<TextArea name="why" toName="text"/></View>')
    first = {"sentiment": "negative", "why": "It is sad."}
    others = [{"sentiment": "positive", "why": f"It is glad {n}."} for n in range(4)]
    outcome, _ = converse(xml, first, *others)
    assert [region["value"] for region in outcome.result] == [{"choices": ["positive"]}, {"text": ["It is glad 0."]}]


def test_the_order_of_several_labels_is_no_disagreement() -> None:
    both = SPANS.replace("<Labels ", '<Labels choice="multiple" ')
    samples = [["PER", "ORG"], ["PER", "ORG"], ["ORG", "PER"], ["ORG", "PER"], ["ORG", "PER"]]
    outcome, _ = converse(both, *({"who": [{"text": "Ann", "labels": labels}]} for labels in samples))
    assert (outcome.score, outcome.result[0]["value"]["labels"]) == (1.0, ["PER", "ORG"])


def test_a_majority_keeps_the_limits_of_its_control() -> None:
    limited = SPANS.replace('"PER"', '"PER" maxUsages="2"')
    samples = [["Ann", "Bob"], ["Bob", "Acme"], ["Ann", "Acme"], ["Ann", "Bob"], ["Bob", "Acme"]]
    outcome, _ = converse(limited, *({"who": [{"text": t, "label": "PER"} for t in texts]} for texts in samples))
    assert [r["value"]["text"] for r in outcome.result] == ["Ann", "Bob"]
    assert outcome.score == 0.4


def test_a_box_to_tick_is_asked_once_and_may_be_left() -> None:
    box = '<Choices name="bad" toName="text"><Choice value="Bad data"/></Choices>'
    xml = f'<View><Text name="text" value="$text"/>{box}</View>'
    outcome, requests = converse(xml, *[{"bad": []}] * 5)
    assert (outcome.state, outcome.score, len(requests)) == (TaskState.EMPTY, 1.0, 5)
    required = xml.replace('toName="text">', 'toName="text" required="true">')
    outcome, requests = converse(required, {"bad": "Bad data"})
    assert (outcome.state, outcome.score, len(requests)) == (TaskState.DONE, None, 1)


def test_an_error_that_stops_the_job_leaves_no_half_measured_answer() -> None:
    with pytest.raises(ModelUnauthorized):
        converse(SENTIMENT, *says("positive"), ModelUnauthorized("no"))
    outcome, _ = converse(SENTIMENT, *says("positive", "positive"), ModelRateLimited("slow down"))
    assert (outcome.state, outcome.score) == (TaskState.DONE, None)  # two that agree may do so by chance


def test_a_value_is_no_problem() -> None:
    inside = '<Choices name="it" toName="text" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>'
    hidden = FieldReading(control="it", value=None, step="not_shown")
    bad = FieldReading(control="it", value=None, step="strict_json", problem="is not one of the labels")
    good = [FieldReading(control="it", value=v, step="strict_json+exact") for v in (("a",), ("b",), ("a", "b"))]
    found = vote(inside, [hidden, bad, *good])
    assert (found.value, found.problem) == (("a", "b"), None)
    assert found.confidence == 0.5


def test_free_text_beside_a_passage_takes_nothing_from_its_score() -> None:
    xml = SPANS.replace("</View>", '<TextArea name="why" toName="text" perRegion="true"/></View>')
    answer = json.dumps({"who": [{**ANN, "why": "so many unlikely words"}]})
    config = parse_config(xml)
    doubts = {"Ann": 0.9, "so": 0.2, "many": 0.2, "unlikely": 0.1, "words": 0.3}
    given = reply(answer, tokens=in_tokens(answer, doubts))
    (field,) = read_reply(given, config, config.show(TEXT.data))
    assert field.confidence == pytest.approx(0.9)


def test_an_image_by_itself_is_scored_as_the_control_itself() -> None:
    picture = Picture(data_uri="data:image/png;base64,AA==", width=100, height=100)
    found = []
    for per_item in ("", 'perItem="true"'):
        config = parse_config(
            f'<View><Image name="image" value="$image"/><Choices name="it" toName="image" {per_item}>'
            '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
        )
        answer = '{"it": "cat"}'
        tokens = tuple(
            TokenLogprob(token="cat", logprob=math.log(0.6), top=(("cat", math.log(0.6)), ("dog", math.log(0.3))))
            if t.token == "cat"
            else t
            for t in in_tokens(answer, {})
        )
        found += read_reply(reply(answer, tokens=tokens), config, config.show({"image": "x"}, {"x": picture}))
    plain, single = found
    assert (single.method, single.confidence) == (plain.method, plain.confidence)
    assert plain.method == "label_logprob"


def test_the_words_of_a_passage_are_no_answer_of_a_control_named_text() -> None:
    xml = SPANS.replace("</View>", '<TextArea name="Text" toName="text" perRegion="true"/></View>')
    outcome, requests = converse(xml, {"who": [ANN]}, confidence="logprob")
    assert [region["type"] for region in outcome.result] == ["labels"]
    properties = requests[0].schema["properties"]["who"]["items"]["properties"]
    assert list(properties) == ["text", "label", "Text_answer"]
    outcome, _ = converse(xml, {"who": [{**ANN, "Text_answer": "a person"}]}, confidence="logprob")
    assert [region["value"].get("text") for region in outcome.result] == ["Ann", ["a person"]]


def test_a_control_called_confidence_in_another_case_keeps_its_name_too() -> None:
    xml = '<View><Text name="text" value="$text"/><Number name="Confidence" toName="text"/></View>'
    answer = {"Confidence": 50, "confidence_in_per_cent": {"Confidence": 90}}
    outcome, _ = converse(xml, answer, confidence="self_reported")
    assert (outcome.result[0]["value"], outcome.score) == ({"number": 50}, 0.9)
