"""Drawn images: one box of a colour on a plain ground; and what is seen on such an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageChops, ImageDraw

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (240, 220, 40),
    "purple": (128, 0, 128),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
_DIFFERENT = 60  # of 255: what a JPEG's artefacts stay below
_ORIENTATION = 0x0112
_UNDO = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def drawn(
    size: tuple[int, int] = (200, 100),
    box: Sequence[int] | None = (20, 20, 80, 60),
    *,
    colour: str = "red",
    ground: str = "white",
    form: str = "PNG",
    mode: str = "RGB",
    orientation: int | None = None,
    **options: Any,
) -> bytes:
    """An image file with a box (left, top, right, bottom in pixels, as a person sees it).

    With an EXIF `orientation` the pixels are stored turned, as a camera held sideways does.
    """
    image = Image.new("RGB", size, COLOURS[ground])
    if box is not None:
        ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=COLOURS[colour])
    if orientation is not None:
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        options["exif"] = exif.tobytes()
        image = image.transpose(_UNDO[orientation]) if orientation in _UNDO else image
    out = io.BytesIO()
    (image.convert(mode) if mode != "RGB" else image).save(out, form, **options)
    return out.getvalue()


def data_uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def opened(uri: str) -> Image.Image:
    """The image of a base64 data URI, decoded."""
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    image.load()
    return image


def seen_on(uri: str) -> tuple[str, tuple[float, float, float, float]]:
    """The colour of the one box and where it is: x, y, width, height in per cent; without a box, the ground."""
    image = opened(uri).convert("RGB")
    ground = image.getpixel((0, 0))
    assert isinstance(ground, tuple)
    difference = ImageChops.difference(image, Image.new("RGB", image.size, ground))
    mask = difference.convert("L").point(lambda value: 255 if value > _DIFFERENT else 0)
    box = mask.getbbox()
    if box is None:
        return _name(ground), (0.0, 0.0, 100.0, 100.0)
    inside = image.getpixel(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2))
    assert isinstance(inside, tuple)
    width, height = image.size
    x, y = 100 * box[0] / width, 100 * box[1] / height
    return _name(inside), (x, y, 100 * box[2] / width - x, 100 * box[3] / height - y)


def _name(pixel: Sequence[int]) -> str:
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], pixel, strict=True)))
