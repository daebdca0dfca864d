"""Slicing Label Studio's own units at the positions that are found gives the quoted text back."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from justhtml import JustHTML

from backend.labeling.objects.hypertext import HyperText
from backend.labeling.objects.page import MAX_DEPTH
from backend.labeling.objects.paragraphs import Paragraphs
from backend.labeling.objects.sanitised import sanitised
from backend.labeling.objects.text import Text
from backend.labeling.shown import Position, Shown
from backend.labeling.spans import find_quotes

# Letters of two units, marks, joiners, letters that change their length when folded, kinds of space and line end.
_LETTERS = "aA bß İıŁ é\u0301 👨\u200d👩\u200d👧 👍🏽 🇮🇳 𝒜 हिन्दी \u00a0\u2028\r\n\t\u3000 <&>\"' ﬁ Ⅸ 가각 \ufeff"
TEXTS = st.text(st.sampled_from(_LETTERS), max_size=25) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
WORDS = TEXTS.filter(lambda text: "\r" not in text)


def units(text: str, begin: int, end: int) -> str:
    """A slice in UTF-16 units, as JavaScript makes it."""
    return text.encode("utf-16-le")[2 * begin : 2 * end].decode("utf-16-le")


def quoted(data: st.DataObject, shown: Shown) -> tuple[str, Position | None]:
    """A passage between two words of the searched text, and the position found for it."""
    assert shown.passages is not None
    text = shown.passages.text
    begin, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    assume(text[begin:end].strip())
    (place,) = find_quotes(text, [text[begin:end]])
    assume(place is not None)
    assert place is not None
    return text[place[0] : place[1]], shown.passages.place(*place)


@given(TEXTS, st.data())
def test_text_counts_code_points(text: str, data: st.DataObject) -> None:
    shown = Text(name="t", variable="t").show({"t": text})
    assume(shown.problem is None)
    quote, position = quoted(data, shown)
    assert position is not None
    assert isinstance(position.start, int)
    assert isinstance(position.end, int)
    assert text[position.start : position.end] == quote
    assert set(position.keys()) == {"start", "end"}


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_paragraphs_count_utf_16_units_of_their_turn(texts: list[str], data: st.DataObject) -> None:
    turns = [{"author": "Ann", "text": text} for text in texts]
    shown = Paragraphs(name="p", variable="p").show({"p": turns})
    assume(shown.problem is None)
    quote, position = quoted(data, shown)
    if position is None:
        assert "\uffff" in quote
        return
    assert position.start == position.end
    assert position.start_offset is not None
    assert position.end_offset is not None
    assert units(texts[int(position.start)], position.start_offset, position.end_offset) == quote
    assert set(position.keys()) == {"start", "end", "startOffset", "endOffset"}


def text_nodes(html: str) -> Mapping[str, str]:
    """xpath -> text, in document order, by a plain walk over the parser's tree."""
    found: dict[str, str] = {}

    def walk(node: object, path: str) -> None:
        counts: dict[str, int] = {}
        for child in getattr(node, "children", None) or ():
            name = "text()" if child.name == "#text" else child.name
            counts[name] = counts.get(name, 0) + 1
            here = f"{path}/{name}[{counts[name]}]"
            if child.name == "#text":
                found[here] = child.data
            else:
                walk(child, here)

    document = JustHTML(sanitised(html), sanitize=False, iframe_srcdoc=True).root
    walk(next(c for c in document.children[0].children or () if c.name == "body"), "")
    return found


_PAGES = st.lists(
    WORDS.map(escape)
    | st.sampled_from(
        ["<p>", "</p>", "<b>", "</b>", "<br>", "<td>", "<table>", "<!-- x -->", "<pre>", "&#x1F600;", "\n "]
    )
    | st.sampled_from(
        ["<script>no</script>", "<style>p{}</style>", "</table>", "<li>", "<tr>", "&nbsp;", "</pre>", "<i>"]
    ),
    max_size=14,
).map("".join)


@given(_PAGES, st.data())
def test_pages_count_utf_16_units_of_text_nodes(html: str, data: st.DataObject) -> None:
    shown = HyperText(name="h", variable="h").show({"h": html})
    assume(shown.problem is None)
    quote, position = quoted(data, shown)
    assert position is not None
    nodes = text_nodes(html)
    paths = list(nodes)
    assert position.start_offset is not None
    assert position.end_offset is not None
    first, last = paths.index(str(position.start)), paths.index(str(position.end))
    if first == last:
        found = units(nodes[paths[first]], position.start_offset, position.end_offset)
    else:
        parts = [nodes[path] for path in paths[first : last + 1]]
        whole = len(parts[0].encode("utf-16-le")) // 2
        found = "".join(
            [units(parts[0], position.start_offset, whole), *parts[1:-1], units(parts[-1], 0, position.end_offset)]
        )
    if "<s" not in html:  # what is unseen in between is in the region, and not in the quote
        assert "".join(found.split()) == "".join(quote.split())
    assert found[0] == quote[0]
    assert found[-1] == quote[-1]


