"""An HTTP/1.1 server for benchmarks: one process, one event loop, next to no work for each request.

What is measured shares the machine with it, so that it must cost little. It understands keep-alive connections and
bodies with a Content-Length, which is what httpx sends, and listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON = Any
_LENGTH = b"content-length:"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request."""

    method: str
    target: str  # path and query
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A JSON answer that leaves after `delay_s`. `sent` is called then."""

    body: bytes
    status: int = 200
    delay_s: float = 0.0
    sent: Callable[[], None] | None = None


def as_json(value: JSON, status: int = 200) -> Answer:
    return Answer(body=json.dumps(value).encode(), status=status)


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        self._answer = answer
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._received[:end]
            at = head.lower().find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self._received) < end + 4 + length:
                return
            method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            answer = self._answer(Call(method=method, target=target, body=body))
            if answer.delay_s > 0:
                asyncio.get_running_loop().call_later(answer.delay_s, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.sent is not None:
            answer.sent()
        assert self._transport is not None
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {answer.status} -\r\nContent-Type: application/json\r\nContent-Length: {len(answer.body)}"
            self._transport.write(head.encode() + b"\r\n\r\n" + answer.body)


async def serve(port: int, answer: Callable[[Call], Answer]) -> None:
    """Serve until SIGTERM or SIGINT. What a handler gets wrong ends the connection."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answer), "127.0.0.1", port, backlog=512)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(f"serving on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await stopped.wait()


def cpu_s() -> float:
    """Of this process, until now."""
    return time.process_time()
