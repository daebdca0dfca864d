"""Bytes -> a `Document`, read by a process of its own (`backend.adapters.pdf_pages`).

That process costs 0.1 s a document, beside model calls of seconds; a page that is drawn costs 0.03 s more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from backend.adapters.pictures import Unusable
from backend.core.values import Document, DocumentPage, Picture

MAX_CHARS = 500_000  # of the pages that are shown: more than any model's window
CPU_S = 20
WALL_S = 60  # beside others on a busy machine
MEMORY_BYTES = 1 << 30
ANSWER_BYTES = 64 << 20
_PROGRAM = Path(__file__).with_name("pdf_pages.py")
_OUT_OF_TIME = frozenset({-signal.SIGXCPU, -signal.SIGALRM})
_FOR_LOADING = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # a Python that is linked to libraries of its own


def document_of(
    content: bytes,
    *,
    max_pages: int,
    max_side: int,
    pictures: bool,
    cpu_s: int = CPU_S,
    wall_s: int = WALL_S,
    memory_bytes: int = MEMORY_BYTES,
) -> Document:
    """The first `max_pages` pages. Raises `Unusable`; any other error is a fault of ours, not of the document."""
    given = {
        "process": {"cpu_s": cpu_s, "wall_s": wall_s, "memory_bytes": memory_bytes, "answer_bytes": ANSWER_BYTES},
        "reading": {"max_pages": max_pages, "max_chars": MAX_CHARS, "max_side": max_side, "pictures": pictures},
    }
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as answer:
        source.write(content)
        source.seek(0)
        try:
            done = subprocess.run(  # noqa: S603  - this Python and a program of ours
                [sys.executable, "-I", str(_PROGRAM), json.dumps(given)],
                stdin=source,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _FOR_LOADING if name in os.environ},
                cwd=_PROGRAM.parent,
                timeout=wall_s + 5,
                start_new_session=True,  # Ctrl-C is for the worker, which finishes what it has begun
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unusable("it takes too long to read") from None
        answer.seek(0)
        told = answer.read()
    if done.returncode in _OUT_OF_TIME:
        raise Unusable("it takes too long to read")
    if done.returncode < 0:
        raise Unusable("it is a damaged PDF document, or needs too much memory")
    if done.returncode:
        raise RuntimeError(f"the program that reads PDF documents ended with code {done.returncode}")
    found = json.loads(told)
    if "problem" in found:
        raise Unusable(found["problem"])
    return Document(pages=tuple(_page(page) for page in found["pages"]), page_count=found["count"])


def _page(found: dict[str, Any]) -> DocumentPage:
    picture = None
    if "jpeg" in found:
        uri = f"data:image/jpeg;base64,{found['jpeg']}"
        picture = Picture(data_uri=uri, width=found["width"], height=found["height"])
    return DocumentPage(text=found["text"], picture=picture, partial=found.get("partial", False))
