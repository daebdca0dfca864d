"""Where images and documents may be fetched from, with which key, and what is refused before and while it is read."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.adapters.media import HttpMedia, Limits
from backend.core.errors import LabelStudioUnauthorized, MediaUnreachable
from backend.core.values import Document, Picture
from tests.fakes.documents import letter, pdf, scanned
from tests.fakes.pictures import data_uri, drawn

PNG = drawn()
OPEN, PRIVATE = "93.184.216.34", "10.1.2.3"
NAMES = {
    "open.example": [OPEN],
    "two.example": ["2606:2800:220:1::1", OPEN],
    "inside.example": [PRIVATE],
    "mixed.example": [OPEN, "127.0.0.1"],
    "labels.example": [PRIVATE],
    "127.0.0.1": ["127.0.0.1"],
    "2130706433": ["127.0.0.1"],
    "::ffff:127.0.0.1": ["::ffff:127.0.0.1"],
    "::ffff:7f00:1": ["::ffff:7f00:1"],
    "localhost": ["127.0.0.1", "::1"],
    "0.0.0.0": ["0.0.0.0"],
    "169.254.169.254": ["169.254.169.254"],
    "none.example": [],
}


def body(content: bytes, **given: Any) -> httpx.Response:
    """An answer that is still to be read, as one from the network is."""
    return httpx.Response(200, stream=httpx.ByteStream(content), **given)


class Network:
    """Answers by host and path, and what was asked of it."""

    def __init__(self, **answers: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self.keys = 0
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda request: body(PNG)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    async def resolve(self, host: str, port: int) -> list[str]:
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return NAMES[host]

    def authorization(self) -> str:
        self.keys += 1
        return f"Bearer {self.keys}"

    def fetch(
        self,
        *sources: str,
        task_id: int = 7,
        url: str = "http://labels.example:8080",
        documents: bool = False,
        pictures: bool = True,
        **given: Any,
    ) -> Any:
        """The first source's image or phrase; or its document, with images of its pages where wanted."""
        limits = {"max_bytes": 50_000, "max_pixels": 1_000_000, "max_side": 500, "timeout_s": 2.0, "max_pages": 20}
        limits |= {name: given.pop(name) for name in list(given) if name in limits}

        async def run() -> Any:
            media = HttpMedia(
                label_studio_url=url,
                limits=Limits(**limits),
                transport=httpx.MockTransport(self.handle),
                **{"resolve": self.resolve, "authorization": self.authorization, **given},
            )
            async with media:
                if documents:
                    return await media.fetch_documents(task_id, sources, pictures=pictures)
                return await media.fetch(task_id, sources)

        return asyncio.run(run())[sources[0]]

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.requests]


@pytest.fixture
def network() -> Network:
    return Network()


# --- the open network -----------------------------------------------------------------------------------------------


def test_the_address_that_was_looked_at_is_the_one_that_is_called(network: Network) -> None:
    assert isinstance(network.fetch("https://open.example/a.png?x=1"), Picture)
    (request,) = network.requests
    assert str(request.url) == f"https://{OPEN}/a.png?x=1"
    assert request.headers["host"] == "open.example"
    assert request.extensions["sni_hostname"] == "open.example"
    assert "authorization" not in request.headers
    assert network.keys == 0


def test_the_next_address_is_tried_where_one_does_not_answer(network: Network) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host != OPEN:
            raise httpx.ConnectError("no route")
        return body(PNG)

    network.answer = answer
    assert isinstance(network.fetch("http://two.example:81/a.png"), Picture)
    assert network.hosts == ["2606:2800:220:1::1", OPEN]
    assert network.requests[-1].headers["host"] == "two.example:81"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        *("169.254.169.254", "inside.example", "mixed.example", "user:pw@inside.example", "INSIDE.example:8080"),
        *("labels.example", "labels.example:9090", "user@labels.example:8080"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_local_and_private_addresses_are_refused(network: Network, scheme: str, host: str) -> None:
    assert network.fetch(f"{scheme}://{host}/a.png") == "its address is local or private"
    assert network.requests == []


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1/latest", "//inside.example/a.png", "http://169.254.169.254/meta", "https://localhost:8080/x"],
)
def test_a_redirect_to_a_private_address_is_refused(network: Network, target: str) -> None:
    network.answer = lambda request: httpx.Response(302, headers={"Location": target})
    assert network.fetch("http://open.example/a.png") == "its address is local or private"
    assert network.hosts == [OPEN]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://open.example/a", "gopher://x"])
