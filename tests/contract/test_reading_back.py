"""What holds for every control in `SUPPORTED` when an annotation is read back and compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from backend.core.values import JSON
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import SUPPORTED, Control
from backend.labeling.controls.base import Decoded
from backend.labeling.parsing import parse_config
from tests.conftest import NO_SHARED_DATA, SHARED_DATA
from tests.contract.test_controls import (
    CASES,
    DATA,
    FOLLOWERS,
    MAKERS,
    _outcome_of_examples,
    _with_option,
    config_of,
    shown_by,
)

Case = tuple[str, str, str, str]

# Answers of controls without options, beside their example.
MORE: dict[str, list[JSON]] = {
    "DateTime": ["2020-05-06", "2020-05-06T07:08", "07:08", "2019-04", "2001"],
    "Number": [1, 1.5, 2, -4, -6, 1_000_002, 123_456_789],
    "Rating": [1, 2, 4],
    "TextArea": ["Some other words", ["one", "two"], "e\u0301 👍"],
    "Rectangle": [
        [{"x": 1, "y": 2, "width": 3, "height": 4, "image": 1}],
        [{"x": 11, "y": 21, "width": 30, "height": 40, "image": 1}] * 1
        + [{"x": 50, "y": 50, "width": 9, "height": 9, "image": 2}],
    ],
}


def values_of(case: Case) -> tuple[Control, list[JSON]]:
    """A control and different values that it decodes."""
    config = config_of(*case)
    (control,) = config.controls
    shown = shown_by(config)
    answers = [control.example(shown), *(_with_option(control, o.name, shown) for o in control.options)]
    for answer in MORE.get(case[0], []):
        answers += [answer, [answer, answer], [None, answer]] if "perItem" in case[1] else [answer]
    if control.is_set and control.options:  # several at once, too
        answers.append([item for answer in answers if isinstance(answer, list) for item in answer])
    decoded = [control.decode(answer, shown).value for answer in answers]
    return control, list(dict.fromkeys(value for value in decoded if value is not None))


def written(control: Control, value: JSON) -> list[dict[str, JSON]]:
    """The regions of a value as Label Studio gives them back: with ids, through JSON, among others' regions."""
    regions = [{"id": f"r{n}", **region} for n, group in enumerate(control.grouped(value)) for region in group]
    others = [{"id": "r0", "from_name": "other", "to_name": "t", "type": "choices", "value": {"choices": ["x"]}}, {}]
    result: list[dict[str, JSON]] = json.loads(json.dumps([*others, *regions]))
    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]} {case[3]}")
class TestControl:
    def test_what_it_writes_is_read_back(self, case: Case) -> None:
        control, values = values_of(case)
        assert values
        for value in values:
            read = control.value_of(written(control, value))
            assert (read.problem, read.rejected) == (None, ())
            assert read.value == value
            assert hash(read.value) == hash(value)

    def test_a_value_is_an_answer_again(self, case: Case) -> None:
        control, values = values_of(case)
        shown = shown_by(config_of(*case))
        for value in values:
            answer = control.encode(value)
            assert json.loads(json.dumps(answer)) == answer
            images = shown[control.to_name[0]].images
            for item in answer if isinstance(answer, list) else ():
                if isinstance(item, dict) and "image" in item:  # it counts from the first image of its object
                    item["image"] += images[0].number - 1
            read = control.decode(answer, shown)
            assert (read.problem, read.rejected, read.usable) == (None, (), 1.0)
            assert read.value == value
        assert control.encode(None) in (None, [], {})

    def test_the_same_agree_and_the_order_does_not_matter(self, case: Case) -> None:
        control, values = values_of(case)
        for one, other in product([None, *values], repeat=2):
            agreement = control.agreement(one, other)
            assert 0.0 <= agreement <= 1.0
            assert agreement == pytest.approx(control.agreement(other, one))
            assert control.agree(one, other) == control.agree(other, one)
            if one == other:
                assert (agreement, control.agree(one, other)) == (1.0, True)
            if agreement < 0.5 or (one is None) != (other is None):
                assert not control.agree(one, other)

    def test_different_values_are_told_apart(self, case: Case) -> None:
        control, values = values_of(case)
        if len(values) > 1:
            assert any(not control.agree(a, b) and control.agreement(a, b) < 1.0 for a, b in product(values, repeat=2))

    def test_a_value_as_json_is_json(self, case: Case) -> None:
        control, values = values_of(case)
        for value in (None, *values):
            told = control.as_json(value)
            assert json.loads(json.dumps(told)) == told

    def test_nothing_of_it_is_an_empty_answer(self, case: Case) -> None:
        (control,) = config_of(*case).controls
        assert control.value_of([]) == Decoded(value=None)
        assert control.value_of([{"id": "a", "from_name": "other", "type": "choices", "value": 1}]).problem is None


