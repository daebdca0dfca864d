"""The batch API of OpenAI, as other endpoints offer it too: files of requests, and files of what came of them.

What an endpoint sends is taken line by line: a line that is no answer to a request costs nothing but itself.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeVar

import openai
from openai.types import Batch

from backend.adapters.completion import reply_of
from backend.adapters.openai_model import OpenAIModel, parameters, translate
from backend.core.errors import BatchNotOffered, ModelBadRequest, ModelError, ModelServerError, ModelUnreachable
from backend.core.values import JSON, Reply, Request, TokenLogprob
from backend.ports.batches import BatchResult, EndpointBatch
from backend.ports.model import Capabilities

_log = logging.getLogger(__name__)
T = TypeVar("T")

MARKER = "prelabel"  # the key in a batch's metadata
_MAX_LISTED = 1_000  # batches or files that are looked through, the newest first
_MAX_LINE_BYTES = 20_000_000
_MAX_COUNT = 2**31 - 1
_MAX_ID_CHARS, _MAX_STATUS_CHARS, _MAX_ERROR_CHARS = 200, 40, 80


class OpenAIBatches:
    """`backend.ports.batches.BatchEndpoint` over the client of a model."""

    def __init__(self, model: OpenAIModel) -> None:
        self._client = model.client
        self.name = model.endpoint
        self._set_by = model.set_by

    async def check(self) -> None:
        try:
            with self._translated():
                batches = await self._client.batches.list(limit=1)
                files = await self._client.files.list(purpose="batch", limit=1)
                offered = isinstance(batches.data, list) and isinstance(files.data, list)
        except ModelServerError as error:  # it failed, or it answers any address with a page
            if isinstance(error.__cause__, openai.APIStatusError) and error.__cause__.status_code != 501:
                raise
            offered = False
        except ModelBadRequest:
            offered = False
        if not offered:
            raise self._not_offered()

    def line(self, custom_id: str, request: Request, found: Capabilities) -> bytes:
        body = parameters(request, found)
        row = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(row).encode() + b"\n"

    async def upload(self, marker: str, lines: BinaryIO) -> str:
        with self._translated():
            try:
                return self._id(await self._client.files.create(file=(_file_name(marker), lines), purpose="batch"))
            except openai.NotFoundError as error:
                raise self._not_offered() from error

    async def create(self, marker: str, file_id: str) -> EndpointBatch:
        with self._translated():
            try:
                batch = await self._client.batches.create(
                    input_file_id=file_id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={MARKER: marker},
                )
            except openai.NotFoundError as error:
                raise self._not_offered() from error
            return self._told(batch)

    async def find(self, marker: str, file_id: str) -> EndpointBatch | None:
        with self._translated():
            async for batch in _newest(self._client.batches.list(limit=100)):
                metadata = batch.metadata if isinstance(batch.metadata, dict) else {}
                if batch.input_file_id == file_id or metadata.get(MARKER) == marker:
                    return self._told(batch)
        return None

    async def state(self, batch_id: str) -> EndpointBatch:
        with self._translated():
            try:
                return self._told(await self._client.batches.retrieve(batch_id))
            except openai.NotFoundError:
                return EndpointBatch(id=batch_id, status="unknown")

    async def cancel(self, batch_id: str) -> EndpointBatch:
        """One that has ended meanwhile cannot be cancelled, which is no error."""
        with self._translated():
            try:
                return self._told(await self._client.batches.cancel(batch_id))
            except (openai.BadRequestError, openai.ConflictError, openai.NotFoundError):
                return await self.state(batch_id)

    async def results(self, batch: EndpointBatch) -> AsyncIterator[BatchResult]:
        for file_id in batch.result_file_ids:
            with TemporaryFile() as file:
                await self._download(file_id, file)
                file.seek(0)
                for line in _lines(file):
                    yield result_of(line, self.name)

    async def delete_files(self, file_ids: Collection[str]) -> None:
        for file_id in file_ids:
            try:
                with self._translated():
                    await self._client.files.delete(file_id)
            except ModelError as error:
                _not_deleted(error)

    async def delete_upload(self, marker: str) -> None:
        """Raises what may pass; an endpoint that does not list files keeps them."""
        name = _file_name(marker)
        try:
            with self._translated():
                listed = _newest(self._client.files.list(purpose="batch", limit=100, order="desc"))
                found = [file.id async for file in listed if file.filename == name]
        except ModelError as error:
            if error.transient:
                raise
            _not_deleted(error)
            return
        await self.delete_files(found)

    async def _download(self, file_id: str, file: BinaryIO) -> None:
        """A file that is gone has no lines: what it held cannot be had."""
        with self._translated():
            try:
                async with self._client.files.with_streaming_response.content(file_id) as response:
                    async for part in response.iter_bytes():
                        file.write(part)
            except openai.NotFoundError:
                _log.warning("a result file of a batch is gone")
            except (openai.OpenAIError, OSError):  # the endpoint's answer, or the disk
                raise
            except Exception as error:  # of the HTTP library under the client, which is not the same in all releases
                raise ModelUnreachable(f"The model endpoint {self.name} broke off while results were read.") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.OpenAIError as error:
            raise translate(error, self.name, self._set_by) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelServerError(
                f"The model endpoint {self.name} answered something else than its batch API promises."
            ) from error

    def _told(self, batch: Batch) -> EndpointBatch:
        """Whatever types the endpoint answers with."""
        results = [_text(batch.output_file_id), _text(batch.error_file_id)]
        counts = batch.request_counts
        done = _count(getattr(counts, "completed", 0)) + _count(getattr(counts, "failed", 0))
        errors = getattr(batch.errors, "data", None)
        first = errors[0] if isinstance(errors, list) and errors else None
        return EndpointBatch(
            id=self._id(batch),
            status=str(batch.status).lower()[:_MAX_STATUS_CHARS],
            done=min(done, _MAX_COUNT),
            result_file_ids=tuple(file_id for file_id in results if file_id),
            file_ids=tuple(file_id for file_id in (_text(batch.input_file_id), *results) if file_id),
            error=re.sub(r"\W+", " ", _text(getattr(first, "code", None)))[:_MAX_ERROR_CHARS] or None,
        )

    def _id(self, answer: Any) -> str:
        found = _text(getattr(answer, "id", None))
        if not found or len(found) > _MAX_ID_CHARS:
            raise ModelServerError(f"The model endpoint {self.name} answered without an id.")
        return found

    def _not_offered(self) -> BatchNotOffered:
        return BatchNotOffered(f"The model endpoint {self.name} has no batch API: run without --lane batch.")


def result_of(line: bytes, endpoint: str) -> BatchResult:
    """One line of a result file. Never raises."""
    try:
        row = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return BatchResult(custom_id=None, reply=None)
    custom_id = row.get("custom_id") if isinstance(row, dict) else None
    if not isinstance(custom_id, str):
        return BatchResult(custom_id=None, reply=None)
    response = row.get("response")
    answered = isinstance(response, dict) and response.get("status_code") == 200 and not row.get("error")
    body = response.get("body") if answered and isinstance(response, dict) else None
    return BatchResult(custom_id=custom_id, reply=_reply(body, endpoint) if isinstance(body, dict) else None)


def _reply(body: dict[str, JSON], endpoint: str) -> Reply | None:
    """An answer as a live call would give it; None where it is none."""
    try:
        reply = reply_of(body, endpoint=endpoint, latency_s=0.0)
    except (ModelServerError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
    usage = (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    texts = isinstance(reply.text, str) and isinstance(reply.model, str) and isinstance(reply.finish_reason, str)
    numbers = all(isinstance(n, int) and 0 <= n <= _MAX_COUNT for n in usage)
    return reply if texts and numbers and all(map(_well_formed, reply.tokens or ())) else None


def _well_formed(token: TokenLogprob) -> bool:
    pairs = [(token.token, token.logprob), *token.top]
    return all(isinstance(text, str) and isinstance(number, int | float) for text, number in pairs)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that are not empty; of one that is far too long only the beginning, which is no JSON."""
    while line := file.readline(_MAX_LINE_BYTES):
        whole = line
        while len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE_BYTES)
        if whole.strip():
            yield whole


async def _newest(listed: AsyncIterable[T]) -> AsyncIterator[T]:
    """The first of a list that goes on page by page."""
    looked = 0
    async for one in listed:
        yield one
        looked += 1
        if looked >= _MAX_LISTED:
            return


def _not_deleted(error: ModelError) -> None:
    _log.warning("a file of a batch stays at the endpoint", extra={"error": error.kind})


def _file_name(marker: str) -> str:
    return f"{MARKER}-{marker}.jsonl"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _no_number(_: str) -> float:
    raise ValueError("NaN and Infinity are no JSON")