def test_a_redirect_to_another_scheme_is_refused(network: Network, target: str) -> None:
    network.answer = lambda request: httpx.Response(302, headers={"Location": target})
    assert network.fetch("http://open.example/a.png") == "its address leads to neither http nor https"


def test_a_name_that_answers_otherwise_the_second_time_is_asked_once(network: Network) -> None:
    answers: Iterator[list[str]] = iter([[OPEN], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    assert isinstance(network.fetch("http://rebind.example/a.png", resolve=rebinding), Picture)
    assert network.hosts == [OPEN]


def test_redirects_are_followed_a_few_times(network: Network) -> None:
    network.answer = lambda request: (
        body(PNG)
        if request.url.path == "/b/3"
        else httpx.Response(301, headers={"Location": f"../b/{int(request.url.path[-1]) + 1}"})
    )
    assert isinstance(network.fetch("http://open.example/a/1"), Picture)
    network.answer = lambda request: httpx.Response(302, headers={"Location": "/again"})
    assert network.fetch("http://open.example/a/1") == "its address redirects too often"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("ftp://open.example/a.png", "its address is neither http nor https nor a storage of Label Studio"),
        ("javascript:alert(1)", "its address is neither http nor https nor a storage of Label Studio"),
        ("http://", "its address leads to neither http nor https"),
        ("http://none.example/a.png", "its address is local or private"),
        ("http://unknown.example/a.png", "its host does not exist"),
        ("http://[::1/a.png", "its address cannot be read"),
        ("http://open.example:99999/a.png", "its address cannot be read"),
        ("http://\ud800.example/a.png", "its address cannot be read"),
        ("http://open\x00.example/a.png", "its address cannot be read"),
        ("a photo.png", "it is a file, and PRELABEL_MEDIA_ROOT is not set"),
    ],
)
def test_odd_addresses_are_told(network: Network, source: str, says: str) -> None:
    assert network.fetch(source) == says
    assert network.requests == []


# --- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (httpx.Response(404), "its server answers HTTP 404"),
        (httpx.Response(403), "its server answers HTTP 403"),
        (httpx.Response(401), "its server answers HTTP 401"),
        (body(b""), "it is no JPEG, PNG, GIF, WebP or BMP image"),
        (
            body(b"<html>", headers={"Content-Type": "image/png"}),
            "it is no JPEG, PNG, GIF, WebP or BMP image",
        ),
        (
            body(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "it is no JPEG, PNG, GIF, WebP or BMP image",
        ),
        (body(PNG[:100]), "it is a damaged image"),
        (body(b"x" * 50_001), "it is larger than 50,000 bytes"),
        (body(b"x", headers={"Content-Length": "9" * 30}), "it is larger than 50,000 bytes"),
        (
            httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
            "its server compresses it once more",
        ),
    ],
)
def test_what_cannot_be_used_is_told(network: Network, response: httpx.Response, says: str) -> None:
    network.answer = lambda request: response
    assert network.fetch("http://open.example/a.png") == says


def test_a_stream_without_an_end_is_not_read_to_it(network: Network) -> None:
    read = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            nonlocal read
            while True:
                read += 10_000
                yield b"x" * 10_000

    network.answer = lambda request: httpx.Response(200, stream=Endless())
    assert network.fetch("http://open.example/a.png") == "it is larger than 50,000 bytes"
    assert read < 200_000


def test_a_stream_that_drips_ends_with_the_time(network: Network) -> None:
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                await asyncio.sleep(0.01)
                yield b"x"

    network.answer = lambda request: httpx.Response(200, stream=Dripping())
    with pytest.raises(MediaUnreachable, match="PRELABEL_MEDIA_TIMEOUT_S"):
        network.fetch("http://open.example/a.png", timeout_s=0.2)


@pytest.mark.parametrize(
    "failure",
    [
        *(httpx.Response(status) for status in (408, 429, 500, 502, 503)),
        *(httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), httpx.ReadError("x")),
    ],
)
def test_what_may_pass_is_raised(network: Network, failure: httpx.Response | Exception) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(failure, Exception):
            raise failure
        return failure

    network.answer = answer
    with pytest.raises(MediaUnreachable) as caught:
        network.fetch("http://open.example/secret.png")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_server_that_is_away_may_come_back(network: Network) -> None:
    async def away(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    with pytest.raises(MediaUnreachable):
        network.fetch("http://open.example/a.png", resolve=away)


# --- Label Studio's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "/data/upload/1/a.png",
        "http://labels.example:8080/data/upload/1/a.png",
        "http://localhost:8080/data/upload/1/a.png",  # Label Studio's own idea of its address
        "/data/local-files/?d=pictures/a.png",
        "/tasks/7/resolve/?fileuri=czM6Ly9i",
        "/storage-data/uploaded/?filepath=upload/1/a.png",
    ],
)
def test_its_files_are_fetched_with_the_key_though_it_is_at_a_private_address(network: Network, source: str) -> None:
    assert isinstance(network.fetch(source), Picture)
    (request,) = network.requests
    assert (request.url.host, request.url.port) == ("labels.example", 8080)
    assert str(request.url).endswith(source.partition("8080")[2] or source)
    assert request.headers["authorization"] == "Bearer 1"