def deep() -> JSON:
    value: JSON = "x"
    for _ in range(5_000):
        value = [value]
    return value


HOSTILE: list[JSON] = [
    None,
    True,
    -1,
    0,
    1e308,
    1e-300,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "\x00\ud800",
    "9" * 5_000,
    [],
    {},
]
HOSTILE += [
    [[]],
    [None],
    [{}],
    {"a": 1},
    [["top"], "top"],
    ["one", "one"],
    ["one", "2"],
    [1, "1"],
    deep(),
    {"it": deep()},
]
KEYS = (
    *("choices", "taxonomy", "rating", "number", "datetime", "text", "selected", "ranker", "labels", "start", "end"),
    *("startOffset", "endOffset", "globalOffsets", "x", "y", "width", "height", "rotation"),
    *("hypertextlabels", "paragraphlabels", "rectanglelabels"),
)


def hostile_results(like: Mapping[str, JSON]) -> list[JSON]:
    """What nobody should send, and a region with each of its keys made strange."""
    results: list[JSON] = [*HOSTILE, *([one] for one in HOSTILE), *([{"from_name": "it", "value": v}] for v in HOSTILE)]
    for wrong in HOSTILE:
        results += [[{**like, "value": {**like["value"], key: wrong}}] for key in KEYS]
        results += [[{**like, key: wrong}] for key in ("id", "item_index", "original_width", "type", "to_name")]
        results.append([like, {**like, "value": dict.fromkeys(KEYS, wrong)}])
    results.append([like] * 3)
    results.append([like] * 100_000)
    return results


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]} {case[3]}")
def test_no_result_makes_it_raise(case: Case) -> None:
    control, values = values_of(case)
    (like,) = written(control, values[0])[2:3]
    for result in hostile_results(like):
        read = control.value_of(result)
        assert isinstance(read, Decoded)
        assert read.problem is None or (read.value is None and "\n" not in read.problem)
        for value in (values[-1], read.value):
            assert 0.0 <= control.agreement(read.value, value) <= 1.0
            control.agree(read.value, value)
        json.dumps(control.as_json(read.value))


def test_every_control_is_compared() -> None:
    assert {case[0] for case in CASES} == set(SUPPORTED)


@pytest.mark.parametrize("case", FOLLOWERS, ids=lambda case: f"{case[0]} {case[1]} {case[3]}")
def test_a_control_that_follows_regions_is_read_back_with_them(case: Case) -> None:
    tag, attributes, inside, to_name = case
    xml = (
        '<View><Text name="t" value="$t"/><HyperText name="h" value="$h"/><Paragraphs name="d" value="$d"/>'
        '<Image name="g" value="$g"/><Image name="p" valueList="$p"/>'
        f'<{tag} name="it" toName="{to_name}" {attributes}>{inside}</{tag}>{MAKERS[to_name]}</View>'
    )
    config = parse_config(xml).bind(DATA)
    (maker,) = config.controls
    result: list[dict[str, Any]] = [dict(region) for region in _outcome_of_examples(config, DATA).result]
    read = maker.value_of(result)
    assert read.problem is None
    ((answer,),) = (region.answers for region in read.value)
    assert (answer.control, answer.problem) == ("it", None)
    assert answer.value is not None
    alone = maker.value_of(result[:1]).value
    assert maker.agree(read.value, read.value)
    assert not maker.agree(read.value, alone)  # an answer in a region was taken away
    groups = maker.grouped(read.value)
    assert [[{"id": result[0]["id"], **region} for region in group] for group in groups] == [
        [{k: v for k, v in region.items() if k not in ("score", "meta")} for region in result]
    ]


