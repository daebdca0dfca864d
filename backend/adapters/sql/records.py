"""Records: a task's data under one version, who works on it, and the answer. On its way out: `deliveries.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from backend.adapters.sql.database import Database, batches, utc_or_none
from backend.adapters.sql.schema import jobs, records
from backend.core.errors import ContextTooLong
from backend.core.text import storable
from backend.core.values import JobState, Outcome, TaskState, Usage
from backend.ports.store import Record

LEASE = timedelta(minutes=15)  # longer than a chunk may run (`rq_queue.CHUNK_TIMEOUT_S`)
_MODEL_CHARS = 200

RECORD_COLUMNS = tuple(
    records.c[name]
    for name in (
        *("id", "project_id", "task_id", "version", "job_id", "state", "data", "data_hash", "result", "score"),
        *("delivery", "delivered_at", "rewrite", "error", "take"),
    )
)


class SqlRecords(Database):
    def records(self, project_id: int, version: str, task_ids: Sequence[int]) -> dict[int, Record]:
        found: dict[int, Record] = {}
        for ids in batches(task_ids):
            with self.begin(read_only=True) as connection:
                found |= {r.task_id: r for r in select_records(connection, project_id, version, ids)}
        return found

    def job_task_ids(self, job_id: int, states: Sequence[TaskState]) -> list[int]:
        query = (
            sa.select(records.c.task_id)
            .where(records.c.job_id == job_id, records.c.state.in_([s.value for s in states]))
            .order_by(records.c.task_id)
        )
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def failed_task_ids(self, project_id: int, version: str) -> list[int]:
        too_long = sa.and_(records.c.state == TaskState.SKIPPED.value, records.c.error_class == ContextTooLong.kind)
        of_ended = sa.select(jobs.c.id).where(jobs.c.state.in_([JobState.CANCELLED.value, JobState.STOPPED.value]))
        left = sa.and_(records.c.state == TaskState.QUEUED.value, records.c.job_id.in_(of_ended))
        query = sa.select(records.c.task_id).where(
            records.c.project_id == project_id,
            records.c.version == version,
            sa.or_(records.c.state == TaskState.FAILED.value, too_long, left),
        )
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def claim(self, version: str, project_id: int, task_ids: Sequence[int], claimant: str) -> list[Record]:
        now = self._clock()
        abandoned = sa.and_(
            records.c.state == TaskState.RUNNING.value,
            sa.or_(records.c.claimed_by == claimant, records.c.claimed_at < now - LEASE),
        )
        claimed: list[Record] = []
        for ids in batches(task_ids):
            query = (
                sa.update(records)
                .where(
                    records.c.project_id == project_id,
                    records.c.version == version,
                    records.c.task_id.in_(ids),
                    sa.or_(records.c.state == TaskState.QUEUED.value, abandoned),
                )
                .values(state=TaskState.RUNNING.value, claimed_by=claimant, claimed_at=now, updated_at=now)
                .returning(*RECORD_COLUMNS)
            )
            with self.begin() as connection:
                claimed += [to_record(row) for row in connection.execute(query).mappings()]
        return sorted(claimed, key=lambda r: r.task_id)

    def release(self, record_ids: Sequence[int]) -> None:
        values = {"state": TaskState.QUEUED.value, "claimed_by": None}
        self._update(records, record_ids, values, records.c.state == TaskState.RUNNING.value)

    def save_outcome(self, record_id: int, data_hash: str, outcome: Outcome) -> None:
        mine = records.c.id == record_id
        asked = sa.and_(mine, records.c.data_hash == data_hash, records.c.state == TaskState.RUNNING.value)
        answer = {**_answer(outcome), "delivery": "pending", "claimed_by": None, "updated_at": self._clock()}
        spent = _with_more(outcome.usage, outcome.latency_s)
        with self.begin() as connection:
            connection.execute(sa.update(records).where(mine).values(spent))  # paid for, whatever becomes of it
            connection.execute(sa.update(records).where(asked).values(answer))

    def add_usage(self, record_id: int, usage: Usage, latency_s: float) -> None:
        with self.begin() as connection:
            connection.execute(sa.update(records).where(records.c.id == record_id).values(_with_more(usage, latency_s)))


def _with_more(usage: Usage, latency_s: float) -> dict[str, sa.ColumnElement[Any]]:
    """What a record's task has taken so far, and this."""
    return {
        "prompt_tokens": records.c.prompt_tokens + usage.prompt_tokens,
        "completion_tokens": records.c.completion_tokens + usage.completion_tokens,
        "calls": records.c.calls + usage.calls,
        "from_cache": records.c.from_cache + usage.from_cache,
        "latency_s": records.c.latency_s + latency_s,
    }


def select_records(connection: Connection, project_id: int, version: str, task_ids: Sequence[int]) -> list[Record]:
    """The records of these tasks, at most a batch of them."""
    query = sa.select(*RECORD_COLUMNS).where(
        records.c.project_id == project_id, records.c.version == version, records.c.task_id.in_(task_ids)
    )
    return [to_record(row) for row in connection.execute(query).mappings()]


def to_record(row: RowMapping) -> Record:
    """A row of `RECORD_COLUMNS` as the services know it."""
    return Record(
        id=row["id"],
        project_id=row["project_id"],
        task_id=row["task_id"],
        version=row["version"],
        job_id=row["job_id"],
        state=TaskState(row["state"]),
        data=row["data"],
        data_hash=row["data_hash"],
        result=tuple(row["result"]),
        score=row["score"],
        delivery=row["delivery"],
        delivered_at=utc_or_none(row["delivered_at"]),
        rewrite=row["rewrite"],
        error=row["error"],
        take=row["take"],
    )


def _answer(outcome: Outcome) -> dict[str, Any]:
    """The columns that hold an outcome, in text that every database takes."""
    values = {
        "state": outcome.state.value,
        "result": [dict(region) for region in outcome.result],
        "score": outcome.score,
        "fields": [
            {
                "control": f.control,
                "step": f.step,
                "problem": f.problem,
                "rejected": list(f.rejected),
                "notes": list(f.notes),
                "confidence": f.confidence,
                "method": f.method,
                "signals": dict(f.signals),
                "usable": f.usable,
                "region_confidences": list(f.region_confidences),
            }
            for f in outcome.fields
        ],
        "notes": list(outcome.notes),
        "error_class": outcome.error_class,
        "error": outcome.error,
        "reply_text": outcome.reply_text,
        "model": (outcome.model or "")[:_MODEL_CHARS] or None,
        "request_key": outcome.request_key,
    }
    return {name: storable(value) for name, value in values.items()}
