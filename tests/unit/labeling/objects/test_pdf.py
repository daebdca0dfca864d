"""PDF documents: pages by text and by image, in one numbering with other images, and why there is nothing to show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import Document, DocumentPage, Media, Picture
from backend.dialogue import annotate
from backend.labeling.parsing import parse_config
from backend.prompting.render import render_messages
from tests.samples import TEMPLATE, question, reply, task

CHOICES = '<Choices name="c" toName="f"><Choice value="letter"/><Choice value="invoice"/></Choices>'
ONE = f'<View><Pdf name="f" value="$pdf"/>{CHOICES}</View>'
BESIDE = (
    f'<View><Image name="a" value="$a"/><Pdf name="f" value="$pdf"/><Image name="b" value="$b"/>{CHOICES}'
    '<RectangleLabels name="r" toName="b"><Label value="stamp"/></RectangleLabels></View>'
)
TEXT, SCAN = DocumentPage(text="Dear Ann,\nhello."), DocumentPage(text="", partial=True)
BLANK = DocumentPage(text="")


def picture(name: str = "page") -> Picture:
    return Picture(data_uri=f"data:image/jpeg;base64,{name}", width=1212, height=1568)


def drawn(text: str = "", name: str = "page") -> DocumentPage:
    return DocumentPage(text=text, picture=picture(name))


def document(*pages: DocumentPage, count: int | None = None) -> Media:
    return {"u": Document(pages=pages, page_count=count or len(pages))}


def test_pages_are_numbered_and_shown_by_text_or_image() -> None:
    config = parse_config(ONE)
    assert config.media_sources({"pdf": "u"}) == ()
    assert config.document_sources({"pdf": " u "}) == ("u",)
    media = document(TEXT, drawn(name="one"), drawn("DRAFT", "two"), BLANK)
    shown = config.show({"pdf": "u"}, media)
    assert shown["f"].text == (
        "Page 1:\nDear Ann,\nhello.\n\nPage 2 (Image 1)\n\nPage 3 (Image 2):\nDRAFT\n\nPage 4:\n(empty)"
    )
    assert (shown["f"].problem, shown["f"].notes, shown["f"].passages) == (None, (), None)
    user = render_messages(TEMPLATE, config, shown, "")[-1]
    assert user.images == (picture("one").data_uri, picture("two").data_uri)
    assert 'Data "f":\n~~~\nPage 1:\nDear Ann,' in user.content
    assert "base64" not in user.content


def test_its_images_are_numbered_among_those_of_other_objects() -> None:
    config = parse_config(BESIDE)
    data = {"a": "x", "pdf": "u", "b": "y"}
    media = {**document(drawn(), TEXT, drawn()), "x": picture("x"), "y": picture("y")}
    shown = config.show(data, media)
    assert [image.number for s in shown.values() for image in s.images] == [1, 2, 3, 4]
    assert shown["a"].text == "Image 1"
    assert "Page 1 (Image 2)" in shown["f"].text
    assert "Page 3 (Image 3)" in shown["f"].text
    assert shown["b"].text == "Image 4"


def test_what_is_not_shown_is_told_to_the_model_and_in_the_record() -> None:
    dialogue = annotate(question(ONE), task(pdf="u"), document(TEXT, SCAN, SCAN, count=57))
    content = next(dialogue).messages[-1].content
    assert "Page 2:\n(an image that is not shown)" in content
    assert "(The document has 57 pages; the first 3 are given.)" in content
    with pytest.raises(StopIteration) as stop:
        dialogue.send(reply('{"c": "letter"}'))
    assert stop.value.value.notes == (
        "the data's 'pdf': shown without an image: page 2, 3",
        "the data's 'pdf': of its 57 pages the first 3 are shown",
    )


@pytest.mark.parametrize(
    ("data", "media", "says"),
    [
        ({}, {}, "the data's 'pdf' is not there"),
        ({"pdf": None}, {}, "is empty"),
        ({"pdf": ""}, {}, "is empty"),
        ({"pdf": " "}, {}, "is not the address of a document"),
        ({"pdf": 7}, {}, "is not the address of a document"),
        ({"pdf": ["u"]}, {}, "is not the address of a document"),
        ({"pdf": {"url": "u"}}, {}, "is not the address of a document"),
        ({"pdf": "u"}, {}, "could not be loaded: it was not asked for"),
        ({"pdf": "u"}, {"u": "its server answers HTTP 404"}, "could not be loaded: its server answers HTTP 404"),
        ({"pdf": "u"}, {"u": picture()}, "could not be loaded: it is an image"),
        ({"pdf": "u"}, document(SCAN, BLANK), "holds no text, and the model takes no images"),
        ({"pdf": "u"}, document(BLANK, BLANK), "has empty pages only"),
    ],
)
def test_odd_data_is_a_problem_and_its_controls_are_not_asked(data: dict[str, Any], media: Media, says: str) -> None:
    config = parse_config(ONE)
    shown = config.show(data, media)
    assert says in str(shown["f"].problem)
    assert shown["f"].images == ()
    assert set(config.unanswerable(shown)) == {"c"}


def test_a_document_where_an_image_is_wanted_is_told() -> None:
    config = parse_config('<View><Image name="i" value="$pdf"/><Rating name="r" toName="i"/></View>')
    shown = config.show({"pdf": "u"}, document(TEXT))
    assert shown["i"].problem == "the data's 'pdf' could not be loaded: it is a PDF document"


def test_a_document_is_not_only_an_image() -> None:
    assert not parse_config(ONE).only_about_images


@pytest.mark.parametrize("control", ["Labels", "RectangleLabels", "Rectangle", "HyperTextLabels"])
def test_regions_on_pages_are_refused_by_name(control: str) -> None:
    config = parse_config(
        f'<View><Pdf name="f" value="$pdf"/><{control} name="r" toName="f"><Label value="x"/></{control}></View>'
    )
    assert [str(refusal) for refusal in config.refusals] == [f'{control} "r" on Pdf "f" is not supported yet']


@given(st.lists(st.tuples(st.text(), st.booleans(), st.booleans()), max_size=5), st.integers(1, 30))
def test_any_pages_are_shown_or_a_problem(pages: list[tuple[str, bool, bool]], first: int) -> None:
    given_pages = tuple(
        DocumentPage(text=text, picture=picture() if image else None, partial=partial) for text, image, partial in pages
    )
    (pdf,) = parse_config(ONE).objects
    shown = pdf.show_loaded({"pdf": "u"}, document(*given_pages), first)
    assert bool(shown.text) is (shown.problem is None)
    if shown.problem is None:
        assert [image.number for image in shown.images] == [first + n for n in range(sum(p[1] for p in pages))]
        assert "\x00" not in shown.text
        shown.text.encode()
