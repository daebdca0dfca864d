"""Tasks into a job: which are asked, which keep the answer they have, and what becomes of its delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.adapters.sql.audits import blind_of
from backend.adapters.sql.database import Database, batches, utc
from backend.adapters.sql.deliveries import DELIVERED
from backend.adapters.sql.golden import without_golden
from backend.adapters.sql.records import select_records
from backend.adapters.sql.schema import jobs, records
from backend.core.values import JobState, Task, TaskState
from backend.ports.audits import WITHHELD
from backend.ports.store import Record

_ANSWERED = (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID)
# A prediction that was delivered after a job began to read tasks may be missing in what it read. Clocks differ, too.
_MAY_BE_UNSEEN = timedelta(minutes=1)


class SqlEnlisting(Database):
    def enlist(
        self, job_id: int, tasks: Iterable[Task], *, absent: bool, hold_s: float = 0.0, anew: bool = False
    ) -> None:
        hold_until = self._clock() + timedelta(seconds=hold_s) if hold_s else None
        with self.begin(read_only=True) as connection:
            job = connection.execute(sa.select(jobs.c.version, jobs.c.created_at).where(jobs.c.id == job_id)).one()
        read_since = utc(job.created_at) - _MAY_BE_UNSEEN
        for batch in batches(tasks):
            now = self._clock()
            with self.begin() as connection:
                asked = without_golden(connection, batch, now=now)
                rows = [_new_row(task, job.version, job_id=job_id, hold_until=hold_until, now=now) for task in asked]
                if rows:
                    self._enlist(connection, rows, absent=absent, read_since=read_since, anew=anew)
        mine = sa.select(sa.func.count()).select_from(records).where(records.c.job_id == job_id).scalar_subquery()
        with self.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(total=mine))

    def _enlist(
        self,
        connection: Connection,
        rows: Sequence[Mapping[str, Any]],
        *,
        absent: bool,
        read_since: datetime,
        anew: bool,
    ) -> None:
        project_id, version = rows[0]["project_id"], rows[0]["version"]
        task_ids = [row["task_id"] for row in rows]
        existing = {r.task_id: r for r in select_records(connection, project_id, version, task_ids)}
        new = [row for row in rows if row["task_id"] not in existing]
        blind = blind_of(connection, project_id, [row["task_id"] for row in new])
        new = [{**row, "delivery": WITHHELD} if row["task_id"] in blind else row for row in new]
        if new:  # another process may have been first: then its record stands
            key = ["project_id", "task_id", "version"]
            connection.execute(self._insert(records).on_conflict_do_nothing(index_elements=key), new)
        _note_heir(connection, existing.values(), rows[0]["job_id"])
        for row in rows:
            record = existing.get(row["task_id"])
            if record is not None and record.job_id != row["job_id"]:
                values = _changes(record, row, absent=absent, read_since=read_since, anew=anew)
                connection.execute(sa.update(records).where(records.c.id == record.id).values(values))


def _new_row(task: Task, version: str, *, job_id: int, hold_until: datetime | None, now: datetime) -> Mapping[str, Any]:
    return {
        "project_id": task.project_id,
        "task_id": task.id,
        "version": version,
        "job_id": job_id,
        "state": TaskState.QUEUED.value,
        "data": dict(task.data),
        "data_hash": task.data_hash,
        "result": [],
        "fields": [],
        "notes": [],
        "delivery": "none",
        "hold_until": hold_until,
        "rewrite": False,
        "updated_at": now,
    }


def _note_heir(connection: Connection, existing: Iterable[Record], job_id: int) -> None:
    """Tell the jobs that have not ended, and whose tasks these were, which job has them now."""
    former = {r.job_id for r in existing if r.job_id is not None and r.job_id != job_id}
    unended = [state.value for state in JobState if not state.ended]
    query = sa.select(jobs.c.id, jobs.c.taken_over_by).where(jobs.c.id.in_(former), jobs.c.state.in_(unended))
    for former_id, heirs in connection.execute(query.order_by(jobs.c.id)).all() if former else ():
        if job_id not in (heirs or ()):
            values = {"taken_over_by": [*(heirs or ()), job_id]}
            connection.execute(sa.update(jobs).where(jobs.c.id == former_id).values(values))


def _changes(
    record: Record, row: Mapping[str, Any], *, absent: bool, read_since: datetime, anew: bool
) -> dict[str, Any]:
    """What changes in a record whose task is enlisted again with this row."""
    unseen = record.delivery == "claimed" or (record.delivered_at or read_since) > read_since
    surely_absent = absent and not unseen
    values: dict[str, Any] = {name: row[name] for name in ("job_id", "hold_until", "updated_at")}
    unchanged = record.data_hash == row["data_hash"]
    anew = anew and record.job_id != row["job_id"] and record.state in _ANSWERED
    if unchanged and not record.state.finished:
        pass  # its answer is under way
    elif unchanged and record.state in _ANSWERED and not anew:
        if absent and record.delivery in ("handed", "written"):
            values |= {"delivery": "pending", "rewrite": not surely_absent}
    else:
        values |= {
            "state": TaskState.QUEUED.value,
            "data": row["data"],
            "data_hash": row["data_hash"],
            "delivery": WITHHELD if record.delivery == WITHHELD else "none",
            "rewrite": record.rewrite or (record.delivery in DELIVERED and not surely_absent),
            "take": record.take + 1 if anew else record.take,
        }
    return values
