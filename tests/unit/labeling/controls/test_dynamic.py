"""Options that each task brings along."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.values import Outcome, TaskState
from backend.dialogue import annotate
from backend.labeling.parsing import parse_config
from tests.samples import question, reply, task

CHOICES = '<View><Text name="t" value="$t"/><Choices name="c" toName="t" value="$options"/></View>'
TAXONOMY = '<View><Text name="t" value="$t"/><Taxonomy name="c" toName="t" value="$options"/></View>'
TREE = [{"value": "Animal", "children": [{"value": "Cat", "alias": "cat"}, {"value": "Dog"}]}, {"value": "Plant"}]


def outcome_of(xml: str, data: dict[str, Any], answer: Any) -> Outcome:
    dialogue = annotate(question(xml, reasks=0), task(**data))
    try:
        next(dialogue)
        dialogue.send(reply(json.dumps({"c": answer})))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    raise AssertionError("asked again")


def test_each_task_has_its_own_choices() -> None:
    for options, answer in ((["one", "two"], "two"), ([{"value": "red", "hint": "warm"}, {"value": "blue"}], "red")):
        outcome = outcome_of(CHOICES, {"t": "x", "options": options}, answer)
        assert outcome.state is TaskState.DONE, outcome.error
        assert outcome.result[0]["value"] == {"choices": [answer]}
    assert outcome_of(CHOICES, {"t": "x", "options": ["one"]}, "two").state is TaskState.INVALID


def test_the_options_are_in_the_prompt_the_schema_and_the_tasks_data() -> None:
    config = parse_config(CHOICES)
    assert config.variables == ("t", "options")
    dialogue = annotate(question(CHOICES), task(t="x", options=[{"value": "red", "hint": "warm"}, {"value": "blue"}]))
    request = next(dialogue)
    assert request.schema["properties"]["c"]["enum"] == ["red", "blue"]
    assert "- red: warm\n- blue" in request.messages[-1].content


def test_a_tree_of_the_data() -> None:
    outcome = outcome_of(TAXONOMY, {"t": "x", "options": TREE}, ["Animal > Cat"])
    assert outcome.state is TaskState.DONE, outcome.error
    assert outcome.result[0]["value"] == {"taxonomy": [["Animal", "cat"]]}
    assert outcome_of(TAXONOMY, {"t": "x", "options": TREE}, ["Cat"]).state is TaskState.INVALID


@pytest.mark.parametrize(
    "options",
    [None, "red", 3, [], {}, [1], [{"alias": "x"}], [{"value": ""}], ["a", "a"], [None], ["a"] * 10_001],
)
@pytest.mark.parametrize("xml", [CHOICES, TAXONOMY])
def test_a_task_without_a_list_of_options_is_skipped_by_name(xml: str, options: Any) -> None:
    outcome = outcome_of(xml, {"t": "x", "options": options}, "a")
    assert outcome.state is TaskState.SKIPPED
    assert outcome.error is not None
    assert '"c"' in outcome.error
    assert outcome.score == 0.0


def test_deep_options_are_refused() -> None:
    options: list[Any] = []
    for _ in range(60):
        options = [{"value": "x", "children": options}]
    assert outcome_of(TAXONOMY, {"t": "x", "options": options}, "a").state is TaskState.SKIPPED


def test_another_control_is_answered_where_the_options_are_missing() -> None:
    xml = CHOICES.replace("</View>", '<Rating name="r" toName="t"/></View>')
    dialogue = annotate(question(xml, reasks=0), task(t="x"))
    request = next(dialogue)
    assert list(request.schema["properties"]) == ["r"]
    with pytest.raises(StopIteration) as stop:
        dialogue.send(reply('{"r": 3}'))
    assert stop.value.value.state is TaskState.DONE
    assert any('Choices "c" takes its options' in note for note in stop.value.value.notes)


SPANS = {
    "Labels": '<Text name="o" value="$o"/>',
    "HyperTextLabels": '<HyperText name="o" value="$o"/>',
    "ParagraphLabels": '<Paragraphs name="o" value="$o"/>',
}


@pytest.mark.parametrize("tag", SPANS)
def test_each_task_has_its_own_labels(tag: str) -> None:
    xml = f'<View>{SPANS[tag]}<{tag} name="c" toName="o" value="$meta.labels[0]" maxUsages="1"/></View>'
    labels = {"labels": [[{"value": "PER", "alias": "p", "background": "red"}, {"value": "ORG"}]]}
    shown = [{"author": "x", "text": "Ann Bob"}] if tag == "ParagraphLabels" else "Ann Bob"
    answer = [{"text": "Ann", "label": "PER"}, {"text": "Bob", "label": "PER"}]
    assert parse_config(xml).variables == ("o", "meta.labels[0]", "meta")
    outcome = outcome_of(xml, {"o": shown, "meta": labels}, answer)
    assert outcome.state is TaskState.DONE, outcome.error
    assert [(r["value"]["text"], r["value"][tag.lower()]) for r in outcome.result] == [("Ann", ["p"])]
    assert outcome_of(xml, {"o": shown, "meta": {}}, answer).state is TaskState.SKIPPED


def test_boxes_may_have_labels_of_the_data() -> None:
    xml = '<View><Image name="i" value="$i"/><RectangleLabels name="c" toName="i" value="$options"/></View>'
    control = parse_config(xml).bind({"options": [{"value": "Cat"}, {"value": "Dog"}]}).controls[0]
    assert [o.name for o in control.options] == ["Cat", "Dog"]
    assert control.schema()["items"]["properties"]["label"]["enum"] == ["Cat", "Dog"]
    assert parse_config(xml).bind({}).controls == ()


def test_the_words_of_an_options_html_are_its_description() -> None:
    options = [
        {"value": "a", "html": "<h1>Be <b>kind</b></h1>", "hint": "polite"},
        {"value": "b", "html": "b"},
        {"value": "c"},
    ]
    (control,) = parse_config(CHOICES).bind({"options": options}).controls
    assert [o.description for o in control.options] == ["polite; Be kind", None, None]


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<img src='x.png'>", "which shows one by HTML without a word to read (an image)"),
        ("<p> </p>", "which shows one by HTML without a word to read (an image)"),
        ("x" * 20_001, "which shows one by HTML of more than 20,000 characters"),
        ("<p>" * 3_000, "which shows one by HTML without a word to read (an image)"),
    ],
)
def test_options_that_cannot_be_read_are_refused(html: str, reason: str) -> None:
    config = parse_config(CHOICES).bind({"options": [{"value": "a", "html": html}]})
    assert [r.reason for r in config.refusals] == [f"takes its options from the data's 'options', {reason}"]
    tree = parse_config(TAXONOMY).bind({"options": [{"value": "a", "html": html}]})
    assert [o.name for o in tree.controls[0].options] == ["a"]  # the editor shows a Taxonomy's values


@pytest.mark.parametrize(
    "options",
    [
        ["secret patient John Doe"] * 2,
        [{"value": "a"}, {"value": "secret patient", "alias": "a"}],
        [{"value": "secret patient", "html": "<img>"}],
        [{"value": "secret patient", "html": "x" * 20_001}],
        [{"value": "secret patient"}, {"alias": "secret patient"}],
    ],
)
@pytest.mark.parametrize("xml", [CHOICES, TAXONOMY])
def test_no_word_of_a_task_is_in_a_reason(xml: str, options: Any) -> None:
    config = parse_config(xml).bind({"options": options})
    assert "secret" not in repr(config.refusals)
    assert config.refusals or xml == TAXONOMY
    assert all("'options'" in r.reason or "same name" in r.reason for r in config.refusals)


def test_an_option_of_the_config_is_named_clipped() -> None:
    choice = f'<Choice value="{"x" * 500}"/>'
    (refusal,) = parse_config(CHOICES.replace(' value="$options"/>', f">{choice * 2}</Choices>")).refusals
    assert refusal.reason == f"has the option '{'x' * 80}' twice: rename one"


@pytest.mark.parametrize(
    ("option", "described"),
    [
        ({"hint": "a\n- b\u2028c"}, "a - b c"),
        ({"hint": "x" * 200}, "x" * 200),
        ({"hint": "x" * 201}, "x" * 199 + "…"),
        ({"html": f"<p>{'y' * 19_000}</p>"}, "y" * 199 + "…"),
        ({"hint": "x" * 300, "html": "y"}, "x" * 199 + "…"),
        ({"hint": " "}, None),
    ],
)
def test_descriptions_of_the_data_are_one_short_line(option: dict[str, str], described: str | None) -> None:
    (control,) = parse_config(CHOICES).bind({"options": [{"value": "a", **option}]}).controls
    assert control.options[0].description == described


@pytest.mark.parametrize(
    ("selected", "told"),
    [
        ([], ""),
        (["a"], ' ("a" is preselected: keep it unless another is right)'),
        (["a", "b"], ' ("a" and "b" are preselected: keep them unless another is right)'),
    ],
)
def test_the_model_is_told_what_is_preselected(selected: list[str], told: str) -> None:
    options: list[dict[str, Any]] = [{"value": v, "selected": v in selected} for v in "abc"]
    listed = "".join(f'<Choice value="{v}" selected="{str(v in selected).lower()}"/>' for v in "abc")
    for xml in (CHOICES, TAXONOMY):
        dynamic = parse_config(xml).bind({"options": options}).controls[0]
        tag = dynamic.tag
        fixed = xml.replace(' value="$options"/>', f">{listed}</{tag}>")
        for control in (dynamic, parse_config(fixed).controls[0]):
            assert control.ask().endswith(told or "these" if tag == "Choices" else told or "right")


def test_a_preselected_path_is_named_whole() -> None:
    tree = [{"value": "Animal", "children": [{"value": "Cat", "selected": True}]}]
    (control,) = parse_config(TAXONOMY).bind({"options": tree}).controls
    assert '("Animal > Cat" is preselected: keep it unless another is right)' in control.ask()
