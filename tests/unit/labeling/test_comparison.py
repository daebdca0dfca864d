"""An annotation beside a prediction, over all controls of a config."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.values import JSON
from backend.labeling.comparison import MAX_REGIONS, Comparison, compare, kept
from backend.labeling.config import LabelingConfig
from backend.labeling.parsing import parse_config
from tests.samples import REGIONS

CONFIG = parse_config(
    """<View><Text name="text" value="$text"/><Image name="img" value="$img"/>
    <Choices name="mood" toName="text"><Choice value="good"/><Choice value="bad"/></Choices>
    <Choices name="topics" toName="text" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>
    <BrushLabels name="mask" toName="img"><Label value="x"/></BrushLabels></View>"""
)


def choice(name: str, *values: str, **keys: JSON) -> dict[str, JSON]:
    return {
        "id": name,
        "from_name": name,
        "to_name": "text",
        "type": "choices",
        "value": {"choices": list(values)},
    } | keys


def by_name(comparison: Comparison) -> dict[str, tuple[Any, ...]]:
    return {c.control: (c.predicted, c.final, c.agreement, c.agrees, c.problem) for c in comparison.controls}


def test_what_was_confirmed_and_what_was_corrected() -> None:
    predicted = [choice("mood", "good"), choice("topics", "a", "b")]
    found = compare(CONFIG, predicted, [choice("topics", "b"), choice("mood", "good")])
    assert by_name(found) == {
        "mood": (["good"], ["good"], 1.0, True, None),
        "topics": (["a", "b"], ["b"], 0.5, False, None),
    }
    assert (found.confirmed, found.problem) == (False, None)
    assert compare(CONFIG, predicted, predicted[::-1]).confirmed


def test_an_answer_that_was_added_or_taken_away_is_a_correction() -> None:
    assert by_name(compare(CONFIG, [], [choice("mood", "good")]))["mood"] == (None, ["good"], 0.0, False, None)
    assert by_name(compare(CONFIG, [choice("mood", "good")], []))["mood"] == (["good"], None, 0.0, False, None)
    assert compare(CONFIG, [], []).confirmed  # "nothing found", and a person says so too


def test_without_a_prediction_there_is_a_label_and_no_agreement() -> None:
    found = compare(CONFIG, None, [choice("mood", "good")])
    assert by_name(found)["mood"] == (None, ["good"], None, None, None)
    assert not found.confirmed


def test_a_label_that_left_the_schema() -> None:
    found = compare(CONFIG, [choice("mood", "good")], [choice("mood", "neutral")])
    problem = "holds a label that is not in the labeling config"
    assert by_name(found)["mood"] == (["good"], None, None, False, problem)
    assert (found.confirmed, found.problem) == (False, f'"mood" {problem}')


def test_a_prediction_that_no_longer_fits_is_nothing_to_compare_with() -> None:
    found = compare(CONFIG, [choice("mood", "neutral"), choice("topics", "a")], [choice("mood", "good")])
    assert by_name(found)["mood"] == (None, ["good"], None, None, None)
    assert found.problem is None


def test_an_annotation_of_another_config_is_told() -> None:
    found = compare(CONFIG, [], [choice("mood", "good"), choice("former", "x")])
    assert found.problem == "was made under another labeling config"
    refused = {"id": "m", "from_name": "mask", "type": "brushlabels", "value": {"rle": [1]}}
    assert compare(CONFIG, [], [choice("mood", "good"), refused]).problem is None


def test_controls_of_regions_are_compared_where_both_have_the_region() -> None:
    config = parse_config(REGIONS)

    def person(n: int, start: int, mood: str | None) -> list[JSON]:
        place = {"start": start, "end": start + 3, "text": "Ann"}
        region = {
            "id": f"r{n}",
            "from_name": "ner",
            "to_name": "note",
            "type": "labels",
            "value": {**place, "labels": ["PER"]},
        }
        return [region, {**region, "from_name": "mood", "type": "choices", "value": {**place, "choices": [mood]}}][
            : 2 if mood else 1
        ]

    found = by_name(
        compare(
            config,
            [*person(1, 0, "glad"), *person(2, 5, "glad"), *person(3, 10, "s")],
            [*person(7, 0, "glad"), *person(8, 5, "s"), *person(9, 20, "glad")],
        )
    )
    assert found["ner"][2:] == (pytest.approx(2 / 3), False, None)
    assert found["mood"] == ([["glad"], ["glad"], ["s"]], [["glad"], ["s"], ["glad"]], 0.5, False, None)
    alone = by_name(compare(config, person(1, 0, "glad"), person(1, 9, "glad")))
    assert alone["mood"][2:] == (None, None, None)  # no region in common
    unread = by_name(compare(config, person(1, 0, "glad"), person(1, 0, "angry")))
    assert unread["mood"][4] == "holds a label that is not in the labeling config"


def test_relations_count_for_confirming() -> None:
    config = parse_config(
        '<View><Text name="t" value="$t"/><Labels name="ner" toName="t"><Label value="PER"/></Labels>'
        "<Relations/></View>"
    )
    spans = [
        {"id": str(n), "from_name": "ner", "value": {"start": n, "end": n + 1, "text": "x", "labels": ["PER"]}}
        for n in range(2)
    ]
    tie = {"type": "relation", "from_id": "0", "to_id": "1", "direction": "right"}
    assert compare(config, [*spans, tie], [tie, *spans]).confirmed
    assert not compare(config, [*spans, tie], spans).confirmed
    assert not compare(config, [*spans, tie], spans).problem


class TestKept:
    def test_regions_of_controls_that_are_not_answered_are_left_out(self) -> None:
        mask = {"id": "m", "from_name": "mask", "type": "brushlabels", "value": {"rle": [0] * 500_000}}
        assert kept([choice("mood", "good"), mask], CONFIG) == (choice("mood", "good"),)

    @pytest.mark.parametrize(
        ("result", "problem"),
        [
            ({"a": 1}, "is no list of regions"),
            ("text", "is no list of regions"),
            ([{}] * (MAX_REGIONS + 1), "has more than 5,000 regions"),
            ([choice("mood", "x" * 1_000_001)], "is too large to keep"),
            ([choice("mood", score=float("nan"))], "is too large to keep"),
            ([choice("mood", score=2**63)], "is too large to keep"),
            ([choice("mood", "good", meta={"a": [0] * 100_001})], "is too large to keep"),
        ],
        ids=["object", "text", "many regions", "much text", "nan", "large number", "many values"],
    )
    def test_what_cannot_be_stored_is_told(self, result: JSON, problem: str) -> None:
        assert kept(result, CONFIG) == problem

    def test_nothing_is_too_deep_to_be_looked_at(self) -> None:
        deep: JSON = "x"
        for _ in range(100_000):
            deep = [deep]
        assert kept([{"from_name": "mood", "value": deep}], CONFIG) == "is too large to keep"

    def test_text_is_made_storable(self) -> None:
        (region,) = kept([choice("mood", "a\x00\ud800")], CONFIG)
        assert region["value"] == {"choices": ["a\ufffd\ufffd"]}  # type: ignore[index]

    def test_what_is_no_region_is_left_out(self) -> None:
        assert kept([None, 1, "a", [], choice("mood", "good")], CONFIG) == (choice("mood", "good"),)


def test_a_config_without_controls_compares_nothing() -> None:
    bare = LabelingConfig(xml="<View/>", controls=(), objects=(), refusals=())
    assert compare(bare, [], []) == Comparison(controls=())