# --- regions as the real editor wrote them -------------------------------------------------------------------------

_EXPORTS = Path(SHARED_DATA or ".") / "label_studio" / "exports"
_TAGS = {  # type of a region -> its tag, what its options are called, and an object that it may point to
    "choices": ("Choices", "Choice", "Text"),
    "datetime": ("DateTime", "", "Text"),
    "hypertextlabels": ("HyperTextLabels", "Label", "HyperText"),
    "labels": ("Labels", "Label", "Text"),
    "number": ("Number", "", "Text"),
    "pairwise": ("Pairwise", "", "Text"),
    "paragraphlabels": ("ParagraphLabels", "Label", "Paragraphs"),
    "rating": ("Rating", "", "Text"),
    "rectanglelabels": ("RectangleLabels", "Label", "Image"),
    "taxonomy": ("Taxonomy", "Choice", "Text"),
    "textarea": ("TextArea", "", "Text"),
}


def regions_in(value: JSON) -> Iterator[Mapping[str, JSON]]:
    if isinstance(value, dict) and {"from_name", "type", "value"} <= value.keys():
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from regions_in(inner)


def config_for(region: Mapping[str, JSON]) -> LabelingConfig:
    """A labeling config in which the region could have been made."""
    tag, child, target = _TAGS[region["type"]]
    given = region["value"].get(region["type"], [])
    paths = [path if isinstance(path, list) else [path] for path in given] if child else []
    nested = "".join(_nested(child, path) for path in paths)
    to_name = "o,p" if tag == "Pairwise" else "o"
    multiple = ' choice="multiple"' if child and len(given) > 1 else ""
    return parse_config(
        f'<View><{target} name="o" value="$o"/><{target} name="p" value="$p"/>'
        f"<{tag} name={quoteattr(region['from_name'])} toName={quoteattr(to_name)}{multiple}>{nested}</{tag}></View>"
    )


def _nested(tag: str, path: list[str]) -> str:
    inside = ""
    for name in reversed(path):
        inside = f"<{tag} value={quoteattr(name)}>{inside}</{tag}>"
    return inside


@pytest.mark.skipif(SHARED_DATA is None, reason=NO_SHARED_DATA)
def test_what_the_editor_wrote_is_read() -> None:
    read: Counter[str] = Counter()
    for file in sorted(_EXPORTS.glob("*.json")):
        for region in regions_in(json.loads(file.read_text(encoding="utf-8"))):
            on_text = region["type"] != "labels" or isinstance(region["value"].get("text"), str)
            if region["type"] not in _TAGS or not on_text or region["value"].get("rotation"):
                continue  # a brush, a part of a recording, a turned box
            (control,) = config_for(region).controls
            found = control.value_of([region])
            assert (found.problem, found.value is not None) == (None, True), (file.name, region)
            assert control.agree(found.value, control.value_of([dict(region)]).value)
            read[region["type"]] += 1
    assert set(read) >= set(_TAGS) - {"rating"}


def test_a_date_without_its_year_is_no_answer() -> None:
    """It would be taken for one of 1900."""
    (control,) = config_of("DateTime", 'only="date" format="%d.%m."', "", "t").controls
    answer = control.encode("05.03.")
    assert control.decode(answer, {}).problem is not None
