"""The batch API of OpenAI, as other endpoints offer it too: files of requests, and files of what came of them.

What an endpoint sends is taken line by line: a line that is no answer to a request costs nothing but itself.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Collection, Iterator
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import openai
from openai.types import Batch
from openai.types.chat import ChatCompletion

from backend.adapters.openai_model import OpenAIModel, parameters, reply_of, translate
from backend.core.errors import BatchNotOffered, ModelError, ModelServerError, ModelUnreachable
from backend.core.values import JSON, Reply, Request, TokenLogprob
from backend.ports.batches import BatchResult, EndpointBatch
from backend.ports.model import Capabilities

_log = logging.getLogger(__name__)

MARKER = "prelabel"  # the key in a batch's metadata
_NO_SUCH_ROUTE = (400, 404, 405, 501)
_MAX_LISTED = 1_000  # batches or files that are looked through, the newest first
_MAX_LINE_BYTES = 20_000_000
_MAX_COUNT = 2**31 - 1
_MAX_ID_CHARS, _MAX_STATUS_CHARS, _MAX_ERROR_CHARS = 200, 40, 80


class OpenAIBatches:
    """`backend.ports.batches.BatchEndpoint` over the client of a model."""

    def __init__(self, model: OpenAIModel) -> None:
        self._client = model.client
        self.name = model.endpoint

    async def check(self) -> None:
        try:
            batches = await self._client.batches.list(limit=1)
            files = await self._client.files.list(purpose="batch", limit=1)
        except openai.APIStatusError as error:
            if error.status_code in _NO_SUCH_ROUTE:
                raise self._not_offered() from error
            raise translate(error, self.name) from error
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise self._not_offered() from error
        if not isinstance(getattr(batches, "data", None), list) or not isinstance(getattr(files, "data", None), list):
            raise self._not_offered()  # some answer any address with a page

    def line(self, custom_id: str, request: Request, found: Capabilities) -> bytes:
        body = parameters(request, found)
        row = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(row).encode() + b"\n"

    async def upload(self, marker: str, lines: BinaryIO) -> str:
        try:
            sent = await self._client.files.create(file=(_file_name(marker), lines), purpose="batch")
        except openai.OpenAIError as error:
            raise self._refused(error) from error
        return self._id(sent)

    async def create(self, marker: str, file_id: str) -> EndpointBatch:
        try:
            batch = await self._client.batches.create(
                input_file_id=file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={MARKER: marker},
            )
        except openai.OpenAIError as error:
            raise self._refused(error) from error
        return self._told(batch)

    async def find(self, marker: str, file_id: str) -> EndpointBatch | None:
        looked = 0
        try:
            async for batch in self._client.batches.list(limit=100):
                metadata = batch.metadata if isinstance(batch.metadata, dict) else {}
                if batch.input_file_id == file_id or metadata.get(MARKER) == marker:
                    return self._told(batch)
                looked += 1
                if looked >= _MAX_LISTED:
                    break
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error
        return None

    async def state(self, batch_id: str) -> EndpointBatch:
        try:
            return self._told(await self._client.batches.retrieve(batch_id))
        except openai.NotFoundError:
            return EndpointBatch(id=batch_id, status="unknown")
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error

    async def cancel(self, batch_id: str) -> EndpointBatch:
        """One that has ended meanwhile cannot be cancelled, which is no error."""
        try:
            return self._told(await self._client.batches.cancel(batch_id))
        except (openai.BadRequestError, openai.ConflictError, openai.NotFoundError):
            return await self.state(batch_id)
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error

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
                await self._client.files.delete(file_id)
            except openai.OpenAIError as error:
                told = translate(error, self.name).kind
                _log.warning("a file of a batch was not deleted at the endpoint", extra={"error": told})

    async def delete_upload(self, marker: str) -> None:
        found: list[str] = []
        looked = 0
        try:
            async for file in self._client.files.list(purpose="batch", limit=100, order="desc"):
                if file.filename == _file_name(marker):
                    found.append(file.id)
                looked += 1
                if looked >= _MAX_LISTED:
                    break
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error
        await self.delete_files(found)

    async def _download(self, file_id: str, file: BinaryIO) -> None:
        """A file that is gone has no lines: what it held cannot be had."""
        try:
            async with self._client.files.with_streaming_response.content(file_id) as response:
                async for part in response.iter_bytes():
                    file.write(part)
        except openai.NotFoundError:
            _log.warning("a result file of a batch is gone")
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error
        except OSError:
            raise  # the disk
        except Exception as error:  # of the HTTP library under the client, which is not the same in all its releases
            raise ModelUnreachable(f"The model endpoint {self.name} broke off while results were read.") from error

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

    def _refused(self, error: openai.OpenAIError) -> ModelError:
        if isinstance(error, openai.NotFoundError):
            return self._not_offered()
        return translate(error, self.name)


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
        reply = reply_of(ChatCompletion.construct(**body), endpoint, 0.0)
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


def _file_name(marker: str) -> str:
    return f"{MARKER}-{marker}.jsonl"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _no_number(_: str) -> float:
    raise ValueError("NaN and Infinity are no JSON")
