"""Bytes become images as annotators see them, or a phrase."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.adapters.pictures import Unusable, picture_of
from backend.core.values import Picture
from tests.fakes.pictures import drawn, opened, seen_on

LIMITS = {"max_side": 400, "max_pixels": 4_000_000}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'


def read(content: bytes, **limits: int) -> Picture:
    return picture_of(content, **{**LIMITS, **limits})


def refusal(content: bytes, **limits: int) -> str:
    with pytest.raises(Unusable) as caught:
        read(content, **limits)
    return str(caught.value)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_every_form_that_browsers_show(form: str) -> None:
    picture = read(drawn((200, 100), (20, 20, 80, 60), form=form))
    assert (picture.width, picture.height) == (200, 100)
    colour, box = seen_on(picture.data_uri)
    assert colour == "red"
    assert box == pytest.approx((10, 20, 30, 40), abs=1)


@pytest.mark.parametrize(
    ("mode", "form", "mime"),
    [
        ("RGB", "PNG", "image/jpeg"),
        ("L", "PNG", "image/jpeg"),
        ("P", "PNG", "image/png"),
        ("1", "PNG", "image/png"),
        ("RGBA", "PNG", "image/png"),
        ("LA", "PNG", "image/png"),
        ("CMYK", "JPEG", "image/jpeg"),
        ("I;16", "PNG", "image/jpeg"),
    ],
)
def test_every_colour_mode(mode: str, form: str, mime: str) -> None:
    through = drawn(mode="L" if mode == "I;16" else mode, form=form)
    if mode == "I;16":  # 16 bits a pixel, the lower ones empty
        grey = Image.open(io.BytesIO(through)).convert("I").point(lambda value: value * 257)
        out = io.BytesIO()
        grey.convert("I;16").save(out, "PNG")
        through = out.getvalue()
    picture = read(through)
    assert picture.data_uri.startswith(f"data:{mime};base64,")
    assert seen_on(picture.data_uri)[1] == pytest.approx((10, 20, 30, 40), abs=1)


def test_what_shines_through_stands_on_white() -> None:
    image = Image.new("RGBA", (1000, 600), (0, 0, 0, 0))
    image.paste((220, 30, 30, 255), (100, 60, 500, 300))
    out = io.BytesIO()
    image.save(out, "PNG")
    picture = read(out.getvalue(), max_side=900)
    assert picture.data_uri.startswith("data:image/jpeg")
    assert opened(picture.data_uri).getpixel((2, 2)) == (255, 255, 255)
    assert seen_on(picture.data_uri)[1] == pytest.approx((10, 10, 40, 40), abs=1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_what_a_turned_camera_took_is_upright_as_in_a_browser(form: str, orientation: int) -> None:
    picture = read(drawn((200, 100), (20, 20, 80, 60), form=form, orientation=orientation))
    assert (picture.width, picture.height) == (200, 100)
    assert opened(picture.data_uri).size == (200, 100)
    assert seen_on(picture.data_uri)[1] == pytest.approx((10, 20, 30, 40), abs=1.5)


def test_a_large_image_is_scaled_down_and_its_own_size_told() -> None:
    picture = read(drawn((1600, 800), (160, 160, 640, 480), form="JPEG"))
    assert (picture.width, picture.height) == (1600, 800)
    assert opened(picture.data_uri).size == (400, 200)
    assert seen_on(picture.data_uri)[1] == pytest.approx((10, 20, 30, 40), abs=1)


def test_a_small_image_is_not_blown_up() -> None:
    assert opened(read(drawn((8, 8), None)).data_uri).size == (8, 8)


def test_only_the_first_frame_of_a_moving_image() -> None:
    frames = [Image.open(io.BytesIO(drawn(colour=colour))) for colour in ("blue", "green")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert seen_on(read(out.getvalue()).data_uri)[0] == "blue"


def test_where_a_photo_was_taken_is_not_sent_along() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret-place"
    picture = read(drawn(form="JPEG", exif=exif.tobytes(), comment=b"secret-place"))
    image = opened(picture.data_uri)
    assert not image.getexif()
    assert "comment" not in image.info


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"hello",
        SVG,
        b"<html><body>Log in</body></html>",
        b"%PDF-1.7\n%\xe2",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
    ],
)
def test_what_is_no_image_is_told(content: bytes) -> None:
    assert refusal(content) in ("it is no JPEG, PNG, GIF, WebP or BMP image", "it is a damaged image")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_truncated_image_is_told(form: str) -> None:
    content = drawn((300, 300), form=form)
    for part in (0.1, 0.5, 0.9):
        assert refusal(content[: int(len(content) * part)]).startswith("it is ")


def bomb(width: int, height: int) -> bytes:
    """A PNG that says to be that large, and is a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(3000, 3000), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    assert "pixels" in refusal(bomb(*size))


def test_a_bomb_in_the_notes_of_an_image() -> None:
    note = b"Comment\0\0" + zlib.compress(b"\0" * 80_000_000, 9)
    chunk = struct.pack(">I", len(note)) + b"zTXt" + note + struct.pack(">I", zlib.crc32(b"zTXt" + note))
    content = drawn()
    assert refusal(content[:33] + chunk + content[33:]) == "it is a damaged image"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's word on the way to a picture
@settings(max_examples=300)
@given(st.data())
def test_broken_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP"]))
    content = bytearray(drawn((40, 30), form=form, **({"orientation": 6} if form == "JPEG" else {})))
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = read(bytes(content[: data.draw(st.integers(1, len(content)))]))
    except Unusable:
        return
    assert picture.data_uri.startswith("data:image/")


def test_real_images_keep_their_sizes(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "images" / "labels.jsonl").read_text().splitlines()]
    assert len(rows) >= 30
    for row in rows:
        picture = read((shared_data / "images" / row["image"]).read_bytes(), max_side=128)
        assert (picture.width, picture.height) == (row["width"], row["height"])
        assert max(opened(picture.data_uri).size) == 128
