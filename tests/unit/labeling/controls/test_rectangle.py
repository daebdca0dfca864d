"""Boxes: what is read of an answer, what is cut off or dropped, and what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON, Picture
from backend.labeling.controls import Control, Decoded
from backend.labeling.parsing import parse_config
from backend.labeling.shown import Shown, ShownImage

LABELS = '<RectangleLabels name="r" toName="i"><Label value="Cat" alias="cat"/><Label value="Dog"/></RectangleLabels>'


def control(inside: str = LABELS, value: str = 'value="$i"') -> Control:
    (found,) = parse_config(f'<View><Image name="i" {value}/>{inside}</View>').controls
    return found


def shown(images: int = 1, first: int = 1) -> Mapping[str, Shown]:
    found = tuple(
        ShownImage(
            number=first + n,
            item=n if images > 1 else None,
            picture=Picture(data_uri="data:", width=1000 + n, height=500),
        )
        for n in range(images)
    )
    return {"i": Shown(name="i", text="Image", images=found)}


def box(label: JSON = "Cat", x: JSON = 10, y: JSON = 20, width: JSON = 30, height: JSON = 40, **more: JSON) -> JSON:
    return {"label": label, "x": x, "y": y, "width": width, "height": height, **more}


def decode(*boxes: JSON) -> Decoded:
    return control().decode(list(boxes), shown())


def places(decoded: Decoded) -> list[tuple[float, float, float, float]]:
    return [(b.x, b.y, b.width, b.height) for b in decoded.value or ()]


def test_a_box_becomes_a_region_in_the_editors_form() -> None:
    decoded = decode(box("Cat", 10.5, 20, 30, 40))
    assert (decoded.step, decoded.problem, decoded.notes, decoded.rejected) == ("exact", None, (), ())
    assert control().regions(decoded.value) == [
        {
            "from_name": "r",
            "to_name": "i",
            "type": "rectanglelabels",
            "value": {"x": 10.5, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]},
            "original_width": 1000,
            "original_height": 500,
            "image_rotation": 0,
        }
    ]


def test_a_box_on_a_list_of_images_says_on_which() -> None:
    found = control(value='valueList="$i"')
    decoded = found.decode([box(image=4), box(image="3"), box(image=9), box()], shown(images=2, first=3))
    regions = found.regions(decoded.value)
    assert [(r["item_index"], r["original_width"]) for r in regions] == [(1, 1001), (0, 1000)]
    assert decoded.notes == ("2 box(es) that cannot be read",)
    assert "image" in found.schema()["items"]["properties"]
    assert "image" not in control().schema()["items"]["properties"]


def test_a_rectangle_has_no_label() -> None:
    found = control('<Rectangle name="r" toName="i"/>')
    decoded = found.decode([{"x": 1, "y": 2, "width": 3, "height": 4}], shown())
    (region,) = found.regions(decoded.value)
    assert region["type"] == "rectangle"
    assert region["value"] == {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0}
    assert "label" not in found.schema()["items"]["properties"]


@pytest.mark.parametrize(
    ("given_box", "place", "note"),
    [
        (box(x=90, width=20), (90, 20, 10, 40), "1 box(es) cut off at the image's edge"),
        (box(x=-5), (0, 20, 25, 40), "1 box(es) cut off at the image's edge"),
        (box(x=0, y=0, width=100, height=100), (0, 0, 100, 100), None),
        (box(x=66.6666666, width=33.3333334), (66.6667, 20, 33.3333, 40), None),
        (box(x="10", y=" 20% ", width="30.0"), (10, 20, 30, 40), None),
        (box(x=0.5, y=0.5, width=2, height=2), (0.5, 0.5, 2, 2), None),
    ],
)
def test_where_a_box_is_placed(given_box: JSON, place: tuple[float, ...], note: str | None) -> None:
    decoded = decode(given_box)
    assert places(decoded) == [place]
    assert decoded.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    "dropped",
    [
        box(width=0),
        box(height=-3),
        box(width=0.00001),
        box(x=100),
        box(x=120),
        box(x=-40),
        box(x=400, y=300, width=200, height=100),  # pixels
        box(x=50, width=300),  # most of it lies outside: nobody knows where it was meant to be
    ],
)
def test_what_is_empty_or_not_on_the_image_is_dropped_and_counted(dropped: JSON) -> None:
    decoded = decode(box(), dropped)
    assert places(decoded) == [(10, 20, 30, 40)]
    assert decoded.notes == ("1 box(es) that are empty or not on the image",)
    assert decode(dropped).problem == "holds no usable box"


@pytest.mark.parametrize(
    "unread",
    [
        *(box(x=odd) for odd in (None, True, "left", "", float("nan"), float("inf"), 1e300, 10**400, [1], {"v": 1})),
        *(box(label=odd) for odd in (None, 3, "Bird", ["Cat"])),
        *({"label": "Cat"}, {}, [], "a box", 7, None, [10, 20, 30, 40]),
    ],
)
def test_what_cannot_be_read_is_dropped_and_counted(unread: JSON) -> None:
    decoded = decode(box(), unread)
    assert places(decoded) == [(10, 20, 30, 40)]
    assert decoded.notes == ("1 box(es) that cannot be read",)
    assert len(decoded.rejected) == 1
    assert decode(unread).problem == "holds no usable box"


@pytest.mark.parametrize("raw", [None, "none", 3, {}, box(), True])
def test_what_is_no_list_is_a_problem(raw: JSON) -> None:
    assert control().decode(raw, shown()).problem == "is not a list of boxes"


def test_fractions_are_asked_again_and_not_guessed() -> None:
    decoded = decode(box(x=0.1, y=0.2, width=0.3, height=0.4), box(x=0, y=0, width=1, height=1))
    assert decoded.value is None
    assert decoded.problem == "has fractions where per cent, from 0 to 100, were asked"


def test_nothing_there_is_rightly_empty_unless_it_is_required() -> None:
    assert control().decode([], shown()) == Decoded(value=None, step="exact")
    required = control(LABELS.replace('toName="i"', 'toName="i" required="true"'))
    assert required.decode([], shown()).problem == "is empty"


def test_no_more_boxes_than_max_usages_allows() -> None:
    found = control(LABELS.replace('toName="i"', 'toName="i" maxUsages="1"'))
    decoded = found.decode([box(), box("Dog"), box(x=50), box("Dog", x=50)], shown())
    assert [(b.label, b.x) for b in decoded.value] == [("cat", 10), ("Dog", 10)]
    assert decoded.notes == ("2 box(es) more than maxUsages allows",)


def test_the_same_box_twice_is_one() -> None:
    assert len(decode(box(), box(), box("Dog")).value) == 2
    assert decode(box("cat"), box("CAT")).step == "normalised"


_NUMBERS = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans())


@given(
    st.lists(
        st.fixed_dictionaries(
            {side: _NUMBERS for side in ("x", "y", "width", "height")}
            | {"label": st.sampled_from(["Cat", "Dog", "?"]), "image": _NUMBERS}
        )
        | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
        max_size=6,
    )
)
def test_whatever_is_answered_no_box_leaves_its_image(raw: list[Any]) -> None:
    for images in (0, 1, 3):
        found = control(value='valueList="$i"')
        decoded = found.decode(raw, shown(images=images))
        for placed in decoded.value or ():
            assert 0 <= placed.x < placed.x + placed.width <= 100.0001
            assert 0 <= placed.y < placed.y + placed.height <= 100.0001
        config = parse_config(f'<View><Image name="i" valueList="$i"/>{LABELS}</View>')
        regions = found.regions(decoded.value or ())
        assert config.validate([{"id": str(n), **r} for n, r in enumerate(regions)], None) == []


@given(
    st.lists(
        st.tuples(*(st.integers(0, 99) for _ in range(2)), *(st.integers(2, 100) for _ in range(2))),
        min_size=1,
        unique=True,
    )
)
def test_boxes_on_the_image_come_back_as_they_were_given(given_boxes: list[tuple[int, ...]]) -> None:
    inside = [(x, y, min(w, 100 - x), min(h, 100 - y)) for x, y, w, h in given_boxes]
    inside = list(dict.fromkeys(inside))
    if all(max(sides) <= 1 for sides in inside):
        return  # looks like fractions
    decoded = decode(*(box("Dog", *sides) for sides in inside))
    assert places(decoded) == inside
    assert decoded.notes == ()