def test_it_may_be_in_a_folder_of_its_host(network: Network) -> None:
    for source in ("/data/upload/1/a.png", "/ls/data/upload/1/a.png"):
        assert isinstance(network.fetch(source, url="https://labels.example/ls/"), Picture)
    assert {str(r.url) for r in network.requests} == {"https://labels.example/ls/data/upload/1/a.png"}
    assert all("authorization" in r.headers for r in network.requests)


@pytest.mark.parametrize(
    "source",
    [
        *("/static/sample.png", "/api/projects/1/export", "/data/../api/users", "/data/upload/%2e%2e/%2e%2e/api/users"),
        *("http://labels.example:8080/user/logout", "/tasks/7/other/", "/data/upload/../../api/users"),
    ],
)
def test_the_key_is_for_its_files_only(network: Network, source: str) -> None:
    network.fetch(source)
    assert all("authorization" not in request.headers for request in network.requests)
    assert network.keys == 0


@pytest.mark.parametrize("uri", ["s3://bucket/a b.png", "gs://bucket/ü.png", "azure-blob://container/a.png"])
def test_a_storage_is_resolved_by_label_studio_and_the_key_stays_there(network: Network, uri: str) -> None:
    network.answer = lambda request: (
        httpx.Response(303, headers={"Location": "https://open.example/signed.png?X-Sig=1"})
        if request.url.host == "labels.example"
        else body(PNG)
    )
    assert isinstance(network.fetch(uri, task_id=12), Picture)
    first, second = network.requests
    assert first.url.path == "/tasks/12/resolve/"
    assert base64.urlsafe_b64decode(first.url.params["fileuri"]).decode() == uri
    assert first.headers["authorization"] == "Bearer 1"
    assert second.headers["host"] == "open.example"
    assert "authorization" not in second.headers


def test_a_token_that_has_expired_is_renewed_once(network: Network) -> None:
    network.answer = lambda request: (
        body(PNG) if request.headers["authorization"] == "Bearer 2" else httpx.Response(401, json={"detail": "expired"})
    )
    assert isinstance(network.fetch("/data/upload/1/a.png"), Picture)
    assert network.keys == 2
    network.answer = lambda request: httpx.Response(401)
    with pytest.raises(MediaUnreachable, match="LABEL_STUDIO_API_KEY"):
        network.fetch("/data/upload/1/a.png")


def test_a_key_that_is_refused_is_told_and_tried_again_later(network: Network) -> None:
    def refused() -> str:
        raise LabelStudioUnauthorized("Label Studio does not accept LABEL_STUDIO_API_KEY.")

    with pytest.raises(MediaUnreachable, match="does not accept LABEL_STUDIO_API_KEY"):
        network.fetch("/data/upload/1/a.png", authorization=refused)
    assert network.requests == []


def test_a_public_address_with_a_path_like_its_own_is_another_server(network: Network) -> None:
    network.fetch("http://open.example/data/upload/1/a.png")
    (request,) = network.requests
    assert request.headers["host"] == "open.example"
    assert "authorization" not in request.headers


# --- data URIs and files --------------------------------------------------------------------------------------------


def test_an_image_in_the_data_itself(network: Network) -> None:
    assert isinstance(network.fetch(data_uri(PNG)), Picture)
    assert isinstance(network.fetch(data_uri(PNG).replace(";base64", ";name=a.png;base64")), Picture)
    assert network.requests == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("data:text/html;base64,PGh0bWw+", "its data URI holds no image"),
        ("data:,x", "its data URI holds no image"),
        ("data:image/png;base64", "its data URI holds no image"),
        ("data:image/png;base64,!!!", "its data URI cannot be read"),
        ("data:image/png;base64,AAA", "its data URI cannot be read"),
        ("data:image/svg+xml,<svg/>", "it is no JPEG, PNG, GIF, WebP or BMP image"),
        ("data:image/png;base64," + "A" * 70_000, "it is larger than 50,000 bytes"),
    ],
)
def test_odd_data_uris_are_told(network: Network, source: str, says: str) -> None:
    assert network.fetch(source) == says


