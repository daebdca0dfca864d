"""What is read in each region for the controls that follow it, and what is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON, Picture
from backend.labeling.controls import Decoded
from backend.labeling.controls.regions import RegionControl
from backend.labeling.parsing import parse_config
from backend.labeling.shown import PlainText, Shown, ShownImage

CONFIG = """
<View>
  <Text name="t" value="$t"/>
  <Labels name="ner" toName="t"><Label value="PER" alias="p"/><Label value="ORG"/></Labels>
  <Choices name="mood" toName="t" perRegion="true" whenLabelValue="p" required="true">
    <Choice value="glad"/><Choice value="sad" alias="s"/>
  </Choices>
  <View visibleWhen="choice-selected" whenTagName="mood" whenChoiceValue="sad">
    <TextArea name="why" toName="t" perRegion="true"/>
  </View>
  <Rating name="stars" toName="t" perRegion="true"/>
</View>
"""
BOXES = """
<View>
  <Image name="i" valueList="$i"/>
  <Rectangle name="box" toName="i"/>
  <Labels name="thing" toName="i"><Label value="Car"/><Label value="Bike" alias="b"/></Labels>
  <View visibleWhen="region-selected" whenTagName="thing" whenLabelValue="Car">
    <Number name="plate" toName="i" perRegion="true"/>
  </View>
