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
from backend.ports.audits import WITHHELD
from backend.ports.store import Record

LEASE = timedelta(hours=8)  # longer than a message may take with the longest timeout that can be set
_MODEL_CHARS = 200

RECORD_COLUMNS = tuple(
    records.c[name]
    for name in (
        *("id", "project_id", "task_id", "version", "job_id", "state", "data", "data_hash", "result", "score"),
        *("delivery", "delivered_at", "rewrite", "error", "take", "revision", "examples"),
    )
)


def unless_withheld(delivery: str) -> sa.ColumnElement[str]:
    """What becomes of a record's delivery: this, but what the blind audit withholds stays withheld."""
    return sa.case((records.c.delivery == WITHHELD, WITHHELD), else_=delivery)


_COUNTED = ("prompt_tokens", "completion_tokens", "calls", "from_cache")
_MOST = 2**31 - 1  # what PostgreSQL holds in such a column; an endpoint may tell of any usage
_ANSWERED = (
    *("state", "result", "score", "fields", "notes"),
    *("error_class", "error", "reply_text", "model", "request_key", "examples"),
)


def _sum(name: str) -> sa.ColumnElement[int]:
    """A count and what is added to it, at most what the column holds: one record must not void those stored with it."""
    so_far, more = records.c[name], sa.bindparam(f"spent_{name}", type_=records.c[name].type)
    return sa.case((so_far > _MOST - more, _MOST), else_=so_far + more)


# Both are made once: to put such a statement together takes longer than to run it.
_SPEND = (
    sa.update(records)
    .where(records.c.id == sa.bindparam("asked_id"))
    .values(
        {name: _sum(name) for name in _COUNTED}
        | {"latency_s": records.c.latency_s + sa.bindparam("spent_latency_s", type_=records.c.latency_s.type)}
    )
)
_ANSWER = (
    sa.update(records)
    .where(
        records.c.id == sa.bindparam("asked_id"),
        records.c.data_hash == sa.bindparam("asked_hash"),
        records.c.state == TaskState.RUNNING.value,
    )
    .values(
        {name: sa.bindparam(f"new_{name}", type_=records.c[name].type) for name in _ANSWERED}
        | {"raw_score": None, "revision": 0}  # it is scored when it is written
        | {"delivery": unless_withheld("pending"), "claimed_by": None, "updated_at": sa.bindparam("now")}
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

    def failed_task_ids(self, project_id: int, version: str, *, after: int = 0, up_to: int | None = None) -> list[int]:
        too_long = sa.and_(records.c.state == TaskState.SKIPPED.value, records.c.error_class == ContextTooLong.kind)
        of_ended = sa.select(jobs.c.id).where(jobs.c.state.in_([JobState.CANCELLED.value, JobState.STOPPED.value]))
        left = sa.and_(records.c.state == TaskState.QUEUED.value, records.c.job_id.in_(of_ended))
        query = sa.select(records.c.task_id).where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.task_id > after,
            sa.or_(records.c.state == TaskState.FAILED.value, too_long, left),
        )
        if up_to is not None:
            query = query.where(records.c.task_id <= up_to)
        query = query.order_by(records.c.task_id)
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def claim(
        self, version: str, project_id: int, task_ids: Sequence[int], claimant: str, *, alike: bool = False
    ) -> list[Record]:
        now = self._clock()
        abandoned = sa.and_(
            records.c.state == TaskState.RUNNING.value,
            sa.or_(records.c.claimed_by == claimant, records.c.claimed_at < now - LEASE),
        )
        claimed: list[Record] = []
        for ids in batches(task_ids):
            # By id, so that two who claim what is alike lock rows in the same order and wait instead of failing.
            free = (
                sa.select(records.c.id)
                .where(
                    records.c.project_id == project_id,
                    records.c.version == version,
                    _alike(project_id, version, ids) if alike else records.c.task_id.in_(ids),
                    sa.or_(records.c.state == TaskState.QUEUED.value, abandoned),
                )
                .order_by(records.c.id)
                .with_for_update()
            )
            query = (
                sa.update(records)
                .where(records.c.id.in_(free))
                .values(state=TaskState.RUNNING.value, claimed_by=claimant, claimed_at=now, updated_at=now)
                .returning(*RECORD_COLUMNS)
            )
            with self.begin() as connection:
                claimed += [to_record(row) for row in connection.execute(query).mappings()]
        return sorted(claimed, key=lambda r: r.task_id)

    def release(self, record_ids: Sequence[int]) -> None:
        values = {"state": TaskState.QUEUED.value, "claimed_by": None}
        self._update(records, record_ids, values, records.c.state == TaskState.RUNNING.value)

    def claim_further(self, job_id: int, claimant: str, limit: int) -> list[Record]:
        now = self._clock()
        going_on = sa.exists().where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING.value)
        queued = (records.c.job_id == job_id, records.c.state == TaskState.QUEUED.value)
        shown = sa.select(records.c.data_hash).where(*queued, going_on).limit(limit)
        if self._is_postgresql:  # SQLite has one writer at a time
            shown = shown.with_for_update(skip_locked=True)
        some = sa.select(records.c.id).where(*queued, records.c.data_hash.in_(shown))
        if self._is_postgresql:
            some = some.with_for_update(skip_locked=True)
        query = (
            sa.update(records)
            .where(records.c.id.in_(some))
            .values(state=TaskState.RUNNING.value, claimed_by=claimant, claimed_at=now, updated_at=now)
            .returning(*RECORD_COLUMNS)
        )
        with self.begin() as connection:
            return sorted((to_record(row) for row in connection.execute(query).mappings()), key=lambda r: r.task_id)

    def give_back(self, job_id: int, claimant: str) -> None:
        left = (records.c.job_id == job_id, records.c.state == TaskState.RUNNING.value)
        query = sa.update(records).where(*left, records.c.claimed_by == claimant)
        with self.begin() as connection:
            connection.execute(query.values(state=TaskState.QUEUED.value, claimed_by=None, updated_at=self._clock()))

    def save_outcomes(self, outcomes: Sequence[tuple[int, str, Outcome]]) -> None:
        now = self._clock()
        rows = [
            {
                "asked_id": record_id,
                "asked_hash": data_hash,
                "now": now,
                **_spent(outcome.usage, outcome.latency_s),
                **_answer(outcome),
            }
            for record_id, data_hash, outcome in outcomes
        ]
        if not rows:
            return
        with self.begin() as connection:
            connection.execute(_SPEND, rows)  # paid for, whatever becomes of it
            connection.execute(_ANSWER, rows)

    def add_usage(self, record_id: int, usage: Usage, latency_s: float) -> None:
        with self.begin() as connection:
            connection.execute(_SPEND, [{"asked_id": record_id, **_spent(usage, latency_s)}])