def test_a_passage_over_two_turns_has_no_position() -> None:
    shown = Paragraphs(name="p", variable="p").show({"p": [{"text": "one"}, {"text": "two"}]})
    assert shown.passages is not None
    assert shown.passages.place(0, len(shown.passages.text)) is None
    assert find_quotes(shown.passages.text, ["one two"]) == [None]


def test_a_speakers_name_before_a_quote_is_no_part_of_it() -> None:
    turns = [{"author": "Ann", "text": "Bob: was here"}, {"author": "Bob", "text": "Hi"}]
    passages = Paragraphs(name="p", variable="p").show({"p": turns}).passages
    assert passages is not None
    assert passages.without_name("Bob: Hi").strip() == "Hi"
    assert passages.without_name("Bob: was here") == "Bob: was here"
    assert passages.without_name("Carl: Hi") == "Carl: Hi"


@pytest.mark.parametrize(
    ("html", "quote", "keys"),
    [
        (
            "<p>One</p><p>😀 Two <b>thr</b>ee</p>",
            "Two three",
            {
                **{"start": "/p[2]/text()[1]", "startOffset": 3, "end": "/p[2]/text()[2]", "endOffset": 2},
                "globalOffsets": {"start": 5, "end": 14},
            },
        ),
        (
            "a<!-- no -->b<br>c",
            "c",
            {
                **{"start": "/text()[2]", "startOffset": 0, "end": "/text()[2]", "endOffset": 1},
                "globalOffsets": {"start": 3, "end": 4},
            },
        ),
        (
            "<table><tr><td>x<table><td>y",
            "y",
            {
                "start": "/table[1]/tbody[1]/tr[1]/td[1]/table[1]/tbody[1]/tr[1]/td[1]/text()[1]",
                "startOffset": 0,
                "end": "/table[1]/tbody[1]/tr[1]/td[1]/table[1]/tbody[1]/tr[1]/td[1]/text()[1]",
                "endOffset": 1,
                "globalOffsets": {"start": 1, "end": 2},
            },
        ),
    ],
)
def test_pages(html: str, quote: str, keys: dict[str, object]) -> None:
    passages = HyperText(name="h", variable="h").show({"h": html}).passages
    assert passages is not None
    (place,) = find_quotes(passages.text, [quote])
    assert place is not None
    position = passages.place(*place)
    assert position is not None
    assert position.keys() == keys


@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("a<!-- c -->b<?x?>c<![CDATA[d]]>e<!doctype html>", "abce"),
        ("a<script>x</script>b<iframe src='https://x.org'>y</iframe>c", "abc"),
        ("<iframe src='https://youtu.be/x'></iframe>", '<iframe src="https://youtu.be/x"></iframe>'),
        ("<iframe src='//[x'></iframe>", ""),
        ("<svg/><g/>a<p/>b", "<svg></svg><g></g>a<p></p>b"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<p>a<div>b</p>c", "<p>a</p><div>b<p></p>c</div>"),
        ("<li>a<li>b", "<li>a</li><li>b</li>"),
        ("<svg><g/>a</svg><b/>c", "<svg><g></g>a</svg><b>c</b>"),
        ("</>1 < 2 &amp; &lt;b>", "&lt;/&gt;1 &lt; 2 &amp; &lt;b&gt;"),
        ("</br></p></x><br>", "<br><p></p><br>"),
        ("<style>a > b</style>", "<style>a > b</style>"),
    ],
)
def test_what_the_editors_sanitiser_leaves(html: str, clean: str) -> None:
    assert sanitised(html) == clean


def test_a_page_deeper_than_a_browsers_tree_is_refused() -> None:
    page = HyperText(name="h", variable="h")
    assert page.show({"h": "<div>" * 400 + "x"}).text == "x"
    assert page.show({"h": "<div>" * 600 + "x"}).problem == f"the data's 'h' is HTML of more than {MAX_DEPTH} levels"
    assert page.show({"h": "x" * 500_001}).problem == "the data's 'h' is HTML of more than 500,000 characters"
