"""Which controls follow the regions of which, under which conditions, and what is refused by name."""

from __future__ import annotations

import pytest

from backend.core.values import JSON
from backend.labeling.config import LabelingConfig
from backend.labeling.controls.regions import RegionControl
from backend.labeling.parsing import parse_config

NER = '<Labels name="ner" toName="t"><Label value="PER" alias="p"/><Label value="ORG"/><Label value="A,B"/></Labels>'
TOPICS = '<Labels name="topics" toName="t"><Label value="sport"/></Labels>'
MOOD = '<Choices name="mood" toName="t" perRegion="true" {more}><Choice value="glad"/><Choice value="sad"/></Choices>'
WHOLE = '<Choices name="whole" toName="t" {more}><Choice value="yes"/><Choice value="no"/></Choices>'


def config(*parts: str) -> LabelingConfig:
    return parse_config(
        '<View><Text name="t" value="$t"/><Text name="u" value="$u"/><Image name="i" value="$i"/>'
        f'<Image name="list" valueList="$list"/>{"".join(parts)}</View>'
    )


def attached(found: LabelingConfig) -> dict[str, list[str]]:
    return {c.name: [a.name for a in c.attached] for c in found.controls if isinstance(c, RegionControl)}


def refused(found: LabelingConfig) -> list[str]:
    return [str(refusal) for refusal in found.refusals]


def test_it_follows_every_control_that_marks_regions_on_its_object() -> None:
    found = config(MOOD.format(more=""), NER, TOPICS, '<Labels name="other" toName="u"><Label value="x"/></Labels>')
    assert attached(found) == {"ner": ["mood"], "topics": ["mood"], "other": []}
    assert refused(found) == []
    assert list(found.schema()["properties"]) == ["ner", "topics", "other"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("", {"ner": "", "topics": ""}),
        ('visibleWhen="region-selected"', {"ner": "", "topics": ""}),
        ('visibleWhen="region-selected" whenRole="user"', {"ner": "", "topics": ""}),
        ('visibleWhen="region-selected" whenTagName="topics"', {"topics": ""}),
        ('visibleWhen="region-selected" whenTagName="ner" whenLabelValue="p,ORG"', {"ner": "its label is PER or ORG"}),
        ('visibleWhen="region-selected" whenLabelValue="p,sport"', {"ner": "its label is PER", "topics": ""}),
        ('whenLabelValue="A,B"', {"ner": "its label is A,B"}),
        (
            'whenLabelValue="p" visibleWhen="choice-selected" whenTagName="mood"',
            {"ner": '"mood" is given and its label is PER'},
        ),
    ],
)
def test_it_is_asked_where_it_is_shown(conditions: str, expected: dict[str, str]) -> None:
    found = config(NER, TOPICS, MOOD.format(more=conditions))
    told = {
        c.name: " and ".join(map(str, a.conditions))
        for c in found.controls
        if isinstance(c, RegionControl)
        for a in c.attached
    }
    assert told == expected
    assert refused(found) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            (NER, MOOD.format(more='whenLabelValue="PER"')),  # the editor compares with the alias
            'Choices "mood" is shown for no region that is made here',
        ),
        (
            (NER, MOOD.format(more='visibleWhen="region-selected" whenTagName="t"')),
            'Choices "mood" is shown for no region that is made here',
        ),
        (
            (WHOLE.format(more=""), MOOD.format(more="")),
            'Choices "mood" belongs to single regions (perRegion), '
            "and no control that is answered makes any on its object",
        ),
        (
            (
                '<PolygonLabels name="p" toName="i"><Label value="x"/></PolygonLabels>',
                '<TextArea name="mood" toName="i" perRegion="true"/>',
            ),
            'TextArea "mood" belongs to single regions (perRegion), '
            "and no control that is answered makes any on its object",
        ),
        (
            (NER, WHOLE.format(more=""), MOOD.format(more='visibleWhen="choice-selected" whenTagName="whole"')),
            'Choices "mood" belongs to single regions (perRegion) and is shown by an answer about the whole task',
        ),
        (
            (NER, WHOLE.format(more=""), MOOD.format(more='visibleWhen="choice-unselected"')),
            'Choices "mood" belongs to single regions (perRegion) and is shown by an answer about the whole task',
        ),
        (
            (NER, MOOD.format(more=""), WHOLE.format(more='visibleWhen="choice-selected" whenTagName="mood"')),
            'Choices "whole" is shown only while a region with an answer of "mood" is selected',
        ),
        (
            (NER, WHOLE.format(more='visibleWhen="region-selected"')),
            'Choices "whole" is shown only while a region is selected',
        ),
        (
            ('<Labels name="thing" toName="i"><Label value="x"/></Labels>',),
            'Labels "thing" has no Rectangle on its image, whose boxes it would label',
        ),
        (
            (
                '<RectangleLabels name="r" toName="i"><Label value="x"/></RectangleLabels>',
                '<Labels name="thing" toName="i"><Label value="x"/></Labels>',
            ),
            'Labels "thing" has no Rectangle on its image, whose boxes it would label',
        ),
        (
            (
                '<Choices name="each" toName="list" perItem="true"><Choice value="x"/></Choices>',
                WHOLE.format(more='visibleWhen="choice-selected" whenTagName="each"'),
            ),
            'Choices "whole" is shown by the answer of "each" for the image that is open',
        ),
    ],
)
def test_what_cannot_be_decided_or_answered_is_refused_by_name(parts: tuple[str, ...], expected: str) -> None:
    assert expected in refused(config(*parts))