def _alike(project_id: int, version: str, task_ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """The records of these tasks, and those of the same jobs that show the same data."""
    named = records.alias()
    these = (named.c.project_id == project_id, named.c.version == version, named.c.task_id.in_(task_ids))
    return sa.and_(
        records.c.data_hash.in_(sa.select(named.c.data_hash).where(*these)),
        records.c.job_id.in_(sa.select(named.c.job_id).where(*these)),
    )


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
        revision=row["revision"],
        examples=tuple(row["examples"] or ()),
    )


def _spent(usage: Usage, latency_s: float) -> dict[str, Any]:
    """What is added to the sums, as parameters of `_SPEND`."""
    return {"spent_latency_s": latency_s} | {f"spent_{name}": min(getattr(usage, name), _MOST) for name in _COUNTED}


def _answer(outcome: Outcome) -> dict[str, Any]:
    """The columns that hold an outcome, in text that every database takes, as parameters of `_ANSWER`."""
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
                "label_probabilities": dict(f.label_probabilities),
                "label_rest": f.label_rest,
            }
            for f in outcome.fields
        ],
        "notes": list(outcome.notes),
        "error_class": outcome.error_class,
        "error": outcome.error,
        "reply_text": outcome.reply_text,
        "model": (outcome.model or "")[:_MODEL_CHARS] or None,
        "request_key": outcome.request_key,
        "examples": list(outcome.examples) or None,
    }
    return {f"new_{name}": storable(value) for name, value in values.items()}