def test_files_below_the_root_and_no_others(network: Network, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.png"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a b.png").write_bytes(PNG)
    (root / "large.png").write_bytes(b"x" * 50_001)
    outside.write_bytes(PNG)
    (root / "link.png").symlink_to(outside)
    (root / "away").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    for source in ("in/a b.png", "in/../in/a b.png", f"file://{root}/in/a%20b.png"):
        assert isinstance(network.fetch(source, root=root), Picture), source
    refusals = {
        "../outside.png": "it is a file outside PRELABEL_MEDIA_ROOT",
        "link.png": "it is a file outside PRELABEL_MEDIA_ROOT",
        "away/outside.png": "it is a file outside PRELABEL_MEDIA_ROOT",
        f"file://{outside}": "it is a file outside PRELABEL_MEDIA_ROOT",
        "file:///etc/passwd": "it is a file outside PRELABEL_MEDIA_ROOT",
        "file:///%2e%2e/etc/passwd": "it is a file outside PRELABEL_MEDIA_ROOT",
        "missing.png": "there is no such file below PRELABEL_MEDIA_ROOT",
        "in": "it is no file",
        "large.png": "it is larger than 50,000 bytes",
        "loop": "its file cannot be read",
        "a\0.png": "its file cannot be read",
        "n" * 5000: "its file cannot be read",
    }
    assert {source: network.fetch(source, root=root) for source in refusals} == refusals
    assert network.requests == []


def test_several_at_once_are_bounded(network: Network) -> None:
    assert isinstance(network.fetch(*(f"http://open.example/{n}.png" for n in range(30)), concurrency=3), Picture)
    assert len(network.requests) == 30


# --- documents ------------------------------------------------------------------------------------------------------


def test_a_document_comes_from_wherever_an_image_may(network: Network, tmp_path: Path) -> None:
    content = pdf(letter())
    (tmp_path / "a.pdf").write_bytes(content)
    network.answer = lambda request: body(content)
    sources = {
        "http://open.example/a": {},
        "/data/upload/1/a.pdf": {},
        "s3://bucket/a.pdf": {},
        "a.pdf": {"root": tmp_path},
        f"file://{tmp_path}/a.pdf": {"root": tmp_path},
        data_uri(content, "application/pdf"): {},
    }
    for source, given in sources.items():
        found = network.fetch(source, documents=True, **given)
        assert isinstance(found, Document), source
        assert found.pages[0].text.startswith("Dear Ann")
    assert [bool(request.headers.get("authorization")) for request in network.requests] == [False, True, True]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("http://open.example/a.png", "it is no PDF document"),
        ("http://inside.example/a.pdf", "its address is local or private"),
        ("ftp://open.example/a.pdf", "its address is neither http nor https nor a storage of Label Studio"),
        (data_uri(PNG), "its data URI holds no PDF document"),
        ("data:text/html;base64,PGh0bWw+", "its data URI holds no PDF document"),
        ("data:application/pdf;base64," + "A" * 70_000, "it is larger than 50,000 bytes"),
        ("<embed src='/sample.pdf'>", "it is a file, and PRELABEL_MEDIA_ROOT is not set"),
    ],
)
def test_what_cannot_be_used_as_a_document_is_told(network: Network, source: str, says: str) -> None:
    assert network.fetch(source, documents=True) == says


def test_the_limits_of_a_document(network: Network) -> None:
    network.answer = lambda request: body(pdf(scanned(), letter(), scanned()))
    found = network.fetch("http://open.example/a.pdf", documents=True, max_pages=2, max_side=100)
    assert (len(found.pages), found.page_count) == (2, 3)
    assert found.pages[0].picture.height == 100
    found = network.fetch("http://open.example/a.pdf", documents=True, pictures=False)
    assert [page.picture for page in found.pages] == [None] * 3
    network.answer = lambda request: body(pdf(letter()) + b" " * 50_000)
    assert network.fetch("http://open.example/a.pdf", documents=True) == "it is larger than 50,000 bytes"


def test_a_document_is_no_image(network: Network) -> None:
    network.answer = lambda request: body(pdf(letter()))
    assert network.fetch("http://open.example/a.pdf") == "it is no JPEG, PNG, GIF, WebP or BMP image"
