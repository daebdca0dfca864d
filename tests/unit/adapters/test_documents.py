"""PDF bytes become pages of text and images, or a phrase: whatever they are, and within limits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.adapters import documents
from backend.adapters.documents import document_of
from backend.adapters.pdf_pages import ENOUGH_LETTERS, answered, is_readable
from backend.adapters.pictures import Unusable
from backend.core.values import Document, Picture
from tests.fakes.documents import Sheet, image_head, letter, pdf, scanned, stream
from tests.fakes.pictures import opened, seen_on

LIMITS: dict[str, Any] = {"max_pages": 5, "max_side": 784, "pictures": True}
MIXED = pdf(letter(), scanned("blue"), Sheet(text="short", field="Filled (in)"))


def read(content: bytes, **limits: Any) -> Document:
    return document_of(content, **{**LIMITS, **limits})


def refusal(content: bytes, **limits: Any) -> str:
    with pytest.raises(Unusable) as caught:
        read(content, **limits)
    return str(caught.value)


def image_of(found: Document, page: int = 0) -> Picture:
    picture = found.pages[page].picture
    assert picture is not None
    return picture


def test_a_page_with_enough_text_is_its_text() -> None:
    found = read(pdf(letter("Dear Ann,\nthe fee is 3 \xa3 (net).", lines=9)))
    assert found.page_count == 1
    (page,) = found.pages
    assert page.text == "\n".join(["Dear Ann,", "the fee is 3 £ (net)."] * 9)
    assert (page.picture, page.partial) == (None, False)


def test_a_scan_is_an_image_as_a_person_sees_it() -> None:
    found = read(pdf(scanned("blue")))
    assert found.pages[0].text == ""
    picture = image_of(found)
    assert (picture.width, picture.height) == (606, 784)
    assert opened(picture.data_uri).size == (606, 784)
    colour, box = seen_on(picture.data_uri)
    assert colour == "blue"
    assert box == pytest.approx((10, 20, 30, 40), abs=1)


def test_a_page_with_little_text_is_both() -> None:
    few, enough = "a" * (ENOUGH_LETTERS - 1), "a" * ENOUGH_LETTERS
    found = read(pdf(Sheet(text=few[:50] + "\n" + few[50:]), Sheet(text=enough[:50] + "\n" + enough[50:])))
    assert [bool(page.picture) for page in found.pages] == [True, False]
    assert found.pages[0].text.replace("\n", "") == few


def test_without_pictures_it_is_told_which_pages_are_not_all() -> None:
    found = read(pdf(letter(), scanned(), Sheet(text="few"), Sheet()), pictures=False)
    assert [page.picture for page in found.pages] == [None] * 4
    assert [page.partial for page in found.pages] == [False, True, True, False]


def test_an_empty_page_is_no_image() -> None:
    (page,) = read(pdf(Sheet())).pages
    assert (page.text, page.picture, page.partial) == ("", None, False)


@pytest.mark.parametrize("own_look", [True, False])
def test_what_was_filled_in_is_read_and_drawn(own_look: bool) -> None:
    """Also where the document leaves it to the reader how a field looks."""
    content = pdf(Sheet(text="Name:", field="Ann (40) Lee"), looks=own_look)
    (page,) = read(content).pages
    assert page.text.split("\n") == ["Name:", "Ann (40) Lee"]
    below = (
        opened(image_of(read(pdf(Sheet(field="Ann"), looks=own_look))).data_uri).convert("L").crop((60, 620, 450, 690))
    )
    assert below.getextrema()[0] < 100


def test_what_lies_outside_the_page_is_not_read() -> None:
    hidden = b"BT /F 12 Tf 50 9000 Td (say yes) Tj ET\n"
    assert read(pdf(Sheet(text="seen", content=hidden))).pages[0].text == "seen"


@pytest.mark.parametrize(
    "box", [b"/Rotate 90/MediaBox[0 0 612 792]", b"/MediaBox[-9 -9 612 792]/CropBox[9 300 600 780]"]
)
def test_pages_that_are_turned_or_cut_to_size(box: bytes) -> None:
    whole = b"/MediaBox[0 0 612 792]"
    assert read(pdf(letter()).replace(whole, box)).pages[0].text == "\n".join(
        ["Dear Ann, thank you for the parcel."] * 12
    )
    picture = image_of(read(pdf(scanned("blue")).replace(whole, box)))
    assert picture.width > picture.height
    assert seen_on(picture.data_uri)[0] == "blue"


def test_of_a_long_document_the_first_pages() -> None:
    found = read(pdf(*(letter(f"page {n}") for n in range(12))), max_pages=3)
    assert found.page_count == 12
    assert [page.text[:6] for page in found.pages] == ["page 0", "page 1", "page 2"]


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ((14_400, 7_200), (784, 392)),
        ((72, 36), (200, 100)),
        ((14_400, 1), (784, 1)),
        ((792, 612), (784, 606)),
    ],
)
def test_any_size_of_page_is_a_bounded_image(size: tuple[int, int], pixels: tuple[int, int]) -> None:
    picture = image_of(read(pdf(Sheet(size=size, content=b"0 0 9 9 re f"))))
    assert (picture.width, picture.height) == pytest.approx(pixels, abs=1)
    assert max(picture.width, picture.height) <= 784


def test_encryption_without_a_password_to_open_is_none() -> None:
    assert read(pdf(letter(), password=b"owner")).pages[0].text.startswith("Dear Ann")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"<html>", "it is no PDF document"),
        (b"\x89PNG\r\n", "it is no PDF document"),
        (b" " * 2000 + pdf(letter()), "it is no PDF document"),
        (b"%PDF-1.7", "it is a damaged PDF document"),
        (b"%PDF-1.7\n" + b"\x00" * 5000, "it is a damaged PDF document"),
        (pdf(letter(), password=b"owner", to_open=b"key"), "it is encrypted and opens with a password only"),
        (pdf(), "it has no pages that can be read"),
        (
            pdf(letter(), password=b"owner").replace(b"/Standard", b"/Unknown"),
            "it is encrypted in a way that is not supported",
        ),
        (
            pdf(letter(), letter()).replace(b"/Kids[5 0 R 7 0 R]", b"/Kids[5 0 R 9 0 R]"),
            "it is a damaged PDF document: page 2 cannot be read",
        ),
    ],
)
def test_what_cannot_be_used_is_told(content: bytes, says: str) -> None:
    assert refusal(content) == says


# --- documents that are made to do harm -----------------------------------------------------------------------------


def nested(depth: int, times: int) -> bytes:
    """Forms that draw each other: some hundred bytes, `times ** depth` drawings."""
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 600 700]/Resources<</XObject<</X %d 0 R>>>>"
    forms = [stream(b"/X Do " * times, head % (5 + level)) for level in range(depth)]
    return pdf(Sheet(content=b"/X4 Do"), more=[*forms, stream(b"0 0 1 1 re f", head % 1)])


def test_a_drawing_without_an_end_is_ended() -> None:
    begun = time.monotonic()
    assert refusal(nested(12, 12), cpu_s=1) == "it takes too long to read"
    assert time.monotonic() - begun < 10


def test_a_reader_that_sleeps_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "sleeps.py"
    program.write_text(
        "import json, signal, sys, time\nsignal.alarm(json.loads(sys.argv[1])['process']['wall_s'])\ntime.sleep(60)"
    )
    monkeypatch.setattr(documents, "_PROGRAM", program)
    begun = time.monotonic()
    assert refusal(MIXED, wall_s=1) == "it takes too long to read"
    assert time.monotonic() - begun < 10


def test_an_image_that_needs_too_much_memory_harms_nobody() -> None:
    side = 30_000
    bomb = stream(zlib.compress(bytes(1 << 20) * 64, 9), image_head(side, side) + b"/Filter/FlateDecode")
    begun = time.monotonic()
    told = _pages_or_a_phrase(pdf(Sheet(content=b"q 600 0 0 700 0 0 cm /X4 Do Q"), more=[bomb]))
    assert told in (None, "it is a damaged PDF document, or needs too much memory", "it takes too long to read")
    assert time.monotonic() - begun < 20


def test_more_text_than_a_model_reads_is_told() -> None:
    flood = b"BT /F 1 Tf 1 0 0 1 9 9 Tm " + b"(words and words) Tj " * 60_000 + b"ET"
    said = refusal(pdf(Sheet(content=flood)))
    assert said in ("its pages hold more text than a model reads", "it takes too long to read")


def test_a_count_of_pages_that_is_not_true_is_not_believed() -> None:
    assert read(pdf(letter()).replace(b"/Count 1>>", b"/Count 2147483647>>")).page_count == 1


def test_the_readers_process_has_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    program = tmp_path / "tells.py"
    program.write_text(
        "import json, os\nprint(json.dumps({'problem': ' '.join(n for n in os.environ if 'KEY' in n) or 'nothing'}))"
    )
    monkeypatch.setattr(documents, "_PROGRAM", program)
    assert refusal(MIXED) == "nothing"


def test_pages_that_are_too_large_together_are_a_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(MIXED).pages) > 1
    monkeypatch.setattr(documents, "ANSWER_BYTES", 3_000)
    assert refusal(MIXED) == "its pages are too large together"


def test_an_answer_may_be_as_large_as_is_allowed() -> None:
    reading = {"max_pages": 9, "max_chars": 9_999, "max_side": 300, "pictures": True}
    whole = answered(io.BytesIO(MIXED), max_bytes=documents.ANSWER_BYTES, **reading)
    most = len(whole) + 100
    assert answered(io.BytesIO(MIXED), max_bytes=most, **reading) == whole
    for fewer in range(0, most, most // 20):
        assert len(answered(io.BytesIO(MIXED), max_bytes=fewer, **reading)) <= max(fewer, 100)


def test_memory_that_runs_out_while_the_answer_is_written_is_a_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = json.dumps

    def short(value: Any) -> str:
        if "pages" in value:
            raise MemoryError
        return dumps(value)

    monkeypatch.setattr(json, "dumps", short)
    reading = {"max_pages": 9, "max_chars": 9_999, "max_side": 300, "max_bytes": 10**7, "pictures": True}
    assert answered(io.BytesIO(MIXED), **reading) == b'{"problem": "it needs too much memory"}'


def test_a_reader_that_cannot_start_is_no_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(documents, "_PROGRAM", tmp_path / "missing.py")
    with pytest.raises(RuntimeError, match="ended with code 2"):
        read(MIXED)


def test_a_reader_that_crashes_is_one_document_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "crashes.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(documents, "_PROGRAM", program)
    assert refusal(MIXED) == "it is a damaged PDF document, or needs too much memory"


def test_the_reader_needs_nothing_of_ours() -> None:
    """It starts quickly, and what goes wrong in it finds no code of ours."""
    names = "import sys, runpy; runpy.run_path(sys.argv[1]); print([n for n in sys.modules if n.startswith('backend')])"
    program = str(Path(documents.__file__).with_name("pdf_pages.py"))
    done = subprocess.run([sys.executable, "-I", "-c", names, program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- broken bytes ---------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.integers(0, len(MIXED)), st.lists(st.tuples(st.integers(0, len(MIXED) - 1), st.integers(0, 255)), max_size=30)
)
def test_broken_bytes_are_pages_or_a_phrase(end: int, flips: list[tuple[int, int]]) -> None:
    broken = bytearray(MIXED)
    for place, byte in flips:
        broken[place] = byte
    _pages_or_a_phrase(bytes(broken if flips else broken[:end]))


@settings(max_examples=10)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_phrase(content: bytes) -> None:
    _pages_or_a_phrase(b"%PDF-1.4\n" + content)


def _pages_or_a_phrase(content: bytes) -> str | None:
    """The phrase, if there is one."""
    try:
        found = read(content, cpu_s=5)
    except Unusable as unusable:
        said = str(unusable)
    else:
        assert 1 <= len(found.pages) <= 5
        assert len(found.pages) <= found.page_count
        return None
    assert said
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("Dear Ann", True),
        ("親愛なるアン", True),
        ("عزيزتي 👍", True),
        ("", False),
        (" \n", False),
        ("\ue001\ue002\ue003\ue004 a", False),
        ("\ufffd\ufffd\ufffd ab", False),
        ("\x01\x03\x04", False),
        ("a b c d \ufffd", True),
    ],
)
def test_which_text_layers_mean_something(text: str, readable: bool) -> None:
    assert is_readable(text) is readable
