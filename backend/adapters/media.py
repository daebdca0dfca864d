"""Images and PDFs from where tasks say that they are: data URIs, files, URLs, Label Studio's paths and storages.

Task data is untrusted, so that this is the place where a server could be led astray: only http and https; every
address of a host is looked at and the very address that was looked at is called; Label Studio's key goes to Label
Studio's files only; redirects pass the same gate; sizes are counted while reading.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit

import httpx

from backend.adapters.addresses import Resolve, is_public, resolve
from backend.adapters.documents import document_of
from backend.adapters.media_places import LabelStudioPlace
from backend.adapters.pictures import Unusable, picture_of
from backend.core.errors import LabelStudioError, MediaUnreachable
from backend.core.values import Document, Media, Picture

_MAX_REDIRECTS = 5
_MAX_ADDRESSES = 3  # of one host, tried one after the other
_DECODERS = 2  # at a time: each holds a whole image or document in memory
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_IMAGE_TYPES = re.compile("image/.+", re.IGNORECASE)
_PDF_TYPES = re.compile("application/(x-)?pdf|application/octet-stream", re.IGNORECASE)
_STORAGES = ("s3", "s3s", "gs", "azure-blob", "azure-spi", "redis")
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a source is wanted as."""

    name: str
    types: re.Pattern[str]  # of a data URI; anywhere else the bytes alone decide
    read: Callable[[bytes], Picture | Document]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is read of one image or document, and how it is sent."""

    max_bytes: int
    max_pixels: int
    max_side: int
    timeout_s: float
    max_pages: int = 20


class HttpMedia:
    """`backend.ports.media.MediaSource`. One per event loop: it holds connections.

    `authorization` gives the header with which Label Studio takes the key; it may raise a `LabelStudioError`.
    """

    def __init__(
        self,
        *,
        label_studio_url: str,
        authorization: Callable[[], str],
        limits: Limits,
        root: Path | None = None,
        concurrency: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._place = LabelStudioPlace(label_studio_url)
        self._authorization = authorization
        self._header: str | None = None
        self._limits, self._root, self._resolve = limits, root, resolve
        self._transport = transport
        self._fetching, self._decoding = asyncio.Semaphore(concurrency), asyncio.Semaphore(_DECODERS)

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # No proxy of the environment: it would look names up by itself, behind the check of their addresses.
        return httpx.AsyncClient(
            transport=self._transport,
            trust_env=False,
            verify=httpx.create_ssl_context(),
            timeout=self._limits.timeout_s,
            # What comes compressed could be far larger than what was counted.
            headers={
                "Accept": "image/*,application/pdf,*/*;q=0.1",
                "Accept-Encoding": "identity",
                "User-Agent": "prelabel",
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_client" in self.__dict__:  # most chunks have no images
            await self._client.aclose()

    async def fetch(self, task_id: int, sources: Sequence[str]) -> Media:
        limits = {"max_side": self._limits.max_side, "max_pixels": self._limits.max_pixels}
        kind = _Kind(name="image", types=_IMAGE_TYPES, read=lambda content: picture_of(content, **limits))
        return await self._all(task_id, sources, kind)

    async def fetch_documents(self, task_id: int, sources: Sequence[str], *, pictures: bool) -> Media:
        limits = {"max_side": self._limits.max_side, "max_pages": self._limits.max_pages}

        def read(content: bytes) -> Document:
            return document_of(content, **limits, pictures=pictures)

        return await self._all(task_id, sources, _Kind(name="PDF document", types=_PDF_TYPES, read=read))

    async def _all(self, task_id: int, sources: Sequence[str], kind: _Kind) -> Media:
        different = list(dict.fromkeys(sources))
        wanted = (self._one(task_id, source, kind) for source in different)
        found = await asyncio.gather(*wanted, return_exceptions=True)
        media: dict[str, Picture | Document | str] = {}
        for source, one in zip(different, found, strict=True):
            if isinstance(one, BaseException):  # raised when all have ended: none is left behind
                raise one
            media[source] = one
        return media

    async def _one(self, task_id: int, source: str, kind: _Kind) -> Picture | Document | str:
        try:
            async with self._fetching:
                content = await self._content(task_id, source, kind)
            async with self._decoding:
                return await asyncio.to_thread(kind.read, content)
        except Unusable as error:
            return str(error)

    async def _content(self, task_id: int, source: str, kind: _Kind) -> bytes:
        try:
            scheme = urlsplit(source).scheme.lower()
        except ValueError:
            raise Unusable("its address cannot be read") from None
        if scheme == "data":
            return self._inline(source, kind)
        if scheme == "file" or (not scheme and not source.startswith("/")):
            return await asyncio.to_thread(self._file, source)
        if scheme not in ("", "http", "https", *_STORAGES):
            raise Unusable("its address is neither http nor https nor a storage of Label Studio")
        stored = scheme in _STORAGES
        try:
            url = httpx.URL(self._place.storage(task_id, source) if stored else self._place.absolute(source))
        except (httpx.InvalidURL, ValueError):
            raise Unusable("its address cannot be read") from None
        return await self._load(url)

    def _inline(self, source: str, kind: _Kind) -> bytes:
        head = _DATA_URI.match(source)
        if head is None or not kind.types.fullmatch(head[1] or ""):
            raise Unusable(f"its data URI holds no {kind.name}")
        body = source[head.end() :]
        if len(body) > self._limits.max_bytes * 4 // 3 + 4:
            raise self._too_large()
        try:
            raw = unquote_to_bytes(body)
            return base64.b64decode(b"".join(raw.split()), validate=True) if head[3] else raw
        except (binascii.Error, ValueError):
            raise Unusable("its data URI cannot be read") from None

    def _file(self, source: str) -> bytes:
        if self._root is None:
            raise Unusable("it is a file, and PRELABEL_MEDIA_ROOT is not set")
        try:
            path = urlsplit(source).path if source.lower().startswith("file:") else source
            named = Path(unquote_to_bytes(path).decode()) if source.lower().startswith("file:") else Path(path)
            root = self._root.resolve(strict=True)
            found = (root / named).resolve(strict=True)
            if not found.is_relative_to(root):
                raise Unusable("it is a file outside PRELABEL_MEDIA_ROOT")
            if not found.is_file():
                raise Unusable("it is no file")
            with found.open("rb") as opened:
                content = opened.read(self._limits.max_bytes + 1)
        except FileNotFoundError:
            raise Unusable("there is no such file below PRELABEL_MEDIA_ROOT") from None
        except (OSError, ValueError, RuntimeError):  # a name that no file can have, a loop of links
            raise Unusable("its file cannot be read") from None
        if len(content) > self._limits.max_bytes:
            raise self._too_large()
        return content

    async def _load(self, url: httpx.URL) -> bytes:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._follow(url)
        except (TimeoutError, httpx.TimeoutException):
            raise MediaUnreachable(
                "An image or document did not come in time: run again, or raise PRELABEL_MEDIA_TIMEOUT_S."
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
            raise Unusable("its address leads to one that cannot be read") from None
        except httpx.HTTPError as error:
            raise MediaUnreachable(
                f"The server of an image or document cannot be reached ({type(error).__name__}): run again later."
            ) from None
        except LabelStudioError as error:
            raise MediaUnreachable(str(error)) from None

    async def _follow(self, url: httpx.URL) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            found = await self._get(url)
            if isinstance(found, bytes):
                return found
            url = url.join(found)
        raise Unusable("its address redirects too often")

    async def _get(self, url: httpx.URL) -> bytes | str:
        """The body, or where a redirect leads."""
        if url.scheme not in ("http", "https") or not url.host:
            raise Unusable("its address leads to neither http nor https")
        if url.port is not None and not 0 < url.port < 65_536:
            raise Unusable("its address cannot be read")
        if self._place.is_own(url):
            return await self._get_own(url)
        addresses = await self._public_addresses(url)
        for address in addresses[:_MAX_ADDRESSES]:
            request = self._client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
            )
            try:
                return await self._read(request)
            except httpx.ConnectError:
                if address == addresses[:_MAX_ADDRESSES][-1]:
                    raise
        raise Unusable("its host has no address")

    async def _get_own(self, url: httpx.URL) -> bytes | str:
        """From Label Studio; with the key where it keeps files. A token that has expired is renewed once."""
        if not self._place.keeps_files_at(url):
            return await self._read(self._client.build_request("GET", url))
        for renewed in (False, True):
            if self._header is None or renewed:
                self._header = await asyncio.to_thread(self._authorization)
            request = self._client.build_request("GET", url, headers={"Authorization": self._header})
            try:
                return await self._read(request)
            except _Unauthorized:
                continue
        raise MediaUnreachable("Label Studio does not give a file to LABEL_STUDIO_API_KEY's user: check the key.")

    async def _public_addresses(self, url: httpx.URL) -> list[str]:
        try:
            found = await self._resolve(
                url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
            )
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME:
                raise Unusable("its host does not exist") from None
            raise MediaUnreachable("The name of a file's host cannot be looked up: run again later.") from error
        if not found or not all(is_public(address) for address in found):
            raise Unusable("its address is local or private")
        return found

    async def _read(self, request: httpx.Request) -> bytes | str:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.is_redirect:
                return response.headers["location"]
            self._judge(response, own="authorization" in request.headers)
            content = bytearray()
            async for piece in response.aiter_raw(65_536):
                content += piece
                if len(content) > self._limits.max_bytes:
                    raise self._too_large()
            return bytes(content)
        finally:
            await response.aclose()

    def _judge(self, response: httpx.Response, *, own: bool) -> None:
        status = response.status_code
        if status == 401 and own:
            raise _Unauthorized
        if status >= 500 or status in _TRANSIENT:
            raise MediaUnreachable(f"The server of an image or document failed with HTTP {status}: run again later.")
        if not response.is_success:
            raise Unusable(f"its server answers HTTP {status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Unusable("its server compresses it once more")
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limits.max_bytes:
            raise self._too_large()

    def _too_large(self) -> Unusable:
        return Unusable(f"it is larger than {self._limits.max_bytes:,} bytes")


class _Unauthorized(Exception):
    """Label Studio does not take the header (any more)."""
