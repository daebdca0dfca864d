"""Labeling configs: what is answered, what is refused by name, and what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import ConfigError
from backend.labeling.controls import SUPPORTED
from backend.labeling.parsing import MAX_CONFIG_CHARS, parse_config
from tests.samples import ALL_REFUSED, EVERY_CONTROL, SENTIMENT, TWO_OBJECTS

CHOICES = '<Choices name="c" toName="t"><Choice value="a"/><Choice value="b"/></Choices>'
TEXT = '<Text name="t" value="$text"/>'
BOMB = """<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>
<View><Text name="t" value="&c;"/></View>"""
FILE = '<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/hostname">]><View>&x;</View>'


def view(*parts: str) -> str:
    return f"<View>{''.join(parts)}</View>"


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        ("", "not well-formed XML"),
        ("not xml", "not well-formed XML"),
        ("<View>", "not well-formed XML"),
        ("<View><Text></View>", "not well-formed XML"),
        ("<View/><View/>", "not well-formed XML"),
        ('<View a="1" a="2"/>', "not well-formed XML"),
        ("<View>&nbsp;</View>", "not well-formed XML"),
        ("<View>\0</View>", "not well-formed XML"),
        ("<View>\ud800</View>", "not well-formed XML"),
        ("{}", "not well-formed XML"),
        (BOMB, "DTD or entities"),
        (FILE, "DTD or entities"),
        ("<View/>", "has no control"),
        (view(TEXT), "has no control"),
        (view(TEXT, '<Choices toName="t"><Choice value="a"/></Choices>'), "has no control"),
        (view(TEXT, '<Filter name="f" toName="t"/>'), "has no control"),
        (view(TEXT, CHOICES, CHOICES), "two controls named 'c'"),
        ("<View>" * 5000 + "</View>" * 5000, "nested deeper"),
        (view(TEXT, " " * MAX_CONFIG_CHARS), "longer than"),
    ],
)
def test_configs_that_cannot_be_used(xml: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        parse_config(xml)
    assert str(caught.value).count("\n") == 0
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("xml", "refusal"),
    [
        (
            view(
                '<Image name="i" value="$image"/>',
                '<BrushLabels name="r" toName="i"><Label value="x"/></BrushLabels>',
            ),
            'BrushLabels "r" paints areas of an image pixel by pixel, which no model of text or images is asked for',
        ),
        (
            view('<Audio name="i" value="$sound"/>', '<Labels name="l" toName="i"><Label value="x"/></Labels>'),
            'Labels "l" on Audio "i" marks moments of a recording, which no model of text or images is asked for',
        ),
        (
            view('<TimeSeries name="i" value="$csv"/>', '<TimeSeriesLabels name="l" toName="i"/>'),
            'TimeSeriesLabels "l" marks stretches of a time series, which no model of text or images is asked for',
        ),
        (
            view(
                '<Image name="i" valueList="photo.png"/>', '<Choices name="c" toName="i"><Choice value="x"/></Choices>'
            ),
            'Choices "c" points to Image "i" has no value of the form "$key"',
        ),
        (
            view('<Image name="i" value="$image"/>', '<Labels name="l" toName="i"><Label value="x"/></Labels>'),
            'Labels "l" has no Rectangle on its image, whose boxes it would label',
        ),
        (
            view(TEXT, '<Rectangle name="r" toName="t"/>'),
            'Rectangle "r" on Text "t" is not supported',
        ),
        (
            view('<Paragraphs name="p" value="$turns"/>', '<Labels name="l" toName="p"><Label value="x"/></Labels>'),
            'Labels "l" on Paragraphs "p" is not supported: use ParagraphLabels',
        ),
        (
            view(TEXT, '<HyperTextLabels name="l" toName="t"><Label value="x"/></HyperTextLabels>'),
            'HyperTextLabels "l" on Text "t" is not supported: use Labels',
        ),
        (
            view('<List name="t" value="Items: $items"/>', CHOICES),
            'Choices "c" points to List "t" has no value of the form "$key"',
        ),
        (
            view('<Text name="t" value="$text" encoding="base64"/>', CHOICES),
            'Choices "c" points to Text "t" has encoding=\'base64\', which is not supported yet',
        ),
        (
            view('<Table name="t" value="$text" valuetype="csv|url|separator=,"/>', CHOICES),
            'Choices "c" points to Table "t" loads what it shows from a URL of the data (valueType="url"), which '
            "Prelabel does not call",
        ),
        (
            view(TEXT, '<Ranker name="r" toName="t"/>'),
            'Ranker "r" on Text "t" has no items to rank: the editor ranks those of a List only',
        ),
        (view(TEXT, '<HtmlEditor name="e" toName="t"/>'), 'HtmlEditor "e" is no tag that Label Studio\'s editor has'),
        (
            view(TEXT, '<Text name="u" toName="t" value="$u"/>'),
            'Text "u" is an object, which holds no answer: its toName has no meaning',
        ),
        (
            view('<Video name="v" value="$v"/>', '<VideoRectangle name="box" toName="v"/>'),
            'VideoRectangle "box" follows things through the frames of a video, which no model of text or images is '
            "asked for",
        ),
        (
            view('<Choices name="c" toName="t"><Choice value="x"/></Choices>'),
            "Choices \"c\" points to 't', which is not in the config",
        ),
        (
            view(TEXT, '<Pairwise name="p" toName="t,u"/>'),
            "Pairwise \"p\" points to 'u', which is not in the config",
        ),
        (view(TEXT, '<Pairwise name="p" toName="t"/>'), 'Pairwise "p" must point to two objects'),
        (
            view(TEXT, '<Choices name="c" toName="t" perRegion="true"><Choice value="x"/></Choices>'),
            'Choices "c" belongs to single regions (perRegion), '
            "and no control that is answered makes any on its object",
        ),
        (
            view(TEXT, f'<View visibleWhen="region-selected" whenLabelValue="x">{CHOICES}</View>'),
            'Choices "c" is shown only while a region is selected',
        ),
        (
            view(TEXT, '<Choices name="c" toName="t" apiUrl="https://example.com/items"/>'),
            'Choices "c" loads its options from a URL, which Prelabel does not call',
        ),
        (
            view(TEXT, '<Labels name="l" toName="t" value="$options"><Label value="a"/></Labels>'),
            "Labels \"l\" lists options beside those of the task's data, which Label Studio's own check then refuses",
        ),
        (
            view(TEXT, '<Taxonomy name="x" toName="t" apiUrl="https://example.com/items"/>'),
            'Taxonomy "x" loads its options from a URL, which Prelabel does not call',
        ),
        (view(TEXT, '<Choices name="c" toName="t"/>'), 'Choices "c" has no option with a value'),
        (view(TEXT, '<Taxonomy name="x" toName="t"/>'), 'Taxonomy "x" has no Choice with a value'),
        (
            view(TEXT, '<Choices name="c" toName="t"><Choice value="a"/><Choice value="a"/></Choices>'),
            "Choices \"c\" has the option 'a' twice: rename one",
        ),
        (
            view(
                TEXT,
                '<Choices name="c" toName="t"><Choice value="a" alias="x"/><Choice value="a" alias="y"/></Choices>',
            ),
            "Choices \"c\" has the option 'a' twice: rename one",
        ),
        (
            view(TEXT, '<Choices name="c" toName="t" allowNested="true"><Choice value="a"/></Choices>'),
            'Choices "c" has allowNested: its answers are paths, which Label Studio\'s own check of predictions '
            "refuses, and the editor shows no others there: use a Taxonomy",
        ),
        (
            view(TEXT, '<Rating name="r" toName="t" maxRating="many"/>'),
            "Rating \"r\" has maxRating='many', which is not a whole number from 1 to 1000",
        ),
        (view(TEXT, '<Number name="n" toName="t" min="a"/>'), "Number \"n\" has min='a', which is not a number"),
        (
            view(TEXT, '<Number name="n" toName="t" min="5" max="1"/>'),
            'Number "n" has min=5, which is above max=1',
        ),
        (
            view('<Paragraphs name="t" value="fixed"/>', CHOICES),
            'Choices "c" points to Paragraphs "t" has no value of the form "$key"',
        ),
        (
            view('<Text name="t" value="$url" valueType="url"/>', CHOICES),
            'Choices "c" points to Text "t" loads what it shows from a URL of the data (valueType="url"), which '
            "Prelabel does not call",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(xml: str, refusal: str) -> None:
    config = parse_config(xml)
    assert [str(r) for r in config.refusals] == [refusal]
    assert config.controls == ()
    assert config.objects == ()


def test_what_can_be_answered_is_beside_what_cannot() -> None:
    config = parse_config(view(TEXT, '<Ranker name="r" toName="t"/>', CHOICES))
    assert [c.name for c in config.controls] == ["c"]
    assert [r.name for r in config.refusals] == ["r"]


def test_everything_is_read_in_the_order_of_the_config() -> None:
    config = parse_config(EVERY_CONTROL)
    assert config.refusals == ()
    names = ["mood", "topics", "entities", "stars", "amount", "summary", "kind", "day", "better"]
    assert [c.name for c in config.controls] == names
    assert list(config.schema()["properties"]) == names
    assert config.variables == ("a", "b")
    assert [o.name for o in config.objects] == ["a", "b"]


def test_what_no_control_points_to_is_shown_all_the_same() -> None:
    config = parse_config(
        view('<Header value="$title"/><Text name="premise" value="$p"/><Text name="t" value="$t"/>', CHOICES)
    )
    assert config.variables == ("p", "t", "title")
    assert {n: s.text for n, s in config.show({"p": "P", "t": "T", "title": "Q"}).items()} == {
        "premise": "P",
        "t": "T",
        "title": "Q",
    }


def test_what_cannot_be_shown_is_named() -> None:
    config = parse_config(view(TEXT, '<ReactCode name="a" value="$x"/><Video2 name="b" value="$y"/>', CHOICES))
    assert [str(r) for r in config.refusals] == [
        'ReactCode "a" is not shown to the model: it is not supported yet',
        'Video2 "b" is not shown to the model: it is no tag that Label Studio\'s editor has',
    ]
    assert [c.name for c in config.controls] == ["c"]


@pytest.mark.parametrize("options", ['<Choice value="a"><Choice value="b"/></Choice>', ""])
def test_label_studios_check_refuses_the_paths_of_nested_choices(options: str) -> None:
    """The reason why `allowNested` is refused: when this fails, it can be supported."""
    value = "" if options else ' value="$options"'
    nested = f'<Choices name="n" toName="t" allowNested="true"{value}>{options}</Choices>'
    config = parse_config(view(TEXT, CHOICES, nested))
    region = {"id": "1", "from_name": "n", "to_name": "t", "type": "choices", "value": {"choices": [["a", "b"]]}}
    assert config.validate([region], None) != []


def test_headers_with_keys_are_shown_and_ask_nothing() -> None:
    header = '<Header value="$title by $who.name"/><Header>$note</Header><Header value="Really?"/>'
    config = parse_config(view(TEXT, header, CHOICES))
    assert [(o.name, o.variables) for o in config.objects] == [
        ("t", ("text",)),
        ("title by who.name", ("title", "who.name")),
        ("note", ("note",)),
    ]
    assert config.controls[0].question == "Really?"
    assert config.variables == ("text", "title", "who.name", "who", "note")
    shown = config.show({"text": "x", "title": "Dune", "who": {"name": "Herbert"}, "note": "n"})
    assert [s.text for s in shown.values()] == ["x", "Dune by Herbert", "n"]
    assert parse_config(view(TEXT, '<Header value="$text"/><Header value="Is it: $text"/>', CHOICES)).variables == (
        "text",
    )


def test_tags_are_read_in_any_case_as_the_editor_does() -> None:
    config = parse_config(view('<hypertext name="t" value="$t"/>', '<Textarea name="a" toName="t"/>'))
    assert [(c.tag, c.name) for c in config.controls] == [("TextArea", "a")]
    assert [o.tag for o in config.objects] == ["HyperText"]
    assert config.validate([{"id": "1", **config.controls[0].regions(("x",))[0]}], None) == []


def test_two_objects_of_one_name_are_an_error() -> None:
    with pytest.raises(ConfigError, match="two objects named 't'"):
        parse_config(view(TEXT, '<HyperText name="t" value="$h"/>', CHOICES))


def test_options_laid_out_in_views_count() -> None:
    inside = '<View><Choice value="a"/><View><Choice value="b"/></View></View><Choice value="c"/>'
    (control,) = parse_config(view(TEXT, f'<Choices name="c" toName="t">{inside}</Choices>')).controls
    assert [o.name for o in control.options] == ["a", "b", "c"]


def test_choices_inside_a_choice_are_left_out_as_the_editor_leaves_them_out() -> None:
    inside = '<Choice value="a"><Choice value="b"/></Choice>'
    (control,) = parse_config(view(TEXT, f'<Choices name="c" toName="t">{inside}</Choices>')).controls
    assert [o.name for o in control.options] == ["a"]


def test_only_choices_with_a_value_are_paths() -> None:
    inside = '<Choice/><Label value="no"/><Choice value="a"><Choice value=""/><Choice value="b"/></Choice>'
    (taxonomy,) = parse_config(view(TEXT, f'<Taxonomy name="x" toName="t">{inside}</Taxonomy>')).controls
    assert [o.name for o in taxonomy.options] == ["a", "a > b"]


def test_a_header_asks_the_next_control_only() -> None:
    questions = {c.name: c.question for c in parse_config(EVERY_CONTROL).controls}
    assert questions["mood"] == "How does the writer feel?"
    assert questions["better"] == "Which is clearer?"
    assert [q for n, q in questions.items() if n not in ("mood", "better")] == [None] * 7


@pytest.mark.parametrize("header", ['<Header value="$title"/>', "<Header/>", '<Header value="  "/>'])
def test_a_header_without_fixed_text_asks_nothing(header: str) -> None:
    assert parse_config(view(TEXT, header, CHOICES)).controls[0].question is None


@pytest.mark.parametrize("condition", ['perRegion="false"', 'visibleWhen=""'])
def test_a_condition_that_is_off_is_none(condition: str) -> None:
    assert len(parse_config(view(TEXT, CHOICES.replace('toName="t"', f'toName="t" {condition}'))).controls) == 1


@pytest.mark.parametrize(
    "declaration", ['<?xml version="1.0" encoding="utf-8"?>', "<?xml version='1.0'?>\n", "<!-- c -->", "\n  "]
)
def test_what_may_stand_before_the_config(declaration: str) -> None:
    config = parse_config(declaration + SENTIMENT.strip())
    assert [c.name for c in config.controls] == ["sentiment"]
    assert config.validate([], None) == []


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("<View>", '<View style="color: red">', True),
        ('<Choice value="positive"/>', '<Choice value="positive" background="#fff"/>', True),
        ('<Choice value="positive"/>', '<Choice value="positive" hint="joy"/>', False),
        ('<Choice value="positive"/>', '<Choice value="Positive"/>', False),
        ('<Choice value="positive"/>', '<Choice value="positive" alias="p"/>', False),
        ("<Choices ", '<Choices choice="multiple" ', False),
        ("<Choices ", '<Header value="Why?"/><Choices ', False),
        ('value="$text"', 'value="$body"', False),
        ('name="sentiment"', 'name="feeling"', False),
    ],
)
def test_the_fingerprint_follows_what_can_change_an_answer(before: str, after: str, same: bool) -> None:
    changed = SENTIMENT.replace(before, after, 1)
    assert changed != SENTIMENT
    assert (parse_config(changed).fingerprint == parse_config(SENTIMENT).fingerprint) is same


def test_the_servers_own_check_is_asked() -> None:
    config = parse_config(SENTIMENT)
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["positive"]}}
    assert config.validate([region], 0.5) == []
    assert config.validate([], None) == []
    assert config.validate([{**region, "value": {"choices": ["joy"]}}], 0.5)
    assert config.validate([{**region, "to_name": "nope"}], 0.5)
    assert config.validate([region], 1.5)


def test_a_config_of_which_nothing_can_be_answered_is_not_an_error() -> None:
    config = parse_config(ALL_REFUSED)
    assert config.controls == ()
    assert len(config.refusals) == 1
    assert config.variables == ()


def test_two_objects_are_shown_under_their_names() -> None:
    shown = parse_config(TWO_OBJECTS).show({"question": "Q", "reply": "R"})
    assert {name: s.text for name, s in shown.items()} == {"question": "Q", "reply": "R"}


_ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            *("name", "toName", "value", "alias", "hint", "choice", "required", "perRegion", "visibleWhen"),
            *("maxRating", "min", "max", "step", "maxUsages", "leafsOnly", "valueType", "apiUrl", "placeholder"),
        ]
    ),
    st.sampled_from(
        ["t", "c", "t,c", "$text", "$", "", "true", "5", "-1", "²", "1e999", "nan", "a > b", "multiple", " "]
    ),
)
_TAGS = st.sampled_from(
    [
        *SUPPORTED,
        "Text",
        "HyperText",
        "Image",
        "Choice",
        "Label",
        "Header",
        "View",
        "Filter",
        "Bucket",
        "List",
        "Audio",
        "Style",
    ]
)


@st.composite
def _elements(draw: st.DrawFn, depth: int = 3) -> str:
    tag, attributes = draw(_TAGS), draw(_ATTRIBUTES)
    children = draw(st.lists(_elements(depth=depth - 1), max_size=3)) if depth else []
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(children)}</{tag}>"


@given(st.lists(_elements(), max_size=4))
def test_any_tree_of_tags_is_read_or_refused(elements: list[str]) -> None:
    try:
        config = parse_config(view(TEXT, *elements))
    except ConfigError:
        return
    assert config.controls or config.refusals


@given(st.text(st.characters(exclude_categories=())))
def test_any_other_text_is_a_config_error(xml: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(xml)


@pytest.mark.parametrize(
    "control",
    [
        '<Choices name="r" toName="{}"><Choice value="a"/></Choices>',
        '<Labels name="r" toName="{}"><Label value="a"/></Labels>',
        '<Taxonomy name="r" toName="{}"><Choice value="a"/></Taxonomy>',
        '<Rating name="r" toName="{}"/>',
        '<Number name="r" toName="{}"/>',
        '<DateTime name="r" toName="{}"/>',
        '<TextArea name="r" toName="{}"/>',
        '<Pairwise name="r" toName="{}"/>',
    ],
)
def test_spaces_after_a_comma_in_to_name_mean_nothing(control: str) -> None:
    two = view('<Text name="a" value="$a"/><Text name="b" value="$b"/>', control.format("a, b"))
    config = parse_config(two)
    assert config.refusals == ()
    assert config.controls[0].to_name == ("a", "b")
    assert config.controls == parse_config(two.replace("a, b", "a,b")).controls


def test_a_space_that_label_studio_stumbles_over_is_refused_by_name() -> None:
    config = parse_config(view(TEXT, '<Rating name="r" toName="t "/>'))
    assert [str(r) for r in config.refusals] == [
        'Rating "r" has a space beside the first name of its toName: Label Studio\'s own check refuses its answers'
    ]


@pytest.mark.parametrize(
    ("control", "another"),
    [
        ('<BrushLabels name="r" toName="t"/>', True),
        ('<HtmlEditor name="r" toName="t"/>', True),
        ('<Ranker name="r" toName="t"/>', True),
        ('<HyperTextLabels name="r" toName="t"><Label value="a"/></HyperTextLabels>', True),
        ('<Rating name="r" toName="m"/>', True),
        ('<Pairwise name="r" toName="t"/>', False),
        ('<Choices name="not supported" toName="not supported"/>', False),
        ('<Number name="r" toName="t" min="a"/>', False),
    ],
)
def test_it_is_known_whether_another_tag_would_do(control: str, another: bool) -> None:
    refusal = parse_config(view(TEXT, '<Magic name="m" value="$m"/>', control)).refusals[0]
    assert refusal.another_tag is another
