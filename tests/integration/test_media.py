"""Images over real connections: a server on this machine is Label Studio's own, and any other one here is refused."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from backend.adapters.addresses import is_public, resolve
from backend.adapters.media import HttpMedia, Limits
from backend.core.errors import MediaUnreachable
from backend.core.values import Picture
from tests.fakes.pictures import drawn

pytestmark = pytest.mark.integration
PNG = drawn()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.leads_to = ""
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has read enough is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        name = self.path.rpartition("/")[2]
        if name == "away":
            self.send_response(302)
            self.send_header("Location", self.server.leads_to)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        if name == "slow":
            time.sleep(3)
        elif name == "endless":
            while True:
                self.wfile.write(b"x" * 100_000)
        else:
            self.wfile.write(PNG)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """Label Studio and another one."""
    pair = Server(), Server()
    threads = [threading.Thread(target=s.serve_forever, args=(0.02,), daemon=True) for s in pair]
    for thread in threads:
        thread.start()
    yield pair
    for server in pair:
        server.shutdown()
        server.server_close()


def fetch(own: Server, source: str) -> Picture | str:
    async def run() -> Picture | str:
        media = HttpMedia(
            label_studio_url=own.url,
            authorization=lambda: "Token key",
            limits=Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=500, timeout_s=1.5),
        )
        async with media:
            return (await media.fetch(7, [source]))[source]

    return asyncio.run(run())


def test_an_upload_is_fetched_with_the_key(servers: tuple[Server, Server]) -> None:
    own, _ = servers
    for source in ("/data/upload/1/a.png", f"{own.url}/data/upload/1/a.png"):
        assert isinstance(fetch(own, source), Picture)
    assert own.seen == [("/data/upload/1/a.png", "Token key")] * 2


def test_another_server_of_this_machine_is_not_called(servers: tuple[Server, Server]) -> None:
    own, other = servers
    port = other.server_port
    hosts = ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]"]
    for host in hosts:
        assert fetch(own, f"http://{host}:{port}/a.png") == "its address is local or private"
    assert other.seen == []


def test_label_studio_does_not_lead_there_either(servers: tuple[Server, Server]) -> None:
    own, other = servers
    own.leads_to = f"{other.url}/a.png"
    assert fetch(own, "/data/upload/1/away") == "its address is local or private"
    own.leads_to = "/data/upload/1/b.png"
    assert isinstance(fetch(own, "/data/upload/1/away"), Picture)
    assert other.seen == []


def test_what_does_not_end_is_left(servers: tuple[Server, Server]) -> None:
    own, _ = servers
    assert fetch(own, "/data/upload/1/endless") == "it is larger than 1,000,000 bytes"
    with pytest.raises(MediaUnreachable, match="in time"):
        fetch(own, "/data/upload/1/slow")


def test_a_server_that_is_gone_may_come_back(servers: tuple[Server, Server]) -> None:
    own, other = servers
    other.server_close()
    own.server_close()
    with pytest.raises(MediaUnreachable, match="cannot be reached"):
        fetch(own, "/data/upload/1/a.png")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "::1", "::ffff:7f00:1"]
)
def test_a_number_in_any_form_is_seen_through(host: str) -> None:
    found = asyncio.run(resolve(host, 80))
    assert found
    assert not any(is_public(address) for address in found)
