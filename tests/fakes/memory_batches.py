"""A batch API in memory, answered by the function of a `FunctionModel`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import BinaryIO

from backend.core.errors import BatchNotOffered, ModelError
from backend.core.values import Reply, Request
from backend.ports.batches import BatchResult, EndpointBatch
from backend.ports.model import Capabilities


@dataclass
class There:
    """A batch at the endpoint."""

    id: str
    marker: str
    file_id: str
    requests: dict[str, Request]
    status: str = "in_progress"
    error: str | None = None
    results: list[BatchResult] = field(default_factory=list)


class MemoryBatches:
    """`backend.ports.batches.BatchEndpoint`. A batch ends when `finish` is called; `bad` says whose rows are bad.

    `asked` counts, per request, how often it was in a batch that was created; `answered` how often one was answered.
    """

    name = "http://model/v1"

    def __init__(self, answer: Callable[[Request], Reply | ModelError]) -> None:
        self._answer = answer
        self.offered = True
        self.files: dict[str, bytes] = {}
        self.there: dict[str, There] = {}
        self.lines: dict[str, Request] = {}  # custom id -> what was asked under it
        self.answered: list[str] = []  # custom ids, each time that one was
        self.calls: list[str] = []
        self.fails: dict[str, ModelError] = {}  # method -> what its next call raises
        self.bad: Callable[[str, int], BatchResult | None] = lambda custom_id, number: None
        self.cancelled: list[str] = []

    async def check(self) -> None:
        if not self.offered:
            raise BatchNotOffered("The model endpoint has no batch API: run without --lane batch.")

    def line(self, custom_id: str, request: Request, found: Capabilities) -> bytes:
        self.lines[custom_id] = request
        return json.dumps({"custom_id": custom_id, "text": request.messages[-1].content}).encode() + b"\n"

    async def upload(self, marker: str, lines: BinaryIO) -> str:
        self._called("upload")
        self.files[f"file-{marker}"] = lines.read()
        return f"file-{marker}"

    async def create(self, marker: str, file_id: str) -> EndpointBatch:
        self._called("create")
        rows = [json.loads(line) for line in self.files[file_id].splitlines()]
        batch_id = f"batch-{len(self.there) + 1}"
        requests = {row["custom_id"]: self.lines[row["custom_id"]] for row in rows}
        assert len(requests) == len(rows), "a custom id stands twice in a file"
        self.there[batch_id] = There(id=batch_id, marker=marker, file_id=file_id, requests=requests)
        return self._told(batch_id)

    async def find(self, marker: str, file_id: str) -> EndpointBatch | None:
        self._called("find")
        return next((self._told(b.id) for b in self.there.values() if b.marker == marker), None)

    async def state(self, batch_id: str) -> EndpointBatch:
        self._called("state")
        return self._told(batch_id) if batch_id in self.there else EndpointBatch(id=batch_id, status="unknown")

    async def results(self, batch: EndpointBatch) -> AsyncIterator[BatchResult]:
        self._called("results")
        for result in self.there[batch.id].results if batch.id in self.there else ():
            yield result

    async def cancel(self, batch_id: str) -> EndpointBatch:
        self._called("cancel")
        self.cancelled.append(batch_id)
        self.there[batch_id].status = "cancelling"
        return self._told(batch_id)

    async def delete_files(self, file_ids: Collection[str]) -> None:
        self._called("delete_files")
        for file_id in file_ids:
            self.files.pop(file_id, None)

    async def delete_upload(self, marker: str) -> None:
        self._called("delete_upload")
        self.files.pop(f"file-{marker}", None)

    def finish(self, *, status: str = "completed", most: int | None = None, error: str | None = None) -> int:
        """End what is out, with answers to `most` requests of each; returns how many batches these were."""
        out = [b for b in self.there.values() if b.status in ("in_progress", "cancelling")]
        for batch in out:
            batch.status, batch.error = status, error
            for number, (custom_id, request) in enumerate(batch.requests.items()):
                if most is not None and number >= most:
                    break
                batch.results.append(self.bad(custom_id, number) or self._result(custom_id, request))
        return len(out)

    def _result(self, custom_id: str, request: Request) -> BatchResult:
        answer = self._answer(request)
        if isinstance(answer, ModelError):
            return BatchResult(custom_id=custom_id, reply=None)
        self.answered.append(custom_id)
        return BatchResult(custom_id=custom_id, reply=answer)

    def _told(self, batch_id: str) -> EndpointBatch:
        batch = self.there[batch_id]
        return EndpointBatch(
            id=batch.id,
            status=batch.status,
            done=len(batch.results),
            file_ids=(batch.file_id,),
            error=batch.error,
        )

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.fails:
            raise self.fails.pop(method)