def test_the_attribute_means_nothing_on_a_control_that_marks_regions() -> None:
    found = config('<Rectangle name="r" toName="i" perRegion="true"/>')
    assert attached(found) == {"r": []}


def test_outside_of_a_region_nothing_is_chosen_in_a_control_of_regions() -> None:
    found = config(NER, MOOD.format(more=""), WHOLE.format(more='visibleWhen="choice-unselected" whenTagName="mood"'))
    assert refused(found) == []
    assert next(c for c in found.controls if c.name == "whole").conditions == ()


def test_labels_on_an_image_belong_to_its_rectangles() -> None:
    note = '<TextArea name="note" toName="i" perRegion="true" {0}/>'
    parts = (
        '<Labels name="thing" toName="i"><Label value="x"/><Label value="y"/></Labels>',
        note,
        '<Rectangle name="r" toName="i"/>',
    )
    found = config(
        *(part.format('visibleWhen="region-selected" whenTagName="thing" whenLabelValue="y"') for part in parts)
    )
    assert attached(found) == {"r": ["thing", "note"]}
    (maker,) = found.controls
    assert isinstance(maker, RegionControl)
    assert [str(c) for c in maker.attached[1].conditions] == ["its label is y"]


def test_options_that_a_task_brings_along() -> None:
    found = config(NER, '<Choices name="mood" toName="t" perRegion="true" value="$moods"/>')
    assert "moods" in found.variables
    bound = found.bind({"moods": ["fine", "bad"]})
    assert [o.name for o in bound.controls[0].attached[0].options] == ["fine", "bad"]  # type: ignore[attr-defined]
    without = found.bind({})
    assert attached(without) == {"ner": []}
    assert [r.name for r in without.refusals] == ["mood"]
    assert without.schema()["properties"]["ner"]["items"]["required"] == ["text", "label"]


DYNAMIC = '<Labels name="ner" toName="t" value="$labels"/>'
PEOPLE = {"labels": [{"value": "PER", "alias": "p"}, {"value": "ORG", "alias": "PER"}]}


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ('visibleWhen="region-selected" whenTagName="ner"', ""),
        ('visibleWhen="region-selected" whenTagName="ner" whenLabelValue="p"', "its label is PER"),
        ('whenLabelValue="PER"', "its label is ORG"),  # the alias
        ('whenLabelValue="p,PER"', ""),
    ],
)
def test_conditions_wait_for_the_labels_that_a_task_brings_along(conditions: str, told: str) -> None:
    found = config(DYNAMIC, MOOD.format(more=conditions))
    assert refused(found) == []
    (maker,) = found.bind(PEOPLE).controls
    assert isinstance(maker, RegionControl)
    assert " and ".join(map(str, maker.attached[0].conditions)) == told
    shown = found.show({"t": "Ann Bob", "u": "", "i": ""})
    answer = [{"text": "Ann", "label": "PER", "mood": "glad"}, {"text": "Bob", "label": "ORG", "mood": "sad"}]
    read = {span.text: span.answers[0].value is not None for span in maker.decode(answer, shown).value}
    assert read == {"Ann": told != "its label is ORG", "Bob": told != "its label is PER"}


def test_where_a_task_brings_no_label_of_the_condition_it_is_refused_for_that_task() -> None:
    found = config(DYNAMIC, MOOD.format(more='whenLabelValue="LOC"'))
    assert attached(found.bind(PEOPLE)) == {"ner": []}
    assert refused(found.bind(PEOPLE)) == ['Choices "mood" is shown for no region that is made here']
    beside = config(DYNAMIC, TOPICS, MOOD.format(more='whenLabelValue="sport"')).bind(PEOPLE)
    assert (attached(beside), refused(beside)) == ({"ner": [], "topics": ["mood"]}, [])


def test_a_condition_on_what_labels_no_region_is_refused_beside_labels_of_the_data_too() -> None:
    found = config(DYNAMIC, MOOD.format(more='visibleWhen="region-selected" whenTagName="u"'))
    assert refused(found) == ['Choices "mood" is shown for no region that is made here']


def test_a_name_that_the_item_needs_itself_gets_another_key() -> None:
    found = config(
        NER, *(f'<TextArea name="{n}" toName="t" perRegion="true"/>' for n in ("text", "text_answer", "enum"))
    )
    (maker,) = found.controls
    assert isinstance(maker, RegionControl)
    assert {key: c.name for key, c in maker.keys.items()} == {
        "text_answer_answer": "text",
        "text_answer": "text_answer",
        "enum": "enum",
    }
    value = {"text": "Ann", "label": "PER", "text_answer_answer": "1", "text_answer": "2", "enum": "3"}
    decoded = maker.decode([value], found.show({"t": "Ann", "u": "", "i": ""}))
    written: list[JSON] = [r["value"]["text"] for r in maker.grouped(decoded.value)[0][1:]]
    assert written == [["1"], ["2"], ["3"]]


def test_the_version_changes_with_what_is_attached() -> None:
    assert config(NER).fingerprint != config(NER, MOOD.format(more="")).fingerprint
    related = config(NER, "<Relations/>")
    assert config(NER).fingerprint != related.fingerprint
    assert related.fingerprint != config(NER, '<Relations><Relation value="x"/></Relations>').fingerprint
    assert config(WHOLE.format(more=""), "<Relations/>").relations is None
