"""What each control reads out of an answer: tables of odd cases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import JSON
from backend.labeling.controls import SUPPORTED, Control, Span
from backend.labeling.controls.base import MAX_REJECTED_CHARS
from backend.labeling.parsing import parse_config
from backend.labeling.shown import Position
from tests.samples import EVERY_CONTROL, shown

TEXT = "Ann met Bob in Paris. Ann left."
SHOWN = shown(t=TEXT, u="second")
OPTIONS = '<Choice value="Good" alias="g"/><Choice value="Bad" alias="b"/><Choice value="so-so"/>'
TREE = '<Choice value="Animal"><Choice value="Cat" alias="c"/><Choice value="Dog"/></Choice><Choice value="Plant"/>'


def control(tag: str, attributes: str = "", inside: str = "", to_name: str = "t") -> Control:
    xml = (
        '<View><Text name="t" value="$t"/><Text name="u" value="$u"/>'
        f'<{tag} name="x" toName="{to_name}" {attributes}>{inside}</{tag}></View>'
    )
    (only,) = parse_config(xml).controls
    return only


SINGLE = control("Choices", inside=OPTIONS)
MULTIPLE = control("Choices", 'choice="multiple"', OPTIONS)
NEEDED = control("Choices", 'choice="multiple" required="true"', OPTIONS)
LABELS = control("Labels", inside='<Label value="PER" alias="p"/><Label value="LOC"/>')
SOME_LABELS = control("Labels", 'required="true"', '<Label value="PER"/><Label value="LOC"/>')
NUMBER = control("Number", 'min="-2" max="10" step="0.5"')
ANY_NUMBER = control("Number")
NEEDED_NUMBER = control("Number", 'required="true"')
TEXTAREA = control("TextArea")
NEEDED_TEXT = control("TextArea", 'required="true"')
RATING = control("Rating", 'maxRating="4"')
TAXONOMY = control("Taxonomy", 'maxUsages="2"', TREE)
LEAVES = control("Taxonomy", 'leafsOnly="true" required="true"', TREE)
DATE = control("DateTime", 'only="date" min="2020-02-03" max="2021"')
MOMENT = control("DateTime", 'required="true"')
TIME = control("DateTime", 'only="time"')
MONTH = control("DateTime", 'only="month,year"')
YEAR = control("DateTime", 'only="year" min="1990"')
GERMAN = control("DateTime", 'only="date" format="%d.%m.%Y"')
PAIRWISE = control("Pairwise", to_name="t,u")


def spans(*places: tuple[int, int, str]) -> tuple[Span, ...]:
    return tuple(Span(position=Position(start=s, end=e), text=TEXT[s:e], labels=(label,)) for s, e, label in places)


@pytest.mark.parametrize(
    ("control", "raw", "value", "step"),
    [
        (DATE, "2020-02-03", "2020-02-03", "exact"),
        (DATE, "2021-12-31", "2021-12-31", "exact"),
        (DATE, " 2020/03/01", "2020-03-01", "normalised"),
        (DATE, "2020-03-01T10:00", "2020-03-01", "normalised"),
        (DATE, None, None, "exact"),
        (MOMENT, "2020-03-01T10:05", "2020-03-01T10:05", "exact"),
        (MOMENT, "2020-03-01 10:05:30Z", "2020-03-01T10:05", "normalised"),
        (TIME, "09:30", "09:30", "exact"),
        (TIME, "09:30:10", "09:30", "normalised"),
        (MONTH, "2020-05", "2020-05-01", "exact"),
        (MONTH, "2020-05-17", "2020-05-01", "normalised"),
        (YEAR, 1999, "1999-01-01", "exact"),
        (YEAR, "1999-05-17", "1999-01-01", "normalised"),
        (GERMAN, "2020-05-17", "17.05.2020", "exact"),
        (SINGLE, "Good", ("g",), "exact"),
        (SINGLE, "g", ("g",), "exact"),
        (SINGLE, " GOOD! ", ("g",), "normalised"),
        (SINGLE, "So so", ("so-so",), "normalised"),
        (SINGLE, ["Bad"], ("b",), "exact"),
        (MULTIPLE, ["Good", "bad"], ("g", "b"), "normalised"),
        (MULTIPLE, ["Good", "Good", "g"], ("g",), "exact"),
        (MULTIPLE, ["Good", None], ("g",), "exact"),
        (MULTIPLE, "Good", ("g",), "exact"),
        (MULTIPLE, [], None, "exact"),
        (LABELS, [{"text": "Ann", "label": "PER"}], spans((0, 3, "p")), "exact"),
        (LABELS, [{"label": "p", "text": "ann", "why": "x"}], spans((0, 3, "p")), "exact"),
        (
            LABELS,
            [{"text": "Paris", "label": "loc"}, {"text": "Ann", "label": "PER"}, {"text": "Ann", "label": "PER"}],
            spans((0, 3, "p"), (15, 20, "LOC"), (22, 25, "p")),
            "normalised",
        ),
        (LABELS, [], None, "exact"),
        (NUMBER, 3, 3, "exact"),
        (NUMBER, 3.0, 3, "exact"),
        (NUMBER, 2.5, 2.5, "exact"),
        (NUMBER, -2, -2, "exact"),
        (NUMBER, 10, 10, "exact"),
        (NUMBER, " 2.5 ", 2.5, "normalised"),
        (NUMBER, "1e1", 10, "normalised"),
        (NUMBER, "٣", 3, "normalised"),
        (NUMBER, None, None, "exact"),
        (ANY_NUMBER, 0.1 + 0.2, 0.1 + 0.2, "exact"),
        (ANY_NUMBER, 2**53 + 1, 2**53 + 1, "exact"),  # a float would lose its last digit
        (TEXTAREA, " a note ", ("a note",), "exact"),
        (TEXTAREA, ["a", " ", "b"], ("a", "b"), "exact"),
        (TEXTAREA, "", None, "exact"),
        (TEXTAREA, None, None, "exact"),
        (TEXTAREA, [None], None, "exact"),
        (TEXTAREA, "{{x}} ''' \" 👍 שלום", ("{{x}} ''' \" 👍 שלום",), "exact"),
        (RATING, 1, 1, "exact"),
        (RATING, 4, 4, "exact"),
        (RATING, 4.0, 4, "normalised"),
        (RATING, "3", 3, "normalised"),
        (TAXONOMY, ["Animal > Cat"], (("Animal", "c"),), "exact"),
        (TAXONOMY, "Plant", (("Plant",),), "exact"),
        (TAXONOMY, ["animal > dog", "Plant"], (("Animal", "Dog"), ("Plant",)), "normalised"),
        (TAXONOMY, [["Animal", "Cat"]], (("Animal", "c"),), "exact"),
        (TAXONOMY, ["Plant", "Plant", "Plant"], (("Plant",),), "exact"),
        (TAXONOMY, [], None, "exact"),
        (TAXONOMY, [None], None, "exact"),
        (LEAVES, ["Animal > Dog"], (("Animal", "Dog"),), "exact"),
        (PAIRWISE, "left", "left", "exact"),
        (PAIRWISE, "Right.", "right", "normalised"),
    ],
)
def test_values(control: Control, raw: JSON, value: Any, step: str) -> None:
    decoded = control.decode(raw, SHOWN)
    assert (decoded.value, decoded.step, decoded.problem, decoded.rejected) == (value, step, None, ())
    assert type(decoded.value) is type(value)


@pytest.mark.parametrize(
    ("control", "raw", "problem", "rejected"),
    [
        (DATE, "2019-12-31", "is out of bounds", ("2019-12-31",)),
        (DATE, "2022-01-01", "is out of bounds", ("2022-01-01",)),
        (DATE, "2020-02-30", "is not a date as YYYY-MM-DD", ("2020-02-30",)),
        (DATE, "yesterday", "is not a date as YYYY-MM-DD", ("yesterday",)),
        (DATE, True, "is not a date as YYYY-MM-DD", ("True",)),
        (MOMENT, "2020-03-01", "is not a date and time as YYYY-MM-DDTHH:MM", ("2020-03-01",)),
        (MOMENT, None, "is empty", ()),
        (YEAR, 1989, "is out of bounds", ("1989",)),
        (TIME, "25:00", "is not a time of 24 hours as HH:MM", ("25:00",)),
        (SINGLE, "great", "is not one of the labels", ("great",)),
        (SINGLE, "neither", "is not one of the labels", ("neither",)),
        (SINGLE, "not good", "is not one of the labels", ("not good",)),
        (SINGLE, "Good or Bad", "is not one of the labels", ("Good or Bad",)),
        (SINGLE, "", "is not one of the labels", ("",)),
        (SINGLE, 1, "is not one of the labels", ("1",)),
        (SINGLE, True, "is not one of the labels", ("True",)),
        (SINGLE, {"label": "Good"}, "is not one of the labels", ("{'label': 'Good'}",)),
        (SINGLE, [["Good"]], "is not one of the labels", ("['Good']",)),
        (SINGLE, ["Good", "Bad"], "needs one label and got 2", ()),
        (SINGLE, [], "needs one label and got 0", ()),
        (SINGLE, None, "is empty", ()),
        (SINGLE, [None], "is empty", ()),
        (MULTIPLE, ["Good", "great"], "is not one of the labels", ("great",)),
        (MULTIPLE, None, "is empty", ()),
        (NEEDED, [], "is empty", ()),
        (LABELS, None, "is not a list of passages", ("None",)),
        (LABELS, {"text": "Ann", "label": "PER"}, "is not a list of passages", ("{'text': 'Ann', 'label': 'PER'}",)),
        (LABELS, [{"text": "Carl", "label": "PER"}], "holds no usable passage", ()),
        (LABELS, [{"text": "", "label": "PER"}], "holds no usable passage", ()),
        (LABELS, [{"text": "Ann", "label": "DOG"}], "holds no usable passage", ("DOG",)),
        (LABELS, [{"text": ["Ann"], "label": "PER"}], "holds no usable passage", ("PER",)),
        (LABELS, [{"start": 0, "end": 3}, None], "holds no usable passage", ("{'start': 0, 'end': 3}", "None")),
        (SOME_LABELS, [], "is empty", ()),
        (NUMBER, 11, "is out of bounds", ("11",)),
        (NUMBER, -2.5, "is out of bounds", ("-2.5",)),
        (NUMBER, 0.3, "is not in steps of 0.5", ("0.3",)),
        (NUMBER, "three", "is not a number", ("three",)),
        (NUMBER, "3 apples", "is not a number", ("3 apples",)),
        (NUMBER, "1,5", "is not a number", ("1,5",)),
        (NUMBER, "1_0", "is not a number", ("1_0",)),
        (NUMBER, "", "is not a number", ("",)),
        (NUMBER, True, "is not a number", ("True",)),
        (NUMBER, [3], "is not a number", ("[3]",)),
        (NUMBER, float("nan"), "is not a number", ("nan",)),
        (NUMBER, float("inf"), "is not a number", ("inf",)),
        (NUMBER, "infinity", "is not a number", ("infinity",)),
        (NUMBER, 10**400, "is not a number", (str(10**400)[:MAX_REJECTED_CHARS],)),
        (NEEDED_NUMBER, None, "is empty", ()),
        (TEXTAREA, 3, "is not text", ("3",)),
        (TEXTAREA, ["a", {"b": 1}], "is not text", ("{'b': 1}",)),
        (NEEDED_TEXT, None, "is empty", ()),
        (NEEDED_TEXT, " \n", "is empty", ()),
        (RATING, 0, "is not from 1 to 4", ("0",)),
        (RATING, 5, "is not from 1 to 4", ("5",)),
        (RATING, -1, "is not from 1 to 4", ("-1",)),
        (RATING, 2.5, "is not a whole number", ("2.5",)),
        (RATING, "4/5", "is not a whole number", ("4/5",)),
        (RATING, True, "is not a whole number", ("True",)),
        (RATING, None, "is empty", ()),
        (TAXONOMY, ["Cat"], "is not one of the paths", ("Cat",)),
        (TAXONOMY, ["Plant", "Fungus"], "is not one of the paths", ("Fungus",)),
        (TAXONOMY, [["Animal", 1]], "is not one of the paths", ("['Animal', 1]",)),
        (TAXONOMY, [[]], "is not one of the paths", ("",)),
        (TAXONOMY, ["Animal", "Plant", "Animal > Cat"], "has more than 2 paths", ()),
        (TAXONOMY, None, "is empty", ()),
        (LEAVES, ["Animal"], "is not one of the paths", ("Animal",)),
        (LEAVES, [], "is empty", ()),
        (PAIRWISE, "both", "is not left or right", ("both",)),
        (PAIRWISE, "left or right", "is not left or right", ("left or right",)),
        (PAIRWISE, ["left"], "is not left or right", ("['left']",)),
        (PAIRWISE, None, "is empty", ()),
        (SINGLE, "x" * 500, "is not one of the labels", ("x" * MAX_REJECTED_CHARS,)),
    ],
)
def test_problems(control: Control, raw: JSON, problem: str, rejected: tuple[str, ...]) -> None:
    decoded = control.decode(raw, SHOWN)
    assert (decoded.value, decoded.problem, decoded.rejected) == (None, problem, rejected)


def test_usable_passages_are_kept_beside_unusable_ones() -> None:
    decoded = LABELS.decode(
        [
            {"text": "Ann", "label": "PER"},
            {"text": "Carl", "label": "PER"},
            {"text": "Bob", "label": "DOG"},
            "Paris",
        ],
        SHOWN,
    )
    assert decoded.value == spans((0, 3, "p"))
    assert decoded.problem is None
    assert decoded.rejected == ("DOG", "Paris")
    assert decoded.notes == (
        "1 quoted passage(s) are not in the text, or not so often",
        "2 passage(s) with no known label",
    )


def test_the_same_words_under_two_labels_are_one_passage_with_two_spans() -> None:
    quotes = [{"text": "Paris", "label": "LOC"}, {"text": "Paris", "label": "PER"}, {"text": "Paris", "label": "PER"}]
    decoded = LABELS.decode(quotes, SHOWN)
    assert [(s.text, s.labels) for s in decoded.value or ()] == [("Paris", ("LOC",)), ("Paris", ("p",))]
    assert decoded.notes == ("1 quoted passage(s) are not in the text, or not so often",)


def test_several_labels_of_one_passage() -> None:
    both = control("Labels", 'choice="multiple"', '<Label value="PER"/><Label value="ORG"/>')
    decoded = both.decode(
        [
            {"text": "Ann", "labels": ["PER", "org", "PER"]},
            {"text": "Bob", "label": "ORG"},
            {"text": "Paris", "labels": []},
            {"text": "Paris", "labels": ["PER", "LOC"]},
        ],
        SHOWN,
    )
    assert [(span.text, span.labels) for span in decoded.value] == [("Ann", ("PER", "ORG")), ("Bob", ("ORG",))]
    assert decoded.notes == ("2 passage(s) with no known label",)
    assert both.regions(decoded.value)[0]["value"]["labels"] == ["PER", "ORG"]


@pytest.mark.parametrize(
    ("attributes", "inside", "kept"),
    [
        ('maxUsages="1"', '<Label value="PER"/><Label value="LOC"/>', ["Ann", "Paris"]),
        ("", '<Label value="PER" maxUsages="2" alias="p"/><Label value="LOC"/>', ["Ann", "Bob", "Paris"]),
        ('maxUsages="1"', '<Label value="PER" maxUsages="9"/><Label value="LOC"/>', ["Ann", "Bob", "Paris", "Ann"]),
        ('maxUsages="0"', '<Label value="PER"/><Label value="LOC"/>', ["Ann", "Bob", "Paris", "Ann"]),
        ('maxUsages="many"', '<Label value="PER"/><Label value="LOC"/>', ["Ann", "Bob", "Paris", "Ann"]),
    ],
)
def test_a_label_is_used_as_often_as_the_config_allows(attributes: str, inside: str, kept: list[str]) -> None:
    quotes = [{"text": text, "label": "PER"} for text in ("Bob", "Ann", "Ann")] + [{"text": "Paris", "label": "LOC"}]
    decoded = control("Labels", attributes, inside).decode(quotes, SHOWN)
    assert [span.text for span in decoded.value] == kept
    left = 4 - len(kept)
    assert decoded.notes == ((f"{left} passage(s) more than maxUsages allows",) if left else ())


def test_what_the_model_is_told_of_the_limits() -> None:
    limited = control("Labels", "", '<Label value="PER" maxUsages="2" alias="p"/><Label value="LOC"/>')
    assert 'copied letter by letter (at most 2 of "PER"); an empty list' in limited.ask()


def test_overlapping_passages_are_kept() -> None:
    quotes = [{"text": "Ann met Bob", "label": "PER"}, {"text": "Bob", "label": "LOC"}, {"text": "ann", "label": "PER"}]
    assert [s.text for s in LABELS.decode(quotes, SHOWN).value] == ["Ann met Bob", "Bob", "Ann"]


def test_passages_of_a_text_that_is_not_there_are_none() -> None:
    assert LABELS.decode([{"text": "Ann", "label": "PER"}], shown(t="")).problem == "holds no usable passage"
    assert LABELS.decode([], shown(t="")).problem is None


@pytest.mark.parametrize(
    ("control", "value", "regions"),
    [
        (SINGLE, ("g",), [("choices", {"choices": ["g"]})]),
        (
            LABELS,
            spans((0, 3, "p"), (15, 20, "LOC")),
            [
                ("labels", {"start": 0, "end": 3, "text": "Ann", "labels": ["p"]}),
                ("labels", {"start": 15, "end": 20, "text": "Paris", "labels": ["LOC"]}),
            ],
        ),
        (NUMBER, 2.5, [("number", {"number": 2.5})]),
        (TEXTAREA, ("a", "b"), [("textarea", {"text": ["a", "b"]})]),
        (RATING, 3, [("rating", {"rating": 3})]),
        (TAXONOMY, (("Animal", "c"), ("Plant",)), [("taxonomy", {"taxonomy": [["Animal", "c"], ["Plant"]]})]),
        (PAIRWISE, "left", [("pairwise", {"selected": "left"})]),
    ],
)
def test_regions(control: Control, value: Any, regions: list[tuple[str, JSON]]) -> None:
    assert control.regions(value) == [
        {"from_name": "x", "to_name": "t", "type": kind, "value": inner} for kind, inner in regions
    ]


@pytest.mark.parametrize(
    "attributes",
    ['min="3"', 'max="0.5"', 'min="3" max="3"', 'max="3"', 'max="-3"', 'max="-2" step="3"', 'min="1" step="2"', ""],
)
def test_a_numbers_example_keeps_to_its_bounds(attributes: str) -> None:
    number = control("Number", attributes)
    assert number.decode(number.example(SHOWN), SHOWN).problem is None


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["Happy", "pos", "billing", "PER", "Ann", "Cat", "Animal > Cat", "left", "text", "label", "3"])
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["text", "label"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("tag", sorted(SUPPORTED))
@given(_JSON, st.text())
def test_decoding_never_raises_and_its_regions_pass_the_servers_check(tag: str, raw: JSON, text: str) -> None:
    config = parse_config(EVERY_CONTROL)
    for each in config.controls:
        if each.tag == tag:
            decoded = each.decode(raw, shown(a=text, b="second"))
            assert decoded.value is None or decoded.problem is None
            assert decoded.problem is None or "\n" not in decoded.problem
            if decoded.value is not None:
                regions = [{"id": str(i), **region} for i, region in enumerate(each.regions(decoded.value))]
                assert regions
                assert config.validate(regions, None) == []


@pytest.mark.parametrize("depth", [50, 400])
def test_deep_answers(depth: int) -> None:
    raw: JSON = "x"
    for _ in range(depth):
        raw = [raw]
    for each in parse_config(EVERY_CONTROL).controls:
        assert each.decode(raw, shown(a="a", b="b")).problem
