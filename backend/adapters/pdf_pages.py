"""A PDF's pages: a program of its own, run as `python -I pdf_pages.py LIMITS < document > answer`.

PDFium is C++ that reads whatever a task points to, so that it works where a fault harms nothing: in a process without
our environment, with an end to its time, memory and output. What kills it is one document that cannot be read
(`backend.adapters.documents`). Only the standard library, pypdfium2 and Pillow are imported: it starts in 0.1 s.
"""

from __future__ import annotations

import base64
import ctypes
import io
import json
import resource
import signal
import sys
import unicodedata
from contextlib import suppress
from typing import Any, BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

ENOUGH_LETTERS = 100  # a page with fewer may be a scan with a stamp on it: its image is wanted too
_READABLE_SHARE = 0.8  # of a text layer's marks; fonts without a table of characters give private or unknown ones
_UNREADABLE = frozenset({"Cc", "Cn", "Co", "Cs"})
_HYPHENS = dict.fromkeys((0x02, 0xFFFE), "-")  # PDFium's signs for a word that goes on in the next line
_LARGEST_SCALE = 200 / 72  # pixels a point: 200 dots an inch are enough to read
_QUALITY = 85
_HEAD = 1024  # bytes in which readers look for the mark
_MARK = b"%PDF-"
_AROUND = 100  # bytes of an answer beside its pages
_NEEDS_PASSWORD, _SECURITY = 4, 5  # of FPDF_GetLastError


class Unreadable(Exception):
    """The document cannot be used; the message is a phrase."""


def read_pages(
    content: bytes, *, max_pages: int, max_chars: int, max_side: int, max_bytes: int, pictures: bool
) -> dict[str, Any]:
    """`{"count": pages of the document, "pages": the first of them}`, as JSON at most `max_bytes`. Raises `Unreadable`.

    A page is `{"text": ...}`; where that may not be all that it says also, with `pictures`, `jpeg` in base64, `width`
    and `height` in pixels, and without, `"partial": true`.
    """
    document = _opened(content)
    count = len(document)
    if not count:
        raise Unreadable("it has no pages that can be read")
    pages: list[dict[str, Any]] = []
    max_bytes -= _AROUND
    for index in range(min(count, max_pages)):
        try:
            pages.append(_page(document, index, max_chars, max_side, pictures))
        except pypdfium2.PdfiumError:
            raise Unreadable(f"it is a damaged PDF document: page {index + 1} cannot be read") from None
        max_chars -= len(pages[-1]["text"])
        max_bytes -= len(json.dumps(pages[-1])) + len(", ")
        if max_bytes < 0:
            raise Unreadable("its pages are too large together")
    return {"count": count, "pages": pages}


def is_readable(text: str) -> bool:
    """Whether the marks of a text layer are characters that mean something."""
    marks = [mark for mark in text if not mark.isspace()]
    good = sum(mark != "\ufffd" and unicodedata.category(mark) not in _UNREADABLE for mark in marks)
    return bool(marks) and good >= _READABLE_SHARE * len(marks)


def _opened(content: bytes) -> pypdfium2.PdfDocument:
    if not content:
        raise Unreadable("it is empty")
    if _MARK not in content[: _HEAD + len(_MARK)]:
        raise Unreadable("it is no PDF document")
    try:
        document = pypdfium2.PdfDocument(content)
        document.init_forms()  # what fields hold is drawn, also where the document leaves that to its reader
    except pypdfium2.PdfiumError as error:
        if error.err_code == _NEEDS_PASSWORD:
            raise Unreadable("it is encrypted and opens with a password only") from None
        if error.err_code == _SECURITY:
            raise Unreadable("it is encrypted in a way that is not supported") from None
        if error.err_code == pdfium.FPDF_ERR_SUCCESS:  # well-formed, and its tree of pages is empty
            raise Unreadable("it has no pages that can be read") from None
        raise Unreadable("it is a damaged PDF document") from None
    return document


def _page(document: pypdfium2.PdfDocument, index: int, max_chars: int, max_side: int, pictures: bool) -> dict[str, Any]:
    page = document[index]
    if pdfium.FPDFPage_GetAnnotCount(page):
        # What was filled in and stamped becomes part of the page and of its text; where that fails it is drawn only.
        pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
        page.close()
        page = document[index]
    layer = page.get_textpage()
    if layer.count_chars() > max_chars:
        raise Unreadable("its pages hold more text than a model reads")
    text = layer.get_text_bounded().replace("\r\n", "\n").translate(_HYPHENS).strip()  # what the page's edges show
    layer.close()
    if not is_readable(text):
        text = ""
    found: dict[str, Any] = {"text": text}
    drawn = pdfium.FPDFPage_CountObjects(page) or pdfium.FPDFPage_GetAnnotCount(page)
    if drawn and sum(mark.isalnum() for mark in text) < ENOUGH_LETTERS:
        found |= _picture(page, max_side) if pictures else {"partial": True}
    page.close()
    return found


def _picture(page: pypdfium2.PdfPage, max_side: int) -> dict[str, Any]:
    longest = max(page.get_size())
    if not 0 < longest < float("inf"):
        raise pypdfium2.PdfiumError("a page without a size")
    scale = min(_LARGEST_SCALE, (max_side - 0.5) / longest)  # sides are rounded up
    bitmap = page.render(scale=scale, limit_image_cache=True)
    image = bitmap.to_pil()
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    bitmap.close()
    return {"jpeg": base64.b64encode(out.getvalue()).decode(), "width": image.width, "height": image.height}


def _limit(*, cpu_s: int, wall_s: int, memory_bytes: int, answer_bytes: int) -> None:
    """The ends of this process. Nobody may be there to stop it: the worker that waits for it can be killed."""
    signal.alarm(wall_s)
    limits = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),  # the first ends it with SIGXCPU, which tells why
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (answer_bytes, answer_bytes),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, most in limits.items():
        with suppress(ValueError, OSError):  # macOS knows no limit of memory, and a lower one may be set already
            resource.setrlimit(kind, most)


def main(arguments: list[str]) -> None:
    """Read standard input, write one JSON object: the pages, or a `problem`."""
    given = json.loads(arguments[0])
    _limit(**given["process"])
    sys.stdout.buffer.write(answered(sys.stdin.buffer, max_bytes=given["process"]["answer_bytes"], **given["reading"]))


def answered(source: BinaryIO, **reading: Any) -> bytes:
    """The whole answer. It is made before any of it is written: what goes wrong on the way can still be told."""
    try:
        return json.dumps(read_pages(source.read(), **reading)).encode()
    except Unreadable as unreadable:
        problem = str(unreadable)
    except MemoryError:
        problem = "it needs too much memory"
    except (RuntimeError, ValueError, OSError, AssertionError, ctypes.ArgumentError):
        problem = "it is a damaged PDF document"
    return json.dumps({"problem": problem}).encode()


if __name__ == "__main__":
    main(sys.argv[1:])
