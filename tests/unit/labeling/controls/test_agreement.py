"""The agreement of each control, by figures that can be checked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.values import JSON
from backend.labeling.controls import Control
from backend.labeling.parsing import parse_config

OBJECTS = (
    '<Text name="t" value="$t"/><HyperText name="h" value="$h"/><Image name="g" value="$g"/>'
    '<Image name="p" valueList="$p"/><List name="i" value="$i"/>'
)
LABELS = '<Label value="PER"/><Label value="ORG"/>'
TREE = '<Choice value="a"><Choice value="b"/><Choice value="c"/></Choice><Choice value="d"/>'
DATA = {"i": [{"id": n, "title": "x"} for n in (1, 2, 3)], "p": ["1.png", "2.png"]}


def control(tag: str) -> Control:
    return parse_config(f"<View>{OBJECTS}{tag}</View>").bind(DATA).controls[0]


def value(of: Control, *values: JSON, **keys: Any) -> JSON:
    """What is read back from regions with these values; `keys` are those of each region."""
    result = [{"id": str(n), "from_name": of.name, "to_name": "t", "value": v, **keys} for n, v in enumerate(values)]
    read = of.value_of(result)
    assert read.problem is None
    return read.value


def span(start: int, end: int, label: str = "PER") -> JSON:
    return {"start": start, "end": end, "text": "x", "labels": [label]}


def box(x: float, width: float = 10, label: str = "PER", **more: JSON) -> JSON:
    return {"x": x, "y": 0, "width": width, "height": 10, "rectanglelabels": [label], **more}


def test_choices() -> None:
    single = control('<Choices name="c" toName="t"><Choice value="a"/><Choice value="b" alias="x"/></Choices>')
    a, b = value(single, {"choices": ["a"]}), value(single, {"choices": ["x"]})
    assert (single.agreement(a, b), single.agree(a, b)) == (0.0, False)
    assert value(single, {"choices": ["b"]}) == b == ("x",)  # imported labels may come by name
    multiple = control(
        '<Choices name="c" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/>'
        '<Choice value="d"/></Choices>'
    )
    ab, bd = value(multiple, {"choices": ["a", "b"]}), value(multiple, {"choices": ["d", "b"]})
    assert multiple.agreement(ab, bd) == pytest.approx(1 / 3)
    assert not multiple.agree(ab, bd)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"choices": ["z"]}, "holds a label that is not in the labeling config"),
        ({"choices": ["a", "b"]}, "holds more than one label"),
        ({"choices": [["a", "b"]]}, "holds a label that is not in the labeling config"),
    ],
)
def test_choices_that_do_not_fit(given: JSON, problem: str) -> None:
    single = control('<Choices name="c" toName="t"><Choice value="a"/><Choice value="b"/></Choices>')
    read = single.value_of([{"from_name": "c", "value": given}])
    assert (read.value, read.problem) == (None, problem)


def test_spans_agree_by_the_f1_of_exact_spans() -> None:
    labels = control(f'<Labels name="ner" toName="t">{LABELS}</Labels>')
    one = value(labels, span(0, 3), span(5, 9), span(10, 12))
    assert labels.agreement(one, value(labels, span(0, 3), span(5, 8))) == pytest.approx(2 / 5)  # an end was moved
    assert labels.agreement(one, value(labels, span(10, 12), span(5, 9), span(0, 3, "ORG"))) == pytest.approx(4 / 6)
    assert labels.agree(one, value(labels, span(10, 12), span(5, 9), span(0, 3)))  # in another order
    assert labels.agreement(one, None) == 0.0


def test_the_same_passage_under_two_labels_is_two_spans() -> None:
    labels = control(f'<Labels name="ner" toName="t">{LABELS}</Labels>')
    twice = value(labels, span(0, 3), span(0, 3, "ORG"))
    assert labels.agreement(twice, value(labels, span(0, 3), span(0, 3))) == pytest.approx(2 / 4)


def test_one_place_of_a_page_has_several_xpaths() -> None:
    labels = control(f'<HyperTextLabels name="ner" toName="h">{LABELS}</HyperTextLabels>')
    by = {"hypertextlabels": ["PER"], "startOffset": 0, "endOffset": 3}
    page = {"globalOffsets": {"start": 4, "end": 7}}
    ours = value(labels, {**by, **page, "start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]"})
    editors = value(labels, {**by, **page, "start": "/p[1]", "end": "/p[1]"})
    bare = value(labels, {**by, "start": "/p[1]", "end": "/p[1]"})
    assert labels.agree(ours, editors)
    assert not labels.agree(ours, bare)
    assert labels.agree(editors, bare)


def test_boxes_agree_by_their_overlap() -> None:
    boxes = control(f'<RectangleLabels name="b" toName="g">{LABELS}</RectangleLabels>')
    one = value(boxes, box(0), box(50))
    nudged = value(boxes, box(0.5), box(50))  # 9.5 of 10.5
    moved = value(boxes, box(2), box(50))  # 8 of 12
    assert boxes.agreement(one, nudged) == pytest.approx((9.5 / 10.5 + 1) / 2)
    assert boxes.agree(one, nudged)
    assert boxes.agreement(one, moved) == pytest.approx((8 / 12 + 1) / 2)
    assert not boxes.agree(one, moved)
    assert boxes.agreement(one, value(boxes, box(0, label="ORG"), box(50))) == pytest.approx(2 / 4)
    assert boxes.agreement(one, value(boxes, box(0))) == pytest.approx(2 / 3)
    assert boxes.agreement(one, value(boxes, box(6), box(70))) == 0.0


def test_a_box_agrees_with_itself_whatever_floats_make_of_it() -> None:
    boxes = control(f'<RectangleLabels name="b" toName="g">{LABELS}</RectangleLabels>')
    one = value(boxes, box(0.1, width=0.2), box(1.1, width=2.2))
    assert boxes.agreement(one, one) == 1.0


def test_a_value_that_is_another_options_name_is_the_value() -> None:
    both = control('<Choices name="c" toName="t"><Choice value="a" alias="b"/><Choice value="b" alias="a"/></Choices>')
    assert value(both, {"choices": ["b"]}) == ("b",)
    assert both.regions(("b",))[0]["value"] == {"choices": ["b"]}


def test_a_box_on_another_image_is_another_box() -> None:
    boxes = control(f'<RectangleLabels name="b" toName="p">{LABELS}</RectangleLabels>')
    assert boxes.agreement(value(boxes, box(0), item_index=0), value(boxes, box(0), item_index=1)) == 0.0


def test_a_turned_box_cannot_be_compared() -> None:
    boxes = control(f'<RectangleLabels name="b" toName="g">{LABELS}</RectangleLabels>')
    read = boxes.value_of([{"id": "1", "from_name": "b", "value": box(0, rotation=12.5)}])
    assert (read.value, read.problem) == (None, "has a turned box, which cannot be compared")


def test_paths_agree_by_the_nodes_on_them() -> None:
    tree = control(f'<Taxonomy name="x" toName="t">{TREE}</Taxonomy>')
    b, c, d = (value(tree, {"taxonomy": [path]}) for path in (["a", "b"], ["a", "c"], ["d"]))
    a = value(tree, {"taxonomy": [["a"]]})
    assert tree.agreement(b, c) == pytest.approx(1 / 3)
    assert tree.agreement(a, b) == pytest.approx(1 / 2)
    assert tree.agreement(b, d) == 0.0
    assert not tree.agree(a, b)


@pytest.mark.parametrize(
    ("attributes", "one", "other", "agreement", "agrees"),
    [
        ("", 100, 100.00001, 1.0, True),
        ("", 100, 90, 0.9, False),
        ("", 5, -5, 0.0, False),
        ('min="0" max="10"', 2, 7, 0.5, False),
        ('min="0" max="10" step="0.5"', 2, 2.5, 0.95, False),
        ("", 0, 0.0, 1.0, True),
    ],
)
def test_numbers(attributes: str, one: float, other: float, agreement: float, agrees: bool) -> None:
    number = control(f'<Number name="n" toName="t" {attributes}/>')
    assert number.agreement(one, other) == pytest.approx(agreement)
    assert number.agree(one, other) is agrees


def test_ratings_agree_by_their_distance() -> None:
    stars = control('<Rating name="r" toName="t"/>')
    assert [stars.agreement(4, n) for n in range(1, 6)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.75])
    assert not stars.agree(4, 5)


def test_texts_agree_by_their_characters() -> None:
    text = control('<TextArea name="w" toName="t"/>')
    one = value(text, {"text": ["Caf\u00e9  au lait"]})
    assert text.agreement(one, ("Cafe\u0301 au\nlait",)) == 1.0
    assert text.agree(one, ("Cafe\u0301 au\nlait",))
    assert text.agreement(("abcd",), ("abxx",)) == pytest.approx(0.5)
    assert not text.agree(("abcd",), ("abce",))
    assert value(text, {"text": "by an old editor"}) == ("by an old editor",)


def test_moments_agree_in_whatever_form() -> None:
    day = control('<DateTime name="d" toName="t" only="date" format="%d.%m.%Y"/>')
    assert value(day, {"datetime": "05.03.2024"}) == value(day, {"datetime": "2024-03-05"}) == "05.03.2024"
    assert day.agreement("05.03.2024", "06.03.2024") == 0.0
    assert day.value_of([{"from_name": "d", "value": {"datetime": "soon"}}]).problem == "is no date"


def test_orders_agree_by_pairs() -> None:
    order = control('<Ranker name="o" toName="i"/>')
    one = value(order, {"ranker": ["1", "2", "3"]})
    assert one == (("o", ("1", "2", "3")),)
    assert order.agreement(one, value(order, {"ranker": {"o": ["2", "1", "3"]}})) == pytest.approx(2 / 3)
    assert order.agreement(one, value(order, {"ranker": ["3", "2", "1"]})) == 0.0


def test_buckets_agree_by_where_pairs_stand() -> None:
    order = control('<Ranker name="o" toName="i"><Bucket name="good"/><Bucket name="bad"/></Ranker>')
    one = value(order, {"ranker": {"_": ["3"], "good": ["1", "2"]}})
    assert one == (("good", ("1", "2")), ("bad", ()))
    swapped = value(order, {"ranker": {"good": ["2", "1"]}})
    assert order.agreement(one, swapped) == pytest.approx(2 / 3)
    assert not order.agree(one, swapped)
    assert order.agreement(one, value(order, {"ranker": {"good": ["1"], "bad": ["2"]}})) == pytest.approx(1 / 3)


def test_one_answer_an_image() -> None:
    each = control('<Rating name="r" toName="p" perItem="true"/>')
    assert each.agreement((4, 2), (4, 1)) == pytest.approx((1 + 0.75) / 2)
    assert each.agree((4, None), (4,))  # the images after the last answer have none
    assert each.agreement((4, 2), (4,)) == pytest.approx(1 / 2)
    regions = [{"from_name": "r", "value": {"rating": 3}, "item_index": 1}]
    assert each.value_of(regions).value == (None, 3)


def test_an_answer_in_a_region_counts_for_confirming_and_is_compared_by_itself() -> None:
    labels = control(
        f'<Labels name="ner" toName="t">{LABELS}</Labels><Rating name="stars" toName="t" perRegion="true"/>'
    )
    regions = [{"id": str(n), "from_name": "ner", "value": span(10 * n, 10 * n + 3)} for n in range(2)]

    def rated(*stars: int) -> JSON:
        own = [{"id": str(n), "from_name": "stars", "value": {"rating": s}} for n, s in enumerate(stars)]
        return labels.value_of([*regions, *own]).value

    assert labels.agreement(rated(1, 5), rated(1, 3)) == 1.0
    assert not labels.agree(rated(1, 5), rated(1, 3))
    assert labels.agree(rated(1, 5), rated(1, 5))
    assert not labels.agree(rated(1, 5), rated(1))
    assert labels.as_json(rated(1, 5)) == [span(0, 3), span(10, 13)]


def test_relations_agree_by_what_their_regions_mark() -> None:
    config = parse_config(
        f'<View>{OBJECTS}<Labels name="ner" toName="t">{LABELS}</Labels>'
        '<Relations><Relation value="knows"/></Relations></View>'
    )
    relations = config.relations
    assert relations is not None

    def related(ids: tuple[str, str], **keys: JSON) -> JSON:
        marks = [{"id": i, "from_name": "ner", "value": span(n, n + 1)} for n, i in enumerate(ids)]
        tie = {
            "type": "relation",
            "from_id": ids[0],
            "to_id": ids[1],
            "direction": "right",
            "labels": ["knows"],
            **keys,
        }
        read = relations.value_of([*marks, tie])
        assert read.problem is None
        return read.value

    one = related(("a", "b"))
    assert relations.agree(one, related(("x", "y")))  # the editor gives other ids
    assert relations.agreement(one, related(("a", "b"), direction="left")) == 0.0
    assert relations.agreement(one, related(("a", "b"), direction="bi")) == pytest.approx(1 / 2)
    assert relations.agreement(one, related(("a", "b"), labels=[])) == 0.0
    assert relations.as_json(one) == [{"from": "ner, start 0, end 1", "to": "ner, start 1, end 2", "labels": ["knows"]}]
    lost = [{"type": "relation", "from_id": "a", "to_id": "zz"}]
    assert relations.value_of(lost).problem == "has a relation between regions that are not there"
    for hostile in (
        None,
        [None],
        [{"type": "relation", "labels": 1, "from_id": [], "to_id": {}}],
        [{"id": 1, "from_name": []}],
    ):
        relations.value_of(hostile)
