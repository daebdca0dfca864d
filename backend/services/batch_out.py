"""A job's batches that are out at the endpoint: looked after until what came of them is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from backend.core.errors import ModelBadRequest
from backend.core.values import JobState, Usage
from backend.ports.batches import BatchEndpoint, BatchRow, BatchState, EndpointBatch
from backend.ports.clock import Clock
from backend.ports.store import JobRow, Store
from backend.services.cached_model import keep_reply

_log = logging.getLogger(__name__)

_CREATION_S = timedelta(minutes=5)  # a call that creates a batch has surely ended; then what is not there never was
_LONGEST_S = 240.0  # then the next step goes on, as with chunks (`message_time.py`)
_UNSCORED = "without token probabilities"  # as the error of a batch: no answer can be served where they are wanted


@dataclass(frozen=True, kw_only=True)
class BatchesOut:
    """The batches of one job. `stop` is told why the job must stop."""

    store: Store
    endpoint: BatchEndpoint
    clock: Clock
    job: JobRow
    stop: Callable[[JobRow, str], None]

    async def look(self) -> bool:
        """Bring each as far as it goes now; whether one is still out."""
        started = monotonic()
        for row in self._open():
            if monotonic() - started < _LONGEST_S:
                await self._advance(row)
        return bool(self._open())

    def _open(self) -> list[BatchRow]:
        return [row for row in self.store.batches(self.job.id) if row.state is not BatchState.ENDED]

    async def _advance(self, row: BatchRow) -> None:
        """As far as it goes now. What has ended stops the job before it is noted as ended, lest a kill forget it."""
        job, endpoint = self.job, self.endpoint
        if row.endpoint != endpoint.name:
            raise ModelBadRequest(
                f"A batch of this job is at {row.endpoint}: set OPENAI_BASE_URL to it to have its answers."
            )
        batch_id = row.endpoint_id or await self._found(row)
        if batch_id is None:
            return
        told = await endpoint.state(batch_id)
        if row.state is not BatchState.COLLECTED:
            if job.state is JobState.CANCELLED and not told.ended and told.status != "cancelling":
                told = await endpoint.cancel(batch_id)
            self.store.note_batch(row.id, status=told.status, done=told.done, error=told.error)
            if not told.ended:
                return
            await self._collect(row, told)
        (row,) = [r for r in self.store.batches(job.id) if r.id == row.id]
        reason = _why_no_more(row)
        if reason is not None and not job.state.ended:
            self.stop(job, reason)
        await endpoint.delete_files(told.file_ids)
        self.store.batch_ended(row.id)

    async def _found(self, row: BatchRow) -> str | None:
        """The id of a batch that a worker left while it submitted it; one that never was is forgotten."""
        if row.state is BatchState.CREATING:
            found = await self.endpoint.find(row.marker, row.file_id or "")
            if found is not None:
                self.store.batch_submitted(row.id, found.id)
                return found.id
            if self.clock() - row.updated_at < _CREATION_S:
                return None
        await self.endpoint.delete_upload(row.marker)
        self.store.drop_batch(row.id)
        return None

    async def _collect(self, row: BatchRow, told: EndpointBatch) -> None:
        """Store each reply that can be used. What all of them used is counted, once however often this is begun."""
        expected = self.store.requests_of_batch(row.id)
        usage, answered, unscored = Usage(), 0, 0
        async for result in self.endpoint.results(told):
            if result.custom_id is None or result.reply is None:
                continue
            request = expected.pop(result.custom_id, None)
            if request is None:
                continue  # not asked, or told twice
            usage += result.reply.usage
            kept = keep_reply(self.store, row.endpoint, request.request_key, result.reply, logprobs=request.logprobs)
            found = kept == request.custom_id
            answered, unscored = answered + found, unscored + (kept is not None and not found)
        if unscored and not answered:
            self.store.note_batch(row.id, status=told.status, done=told.done, error=_UNSCORED)
        self.store.batch_collected(row.id, answered=answered, usage=usage)
        extra = {"job": row.job_id, "status": told.status, "requests": row.requests, "answered": answered}
        _log.info("a batch was read", extra=extra)


def _why_no_more(row: BatchRow) -> str | None:
    """Why another batch would end like this one, and the job must stop; None: another may do better."""
    if row.status == "cancelled":
        return "Its batch was cancelled at the endpoint: run again."
    if row.answered:
        return None
    if row.error == _UNSCORED:
        return (
            "The endpoint's batches give no token probabilities: set PRELABEL_CONFIDENCE to another method than "
            "auto and logprob, or run without --lane batch."
        )
    if row.status == "failed":
        told = f" ({row.error})" if row.error else ""
        return f"The endpoint refused the batch as a whole{told}: see its console, or run without --lane batch."
    if row.status == "unknown":
        return "The endpoint does not know its batch any more: check OPENAI_API_KEY, then run again."
    return None