</View>
"""
TEXT = "Ann met Bob at ACME"
SHOWN = {"t": Shown(name="t", text=TEXT, passages=PlainText(text=TEXT))}
IMAGES = {
    "i": Shown(
        name="i",
        text="Images",
        images=tuple(
            ShownImage(number=n + 1, item=n, picture=Picture(data_uri="data:", width=100, height=50)) for n in range(2)
        ),
    )
}


def maker(xml: str = CONFIG) -> RegionControl:
    (found,) = parse_config(xml).controls
    assert isinstance(found, RegionControl)
    return found


def span(text: str = "Ann", label: str = "PER", **answers: JSON) -> dict[str, JSON]:
    return {"text": text, "label": label, **answers}


def decode(*items: JSON) -> Decoded:
    return maker().decode(list(items), SHOWN)


def written(decoded: Decoded) -> list[list[tuple[str, JSON]]]:
    own = {"labels": "labels", "choices": "choices", "textarea": "text", "rating": "rating"}
    return [[(r["from_name"], r["value"][own[r["type"]]]) for r in group] for group in maker().grouped(decoded.value)]


def test_answers_are_written_beside_their_region() -> None:
    decoded = decode(span(mood="sad", why="late", stars=2), span("ACME", "ORG", mood=None, why=None, stars=None))
    assert (decoded.problem, decoded.notes, decoded.rejected, decoded.step) == (None, (), (), "exact")
    place = {"start": 0, "end": 3, "text": "Ann"}
    assert maker().grouped(decoded.value)[0] == [
        {"from_name": name, "to_name": "t", "type": kind, "value": {**place, **own}}
        for name, kind, own in (
            ("ner", "labels", {"labels": ["p"]}),
            ("mood", "choices", {"choices": ["s"]}),
            ("why", "textarea", {"text": ["late"]}),
            ("stars", "rating", {"rating": 2}),
        )
    ]
    assert written(decoded)[1] == [("ner", ["ORG"])]


@pytest.mark.parametrize(
    ("item", "kept", "notes"),
    [
        (span(mood="glad", why=None, stars=None), ["mood"], ()),
        (span(Mood="GLAD"), ["mood"], ()),  # a key and a value up to their case
        (
            span(mood="glad", why="because", stars=None),
            ["mood"],
            ('"why" is answered although it is not shown: left out of 1 region(s)',),
        ),
        (
            span(mood="furious", why=None, stars=9),
            [],
            (
                '"mood" is not one of the labels: left out of 1 region(s), though it is required',
                '"stars" is not from 1 to 5: left out of 1 region(s)',
            ),
        ),
        (span(), [], ('"mood" is empty: left out of 1 region(s), though it is required',)),
        (
            span("ACME", "ORG", mood="sad", why="late"),
            [],
            (
                # What is chosen in a control that is itself hidden is not there.
                '"mood" is answered although it is not shown: left out of 1 region(s)',
                '"why" is answered although it is not shown: left out of 1 region(s)',
            ),
        ),
        (span("ACME", "ORG"), [], ()),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told(item: JSON, kept: list[str], notes: tuple[str, ...]) -> None:
    decoded = decode(item)
    assert decoded.problem is None
    assert decoded.notes == notes
    assert [name for name, _ in written(decoded)[0][1:]] == kept


def test_regions_that_are_dropped_are_not_counted() -> None:
    decoded = decode(span(mood="glad"), span("nobody", mood="furious"))
    assert decoded.notes == ("1 quoted passage(s) are not in the text, or not so often",)
    assert decoded.rejected == ()


def test_the_schema_offers_null_where_an_answer_may_be_missing() -> None:
    item = maker().schema()["items"]
    assert item["required"] == ["text", "label", "mood", "why", "stars"]
    assert {"type": "null"} in item["properties"]["mood"]["anyOf"]
    assert item["properties"]["why"] == {"type": ["string", "null"]}
    assert {"type": "null"} in item["properties"]["stars"]["anyOf"]
    boxes = maker(BOXES).schema()["items"]["properties"]
    assert boxes["thing"] == {"type": "string", "enum": ["Car", "Bike"]}


def test_a_box_takes_its_label_from_the_labels_beside_it() -> None:
    control = maker(BOXES)
    place: Mapping[str, Any] = {"x": 10, "y": 20, "width": 30, "height": 40}
    items: list[JSON] = [
        {**place, "image": 2, "thing": "Car", "plate": 7},
        {**place, "image": 1, "thing": "bike", "plate": 8},
        {**place, "x": 50, "image": 1, "thing": "Plane", "plate": None},
    ]
    decoded = control.decode(items, IMAGES)
    assert decoded.problem is None
    assert decoded.rejected == ("Plane",)
    assert decoded.notes == (
        '"plate" is answered although it is not shown: left out of 1 region(s)',
        '"thing" is not one of the labels: left out of 1 region(s), though it is required',
    )
    groups = control.grouped(decoded.value)
    assert [[r["from_name"] for r in group] for group in groups] == [
        ["box", "thing", "plate"],
        ["box", "thing"],
        ["box"],
    ]
    assert groups[0][1] == {
        "from_name": "thing",
        "to_name": "i",
        "type": "labels",
        "value": {**place, "rotation": 0, "labels": ["Car"]},
        "original_width": 100,
        "original_height": 50,
        "image_rotation": 0,
        "item_index": 1,
    }
    assert groups[0][2]["value"] == {**place, "rotation": 0, "number": 7}
    assert groups[1][1]["value"]["labels"] == ["b"]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["glad", "sad", "PER"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
items = st.fixed_dictionaries(
    {"text": st.sampled_from(["Ann", "Bob", "ACME", "x"]), "label": st.sampled_from(["PER", "ORG", "y"])},
    optional={"mood": anything, "why": anything, "stars": anything, "Mood": anything},
)


@given(st.lists(items, max_size=4))
def test_whatever_is_answered_is_a_region_or_left_out(raw: list[JSON]) -> None:
    decoded = decode(*raw)
    regions = [{**r, "id": str(n)} for n, g in enumerate(maker().grouped(decoded.value or ())) for r in g]
    assert parse_config(CONFIG).validate(regions, None) == []
    assert json.loads(json.dumps(regions)) == regions
    plain = maker().decode([{k: item[k] for k in ("text", "label")} for item in raw], SHOWN)
    assert [s.position for s in decoded.value or ()] == [s.position for s in plain.value or ()]
    for group in maker().grouped(decoded.value or ()):
        names = [r["from_name"] for r in group]
        assert "mood" not in names or group[0]["value"]["labels"] == ["p"]
        assert "why" not in names or "mood" in names
