"""Bytes -> a `Picture`: what they are is found by decoding them, whatever was said of them on the way.

Everything that Pillow raises at broken or hostile bytes leaves here as `Unusable`.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib

from PIL import Image, ImageOps, UnidentifiedImageError

from backend.core.values import Picture

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
_QUALITY = 85
_SMALL = 512 * 512  # pixels up to which drawings and cut-outs stay PNG
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112
_WHITE = (255, 255, 255)
_FAULTS = (
    *(OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, AttributeError, EOFError),
    *(struct.error, zlib.error),
)


class Unusable(Exception):
    """A source or its bytes cannot be used; the message is a phrase."""


def picture_of(content: bytes, *, max_side: int, max_pixels: int) -> Picture:
    """The first frame, the right way up as browsers show it, no side longer than `max_side`, encoded anew."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _encoded(image, max_side, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"it has more than {max_pixels:,} pixels") from None
    except UnidentifiedImageError:
        raise Unusable("it is no JPEG, PNG, GIF, WebP or BMP image") from None
    except MemoryError:
        raise Unusable("it needs too much memory") from None
    except _FAULTS:
        raise Unusable("it is a damaged image") from None


def _encoded(image: Image.Image, max_side: int, max_pixels: int) -> Picture:
    width, height = image.size
    if width * height > max_pixels:
        raise Unusable(f"it has {width} x {height} pixels, more than {max_pixels:,}")
    kind = image.mode
    image.draft("RGB", (max_side, max_side))  # a JPEG is decoded at a fraction of its size
    orientation = _orientation(image)
    image.load()
    upright = _in_eight_bits(image if orientation == 1 else ImageOps.exif_transpose(image))
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if orientation in _TURNED:
        width, height = height, width
    drawn = kind in ("1", "P", "PA", "LA", "RGBA") or image.format in ("GIF", "BMP")
    if drawn and upright.width * upright.height <= _SMALL:
        return _picture(_bytes(upright, "PNG", optimize=True), "image/png", width, height)
    return _picture(_bytes(_on_white(upright), "JPEG", quality=_QUALITY), "image/jpeg", width, height)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _FAULTS:
        return 1


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where something shines through. Pillow's own conversion turns 16-bit greys white."""
    if image.mode.startswith("I"):
        return image.convert("F").point(lambda value: value * (1 / 257) + 0).convert("L").convert("RGB")
    see_through = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    return image.convert("RGBA" if see_through else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, _WHITE)
    white.paste(image, mask=image.getchannel("A"))
    return white


def _bytes(image: Image.Image, form: str, **options: object) -> bytes:
    """Without what cameras and programs wrote along: places, names, profiles."""
    clean = image.copy()
    clean.info = {}
    out = io.BytesIO()
    clean.save(out, form, **options)
    return out.getvalue()


def _picture(content: bytes, mime: str, width: int, height: int) -> Picture:
    return Picture(
        data_uri=f"data:{mime};base64,{base64.b64encode(content).decode()}",
        width=width,
        height=height,
    )
