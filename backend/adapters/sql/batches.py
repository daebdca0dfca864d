"""Batches that were given to an endpoint, and the requests in those that have not been read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.database import Database, utc, utc_or_none
from backend.adapters.sql.database import batches as in_batches
from backend.adapters.sql.schema import batch_requests, batches, jobs, records
from backend.core.values import JobState, TaskState, Usage
from backend.ports.batches import BatchRequest, BatchRow, BatchState

_GOES_ON = (JobState.QUEUED.value, JobState.RUNNING.value)


class SqlBatches(Database):
    def begin_batch(self, job_id: int, marker: str, *, endpoint: str, round: int) -> int:
        insert = sa.insert(batches).values(
            job_id=job_id,
            marker=marker,
            round=round,
            endpoint=endpoint,
            state=BatchState.FILLING.value,
            requests=0,
            done=0,
            answered=0,
            prompt_tokens=0,
            completion_tokens=0,
            calls=0,
            updated_at=self._clock(),
        )
        with self.begin() as connection:
            return int(connection.execute(insert.returning(batches.c.id)).scalar_one())

    def add_to_batch(self, batch_id: int, requests: Sequence[BatchRequest]) -> set[str]:
        added: set[str] = set()
        for some in in_batches(requests):
            rows = [
                {"custom_id": r.custom_id, "batch_id": batch_id, "request_key": r.request_key, "logprobs": r.logprobs}
                for r in some
            ]
            insert = self._insert(batch_requests).values(rows).on_conflict_do_nothing(index_elements=["custom_id"])
            with self.begin() as connection:
                new = set(connection.execute(insert.returning(batch_requests.c.custom_id)).scalars())
                grown = sa.update(batches).where(batches.c.id == batch_id)
                connection.execute(grown.values(requests=batches.c.requests + len(new)))
            added |= new
        return added

    def batch_creating(self, batch_id: int, file_id: str) -> bool:
        return self._move(batch_id, BatchState.FILLING, {"state": BatchState.CREATING.value, "file_id": file_id})

    def batch_submitted(self, batch_id: int, endpoint_id: str) -> None:
        values = {"state": BatchState.SUBMITTED.value, "endpoint_id": endpoint_id, "submitted_at": self._clock()}
        self._move(batch_id, BatchState.CREATING, values)

    def note_batch(self, batch_id: int, *, status: str, done: int, error: str | None) -> None:
        self._move(batch_id, BatchState.SUBMITTED, {"status": status, "done": done, "error": error})

    def batch_collected(self, batch_id: int, *, answered: int, usage: Usage) -> None:
        values = {
            "state": BatchState.COLLECTED.value,
            "answered": answered,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "calls": usage.calls,
            "updated_at": self._clock(),
        }
        read = sa.update(batches).where(batches.c.id == batch_id, batches.c.state == BatchState.SUBMITTED.value)
        with self.begin() as connection:
            connection.execute(sa.delete(batch_requests).where(batch_requests.c.batch_id == batch_id))
            connection.execute(read.values(values))

    def batch_ended(self, batch_id: int) -> None:
        self._move(batch_id, BatchState.COLLECTED, {"state": BatchState.ENDED.value})

    def drop_batch(self, batch_id: int) -> None:
        with self.begin() as connection:
            connection.execute(sa.delete(batch_requests).where(batch_requests.c.batch_id == batch_id))
            connection.execute(sa.delete(batches).where(batches.c.id == batch_id))

    def batches(self, job_id: int) -> list[BatchRow]:
        query = sa.select(batches).where(batches.c.job_id == job_id).order_by(batches.c.id)
        with self.begin(read_only=True) as connection:
            return [_batch(row) for row in connection.execute(query).mappings()]

    def requests_of_batch(self, batch_id: int) -> dict[str, BatchRequest]:
        query = sa.select(batch_requests).where(batch_requests.c.batch_id == batch_id)
        with self.begin(read_only=True) as connection:
            return {
                row["custom_id"]: BatchRequest(
                    custom_id=row["custom_id"], request_key=row["request_key"], logprobs=row["logprobs"]
                )
                for row in connection.execute(query).mappings()
            }

    def jobs_that_asked(self, custom_ids: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for some in in_batches(custom_ids):
            query = (
                sa.select(batch_requests.c.custom_id, batches.c.job_id)
                .join(batches, batches.c.id == batch_requests.c.batch_id)
                .where(batch_requests.c.custom_id.in_(some))
            )
            with self.begin(read_only=True) as connection:
                found |= {custom_id: job_id for custom_id, job_id in connection.execute(query)}
        return found

    def open_batch_jobs(self) -> list[int]:
        unread = sa.select(batches.c.job_id).where(batches.c.state != BatchState.ENDED.value)
        queued = sa.exists().where(records.c.job_id == jobs.c.id, records.c.state == TaskState.QUEUED.value)
        going_on = sa.select(jobs.c.id).where(jobs.c.lane == "batch", jobs.c.state.in_(_GOES_ON), queued)
        with self.begin(read_only=True) as connection:
            return sorted(connection.execute(sa.union(unread, going_on)).scalars())

    def _move(self, batch_id: int, since: BatchState, values: dict[str, Any]) -> bool:
        """Change a batch that is in state `since`; whether it was."""
        query = sa.update(batches).where(batches.c.id == batch_id, batches.c.state == since.value)
        with self.begin() as connection:
            return bool(connection.execute(query.values({**values, "updated_at": self._clock()})).rowcount)


def _batch(row: RowMapping) -> BatchRow:
    return BatchRow(
        id=row["id"],
        job_id=row["job_id"],
        marker=row["marker"],
        round=row["round"],
        endpoint=row["endpoint"],
        state=BatchState(row["state"]),
        file_id=row["file_id"],
        endpoint_id=row["endpoint_id"],
        status=row["status"],
        error=row["error"],
        requests=row["requests"],
        done=row["done"],
        answered=row["answered"],
        usage=Usage(prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"], calls=row["calls"]),
        submitted_at=utc_or_none(row["submitted_at"]),
        updated_at=utc(row["updated_at"]),
    )
