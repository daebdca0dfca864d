"""Every confidence method over recorded rows."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.recorded import parse_lines
from backend.services.recorded_answers import Keys
from backend.services.score import GroupScores, Report, as_json, score

OPTIONS = ["yes", "no"]


def report(*rows: dict[str, Any], keys: Keys | None = None, invalid_is_wrong: bool = False) -> Report:
    lines = [json.dumps(row) for row in rows]
    return score(list(parse_lines(lines, "f")), keys or Keys(), invalid_is_wrong=invalid_is_wrong)


def only(*rows: dict[str, Any], **options: Any) -> GroupScores:
    (group,) = report(*rows, **options).groups
    return group


def reply(raw: str, gold: str = "yes", **more: Any) -> dict[str, Any]:
    return {"raw": raw, "options": OPTIONS, "gold": gold, **more}


def logprobs(*tokens: tuple[str, dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {"token": text, "logprob": math.log(top[text]), "top": [[t, math.log(p)] for t, p in top.items()]}
        for text, top in tokens
    ]


def test_every_method_by_hand() -> None:
    """A reply with a label of probability 0.6, which says 0.9 of itself, of which two of three samples agree."""
    raw = '{"label": "yes", "confidence": 0.9}'
    tokens = logprobs(
        ('{"label": "', {'{"label": "': 1.0}),
        ("yes", {"yes": 0.6, "no": 0.4}),
        ('", "confidence": 0.9}', {'", "confidence": 0.9}': 1.0}),
    )
    group = only(reply(raw, raws=[raw, "no", '{"label": "yes"}'], logprobs=tokens))
    found = {name: (q.n, q.mean_confidence, q.accuracy) for name, q in group.methods.items()}
    assert found == {
        "label_logprob": (1, pytest.approx(0.6), 1.0),
        "agreement": (1, pytest.approx(2 / 3), 1.0),
        "self_reported": (1, 0.9, 1.0),
        "mean_token": (1, pytest.approx(2.6 / 3), 1.0),
    }


def test_a_method_without_evidence_is_not_told() -> None:
    assert list(only(reply("yes")).methods) == []
    assert list(only(reply("yes", raws=["yes"])).methods) == []
    assert list(only(reply('{"label": "yes", "probability": "80%"}')).methods) == ["self_reported"]


def test_evidence_that_says_nothing_is_counted() -> None:
    """An endpoint that reports 0.0 for every token, and a word instead of a number."""
    constant = [{"token": '{"label": "yes", "score": "high"}', "logprob": 0.0}]
    group = only(reply(constant[0]["token"], logprobs=constant))
    assert {name: q.coverage for name, q in group.methods.items()} == {
        "label_logprob": 0.0,
        "self_reported": 0.0,
        "mean_token": 0.0,
    }


@pytest.mark.parametrize(
    ("name", "raw", "key", "right"),
    [
        ("at label", '{"label": "yes", "reason": "no"}', None, True),
        ("at the one key with an option", '{"reason": "because", "code": "yes"}', None, True),
        ("of several such keys none", '{"code": "yes", "other": "no"}', None, None),
        ("at the named key", '{"label": "no", "code": "yes"}', "code", True),
        ("not at the named key", '{"label": "yes"}', "code", None),
        ("no option at any key", '{"code": "maybe"}', None, None),
        ("up to case", '{"code": "YES."}', None, True),
        ("the wrong one", '{"label": "no"}', None, False),
        ("in prose", "I would say yes.", None, True),
        ("a refusal", "I cannot answer that.", None, None),
        ("in a fence", '```json\n{"label": "yes"}\n```', None, True),
        ("nothing", "", None, None),
        ("a lone surrogate", '{"label": "\\ud800"}', None, None),
    ],
)
def test_where_the_label_of_a_reply_is(name: str, raw: str, key: str | None, right: bool | None) -> None:
    group = only(reply(raw), keys=Keys(label=key))
    assert (group.invalid, group.accuracy) == (int(right is None), float(right is True)), name


_ODD = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))
_ODD_REPLIES = st.text() | st.dictionaries(st.text() | st.sampled_from(["label", "score"]), _ODD, max_size=4).map(
    json.dumps
)


@given(st.lists(_ODD_REPLIES, min_size=1, max_size=4), st.booleans())
def test_no_reply_stops_the_command(raws: list[str], multiple: bool) -> None:
    group = only({"raws": raws, "options": OPTIONS, "multiple": multiple, "gold": "yes"})
    assert group.replies == 1
    for found in group.methods.values():
        assert found.mean_confidence is None or 0 <= found.mean_confidence <= 1


def test_a_cut_reply_is_read_as_in_the_service() -> None:
    assert only(reply('{"label": "yes', finish_reason="length")).invalid == 1
    assert only(reply('{"label": "yes')).invalid == 0


def test_an_invalid_reply_is_counted_and_has_no_confidence() -> None:
    rows = [reply('{"label": "maybe", "confidence": 0.7}'), reply('{"label": "yes", "confidence": 0.9}')]
    group = only(*rows)
    found = group.methods["self_reported"]
    assert (group.replies, group.invalid, group.accuracy) == (2, 1, 0.5)
    assert (found.n, found.scored, found.accuracy) == (2, 1, 1.0)


def test_an_invalid_reply_can_be_taken_as_a_wrong_answer() -> None:
    rows = [reply('{"label": "maybe", "confidence": 0.7}'), reply('{"label": "yes", "confidence": 0.9}')]
    found = only(*rows, invalid_is_wrong=True).methods["self_reported"]
    assert (found.scored, found.accuracy, found.mean_confidence) == (2, 0.5, pytest.approx(0.8))


def test_agreement_has_its_own_label() -> None:
    """The first sample is wrong, two of the four agree on the right one, and one is unreadable."""
    group = only({"raws": ["no", "yes", "dunno", '{"label": "yes"}'], "options": OPTIONS, "gold": "yes"})
    found = group.methods["agreement"]
    assert (found.accuracy, found.mean_confidence) == (1.0, 0.5)
    assert group.accuracy == 0.0


def test_several_labels_agree_element_by_element() -> None:
    raws = ['{"label": ["a", "b"]}', '{"label": ["a"]}', '{"label": ["a", "b"]}', '{"label": []}']
    group = only({"raws": raws, "options": ["a", "b", "c"], "multiple": True, "gold": ["b", "a"]})
    assert group.methods["agreement"].mean_confidence == 0.5
    assert group.methods["agreement"].accuracy == 1.0
    assert group.accuracy == 1.0


def test_no_label_at_all_is_an_answer_where_several_are_asked() -> None:
    group = only({"raw": '{"label": []}', "options": OPTIONS, "multiple": True, "gold": []})
    assert (group.invalid, group.accuracy) == (0, 1.0)


def test_rows_of_one_item_are_its_samples() -> None:
    rows = [reply(raw, id="a") for raw in ("yes", "yes", "no")] + [reply("no", id="b")]
    found = only(*rows, keys=Keys(item="id")).methods["agreement"]
    assert (found.n, found.scored, found.mean_confidence) == (2, 1, pytest.approx(2 / 3))


def test_rows_of_one_item_have_one_gold() -> None:
    with pytest.raises(InputError, match='f, line 2: its "gold" differs'):
        report(reply("yes", id="a"), reply("yes", gold="no", id="a"), keys=Keys(item="id"))


def test_gold_is_taken_as_the_options_spell_it() -> None:
    assert only(reply('{"label": "yes"}', gold="Yes.")).accuracy == 1.0
    assert only(reply('{"label": "yes"}', gold="other")).accuracy == 0.0


def test_without_options_the_labels_of_gold_are_the_options() -> None:
    found = report({"raw": "yes", "gold": "yes"}, {"raw": "no", "gold": "no"})
    assert (found.options_from_gold, found.groups[0].accuracy) == (2, 1.0)
    assert report(reply("yes")).options_from_gold is None


def test_rows_with_only_a_label_and_a_confidence() -> None:
    rows = [{"label": "a", "gold": "a", "confidence": 0.8}, {"label": "b", "gold": "a", "confidence": None}]
    found = only(*rows).methods["recorded"]
    assert (found.n, found.scored, found.mean_confidence) == (2, 1, 0.8)


@pytest.mark.parametrize(
    ("verdict", "right", "invalid"),
    [(True, True, 0), (1, True, 0), ("Correct", True, 0), (False, False, 0), ("Wrong", False, 0),
     ("Unparseable", False, 1)],
)  # fmt: skip
def test_rows_that_say_whether_they_are_right(verdict: Any, right: bool, invalid: int) -> None:
    group = only({"grade": verdict, "p": 0.5}, keys=Keys(correct="grade", confidence="p"))
    assert (group.accuracy, group.invalid) == (float(right), invalid)
    assert group.methods["recorded"].scored == 1 - invalid


def test_a_label_that_is_not_where_it_was_sought_does_not_make_a_row_wrong() -> None:
    """Gold without a label to compare it with: what the row says of itself holds."""
    assert only({"pred": "a", "gold": "a", "confidence": 0.5, "correct": True}).accuracy == 1.0


def test_rows_of_which_nothing_says_what_is_right_are_left_out_and_counted() -> None:
    found = report(reply("yes"), {"raw": "yes", "options": OPTIONS}, {"raw": "?", "options": OPTIONS})
    assert (found.rows, found.without_gold, found.groups[0].replies) == (3, 2, 1)


def test_groups() -> None:
    rows = [reply("yes", model=m, set=s) for m, s in (("m1", "a"), ("m2", "a"), ("m1", "a"), ("m1", 3))]
    found = report(*rows, keys=Keys(group=("set", "model")))
    assert [(g.name, g.replies) for g in found.groups] == [("a/m1", 2), ("a/m2", 1), ("3/m1", 1)]


@pytest.mark.parametrize(
    ("row", "keys", "said"),
    [
        ({"raw": "yes"}, Keys(), 'no "options"'),
        ({"gold": "a"}, Keys(), 'no reply \\("raw" or "raws"\\), no "label" and no "correct"'),
        ({"gold": "a"}, Keys(label="pred"), 'no "pred"'),
        ({"correct": "perhaps"}, Keys(), '"correct" must be'),
        (reply("yes"), Keys(group=("model",)), '"model" must be'),
        (reply("yes", id=[1]), Keys(item="id"), '"id" must be'),
        (reply("yes", gold={"a": 1}), Keys(), '"gold" must be'),  # type: ignore[arg-type]
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: dict[str, Any], keys: Keys, said: str) -> None:
    with pytest.raises(InputError, match=f"^f, line 1: .*{said}"):
        report(row, keys=keys)


def test_the_order_of_the_rows_changes_no_figure() -> None:
    rows = [
        reply(f'{{"label": "{label}", "confidence": {confidence}}}')
        for label in ("yes", "no", "?")
        for confidence in (0.3, 0.31, 0.9, 0.95)
    ]
    shuffled = random.Random(1).sample(rows, len(rows))
    assert only(*shuffled) == only(*rows)


def test_the_report_as_json() -> None:
    told = json.loads(json.dumps(as_json(report(reply('{"label": "yes", "confidence": 0.9}'), reply("dunno")))))
    (group,) = told["groups"]
    assert (group["group"], group["replies"], group["invalid"]) == (None, 2, 1)
    found = group["methods"]["self_reported"]
    assert (found["n"], found["coverage"], found["auroc"], len(found["bins"])) == (2, 0.5, None, 10)
    assert group["random_order"]["errors_caught"] == 0.2
