"""What holds for every `MediaSource`: the one over HTTP, and the one in memory that other tests use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from backend.adapters.media import HttpMedia, Limits
from backend.core.errors import MediaUnreachable
from backend.core.values import Document, DocumentPage, Media, Picture
from backend.ports.media import MediaSource
from tests.fakes.documents import Sheet, letter, pdf
from tests.fakes.memory_media import MemoryMedia
from tests.fakes.pictures import data_uri, drawn

LETTER = "https://pictures.example/letter.pdf"
GOOD, GONE, ILL = "https://pictures.example/good.png", "https://pictures.example/gone.png", "https://ill.example/x.png"


def over_http() -> MediaSource:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["host"] == "ill.example":
            return httpx.Response(503)
        found = {"/good.png": drawn(), "/letter.pdf": pdf(letter(), Sheet())}.get(request.url.path)
        return httpx.Response(404) if found is None else httpx.Response(200, stream=httpx.ByteStream(found))

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34"]

    return HttpMedia(
        label_studio_url="http://labels.example",
        authorization=lambda: "Token key",
        limits=Limits(max_bytes=100_000, max_pixels=1_000_000, max_side=500, timeout_s=5),
        root=Path("/nowhere"),
        transport=httpx.MockTransport(answer),
        resolve=resolve,
    )


def in_memory() -> MediaSource:
    picture = Picture(data_uri=data_uri(drawn()), width=200, height=100)
    return MemoryMedia(
        {
            GOOD: picture,
            LETTER: Document(pages=(DocumentPage(text="Dear Ann"), DocumentPage(text="")), page_count=2),
            ILL: MediaUnreachable("The server of an image or document failed with HTTP 503: run again later."),
        }
    )


@pytest.fixture(params=[over_http, in_memory])
def make(request: pytest.FixtureRequest) -> Callable[[], MediaSource]:
    found: Callable[[], MediaSource] = request.param
    return found


def fetch(make: Callable[[], MediaSource], *sources: str, documents: bool = False) -> Media:
    async def run() -> Media:
        source = make()
        return await (source.fetch_documents(7, sources, pictures=True) if documents else source.fetch(7, sources))

    return asyncio.run(run())


def test_every_source_has_its_image_or_a_phrase(make: Callable[[], MediaSource]) -> None:
    found = fetch(make, GOOD, GONE, GOOD)
    assert set(found) == {GOOD, GONE}
    assert isinstance(found[GOOD], Picture)
    assert (found[GOOD].width, found[GOOD].height) == (200, 100)
    assert found[GOOD].data_uri.startswith("data:image/")
    assert found[GONE] == "its server answers HTTP 404"


def test_every_source_has_its_document_or_a_phrase(make: Callable[[], MediaSource]) -> None:
    found = fetch(make, LETTER, GONE, LETTER, documents=True)
    assert set(found) == {LETTER, GONE}
    assert isinstance(found[LETTER], Document)
    assert found[LETTER].page_count == 2
    assert [page.text[:8] for page in found[LETTER].pages] == ["Dear Ann", ""]
    assert found[GONE] == "its server answers HTTP 404"


def test_what_may_pass_is_an_error(make: Callable[[], MediaSource]) -> None:
    with pytest.raises(MediaUnreachable, match="503"):
        fetch(make, GOOD, ILL)
    with pytest.raises(MediaUnreachable, match="503"):
        fetch(make, LETTER, ILL, documents=True)


def test_nothing_asked_is_nothing_fetched(make: Callable[[], MediaSource]) -> None:
    assert fetch(make) == fetch(make, documents=True) == {}
