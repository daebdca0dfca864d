"""Does a model see images? It is shown a plain purple square once and asked for the colour.

A refusal tells it, and so does a wrong answer: some endpoints take an image and leave it out without a word.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib

from backend.core.values import Message, Reply, Request

_SIDE = 64  # some models refuse images of a few pixels
_COLOUR = (128, 0, 128)
_NAME, _OTHERS = "purple", ("red", "blue", "green", "yellow", "white", "black")
_ABOUT_IMAGES = re.compile(r"image|vision|visual|multimodal|mmproj|modalit", re.IGNORECASE)


def colour_question(model: str) -> Request:
    """What is asked. The colour is the last of the list: who guesses names the first."""
    colours = (*_OTHERS, _NAME)
    return Request(
        messages=(
            Message(
                role="user",
                content=f'Which colour is the image? Answer with the JSON object {{"colour": "..."}} and one of '
                f"{', '.join(colours)}.",
                images=(_square(),),
            ),
        ),
        schema={
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": list(colours)}},
            "required": ["colour"],
            "additionalProperties": False,
        },
        model=model,
        temperature=0.0,
        max_tokens=256,  # some models think aloud
        seed=0,
        logprobs=False,
    )


def saw_the_colour(reply: Reply) -> bool:
    """Whether the reply names it, and after it no other one."""
    named = re.findall("|".join((_NAME, *_OTHERS)), reply.text.lower())
    return bool(named) and named[-1] == _NAME


def is_about_images(message: str) -> bool:
    """Whether an endpoint's error is about the image and not about its own state."""
    return bool(_ABOUT_IMAGES.search(message))


def _square() -> str:
    """A PNG as a data URI."""
    row = b"\0" + bytes(_COLOUR) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(row * _SIDE)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()
