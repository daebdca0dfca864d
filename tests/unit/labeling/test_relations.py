"""Relations between regions: what is read of an answer, and what is written."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON
from backend.labeling.parsing import parse_config
from backend.labeling.relations import Mark, Related, Relations, marks_of

TWO = '<Relations><Relation value="works for"/><Relation value="knows"/></Relations>'
SINGLE = TWO.replace("<Relations>", '<Relations choice="single">')
ANY = "<Relations/>"


KNOWS = Related(start=1, end=2, labels=("knows",))


def relations(xml: str = TWO, regions: int = 3) -> Relations:
    return Relations.parse(fromstring(xml), None).over(
        [Mark(id=f"id{n + 1}", described=f"region {n + 1}") for n in range(regions)]
    )


def one(start: JSON, end: JSON, relation: JSON = "knows") -> JSON:
    return {"from": start, "to": end, "relation": relation}


@pytest.mark.parametrize(
    ("xml", "raw", "value", "notes"),
    [
        (TWO, [one(1, 2)], [KNOWS], ()),
        (TWO, [one("1", 2.0, "Works for")], [Related(start=1, end=2, labels=("works for",))], ()),
        # The editor keeps one relation of a pair, with several labels.
        (TWO, [one(1, 2), one(1, 2, "works for")], [Related(start=1, end=2, labels=("knows", "works for"))], ()),
        (TWO, [one(1, 2), one(2, 1), one(1, 2)], [KNOWS, Related(start=2, end=1, labels=("knows",))], ()),
        (
            SINGLE,
            [one(1, 2), one(1, 2, "works for"), one(2, 3)],
            [Related(start=2, end=3, labels=("knows",))],
            ("1 pair(s) with more than one relation, where one is asked",),
        ),
        (ANY, [{"from": 3, "to": 1}], [Related(start=3, end=1)], ()),
        (
            TWO,
            [one(1, 2), one(1, 4), one(0, 2), one(2, 2), one(1.5, 2), one(True, 2), one(1, 3, "hates"), "x", None],
            [KNOWS],
            ("8 relation(s) that cannot be read",),
        ),
        (TWO, [], [], ()),
    ],
)
def test_what_is_read(xml: str, raw: JSON, value: list[Related], notes: tuple[str, ...]) -> None:
    decoded = relations(xml).decode(raw, {})
    assert (decoded.problem, decoded.notes) == (None, notes)
    assert list(decoded.value or ()) == value


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (None, "is not a list of relations"),
        ({"from": 1}, "is not a list of relations"),
        ([one(1, 1)], "holds no usable relation"),
    ],
)
def test_what_cannot_be_used(raw: JSON, problem: str) -> None:
    decoded = relations().decode(raw, {})
    assert (decoded.value, decoded.problem, decoded.step) == (None, problem, None)


@pytest.mark.parametrize("xml", [TWO, SINGLE, ANY])
def test_the_editors_form(xml: str) -> None:
    asked = relations(xml)
    example = asked.example({})
    jsonschema.validate(example, asked.schema(), jsonschema.Draft202012Validator)
    decoded = asked.decode(example, {})
    labels = {} if xml == ANY else {"labels": ["works for"]}
    assert asked.regions(decoded.value) == [
        {"type": "relation", "from_id": "id1", "to_id": "id2", "direction": "right", **labels}
    ]


def test_regions_are_described_by_what_a_model_knows_of_them() -> None:
    config = parse_config(
        '<View><Text name="t" value="$t"/><Labels name="ner" toName="t"><Label value="PER" alias="p"/></Labels></View>'
    )
    place: JSON = {"x": 1, "y": 2.5, "width": 3, "height": 4}
    values: list[tuple[str, str, JSON]] = [
        ("a", "ner", {"start": 0, "end": 3, "text": 'A "\n', "labels": ["p"]}),
        ("a", "mood", {"start": 0, "end": 3, "choices": ["x"]}),
        ("b", "whole", {"choices": ["x"]}),
        ("c", "box", place),
    ]
    result = [{"id": key, "from_name": name, "to_name": "t", "value": value} for key, name, value in values]
    marks = marks_of(result, config.controls, config.show({"t": "x"}))
    assert [(m.id, m.described) for m in marks] == [
        ("a", r'"ner" PER: "A \"\n"'),
        ("c", '"box": the box x 1, y 2.5, width 3, height 4'),
    ]


def test_the_last_tag_counts_where_there_are_regions() -> None:
    labels = '<Text name="t" value="$t"/><Labels name="ner" toName="t"><Label value="PER"/></Labels>'
    last = '<Relations name="r" toName="t"><Relation value="b"/><Relation value="b"/><Relation/></Relations>'
    found = parse_config(f"<View>{SINGLE}{labels}{last}</View>").relations
    assert found is not None
    assert ([o.name for o in found.options], found.multiple) == (["b"], True)
    assert parse_config(f"<View>{labels}</View>").relations is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 4) | st.floats() | st.text(max_size=4) | st.sampled_from(["knows"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "to", "relation"]), inner, max_size=3)
    ),
)


@given(st.lists(anything, max_size=5) | anything, st.sampled_from([TWO, SINGLE, ANY]))
def test_whatever_is_answered_relates_regions_that_are_there(raw: JSON, xml: str) -> None:
    asked = relations(xml)
    written = asked.regions(asked.decode(raw, {}).value or ())
    ids = {mark.id for mark in asked.marks}
    pairs = [(r["from_id"], r["to_id"]) for r in written]
    assert len(set(pairs)) == len(pairs)
    assert all(start != end and {start, end} <= ids for start, end in pairs)
    assert all(set(r.get("labels", ())) <= {"works for", "knows"} for r in written)
