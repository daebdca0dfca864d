"""Jobs: made, looked up, and their states. Tasks are added in `enlisting.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.database import Database, batches, utc, utc_or_none
from backend.adapters.sql.deliveries import DELIVERED
from backend.adapters.sql.records import LEASE, unless_withheld
from backend.adapters.sql.schema import jobs, records
from backend.core.values import JSON, JobState, Task, TaskState
from backend.ports.store import READING, JobLimits, JobRow

_OPEN = (JobState.ENLISTING, JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.STOPPED)
_SINCE = {JobState.QUEUED: (JobState.ENLISTING,), JobState.RUNNING: (JobState.QUEUED,)}  # others: from any open one
_QUEUED_AGAIN: Mapping[str, Any] = {
    "state": TaskState.QUEUED.value,
    "rewrite": sa.or_(records.c.rewrite, records.c.delivery.in_(DELIVERED)),
    "delivery": unless_withheld("none"),
    "claimed_by": None,
}
_REOPENED: Mapping[str, Any] = {"state": JobState.QUEUED.value, "finished_at": None, "reason": None}


class SqlJobs(Database):
    def create_job(
        self,
        project_id: int,
        version: str,
        kind: str,
        agent: str | None = None,
        *,
        lane: str = "live",
        selection: Mapping[str, JSON] | None = None,
        limits: JobLimits | None = None,
    ) -> int:
        now = self._clock()
        insert = sa.insert(jobs).values(
            project_id=project_id,
            version=version,
            kind=kind,
            state="enlisting",
            lane=lane,
            total=0,
            created_at=now,
            agent=agent,
            selection=dict(selection) if selection is not None else None,
            reading=selection is not None,
            **asdict(limits or JobLimits()),
        )
        abandoned = sa.update(records).where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.state == TaskState.RUNNING.value,
            records.c.claimed_at < now - LEASE,
        )
        with self.begin() as connection:
            connection.execute(abandoned.values(state=TaskState.QUEUED.value, claimed_by=None))
            return int(connection.execute(insert.returning(jobs.c.id)).scalar_one())

    def job(self, job_id: int) -> JobRow | None:
        with self.begin(read_only=True) as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().first()
        return to_job(row) if row is not None else None

    def jobs(self, project_id: int | None = None, limit: int = 20) -> list[JobRow]:
        query = sa.select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if project_id is not None:
            query = query.where(jobs.c.project_id == project_id)
        with self.begin(read_only=True) as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]

    def set_job_state(self, job_id: int, state: str, reason: str | None = None) -> bool:
        values: dict[str, Any] = {"state": state, "reason": reason, "paused_by": None}
        if JobState(state).ended:
            values["finished_at"] = self._clock()
        return self._change_state(job_id, _SINCE.get(JobState(state), _OPEN), values)

    def pause_job(self, job_id: int, reason: str, *, by: str) -> bool:
        values = {"state": JobState.PAUSED.value, "reason": reason, "paused_by": by}
        return self._change_state(job_id, (JobState.QUEUED, JobState.RUNNING), values)

    def resume_job(self, job_id: int) -> bool:
        values = {"state": JobState.QUEUED.value, "reason": None, "paused_by": None}
        return self._change_state(job_id, (JobState.PAUSED,), values)

    def set_job_limits(self, job_id: int, limits: JobLimits) -> None:
        with self.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(asdict(limits)))

    def requeue(self, job_id: int, states: Sequence[TaskState], *, into: int | None = None) -> int:
        mine = sa.update(records).where(records.c.job_id == job_id, records.c.state.in_([s.value for s in states]))
        values = {**_QUEUED_AGAIN, "job_id": into or job_id, "updated_at": self._clock()}
        ended = [state.value for state in JobState if state.ended]
        again = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(ended))
        with self.begin() as connection:
            queued = connection.execute(mine.values(values)).rowcount
            if into is not None:
                connection.execute(sa.update(jobs).where(jobs.c.id == into).values(total=jobs.c.total + queued))
            elif queued:
                connection.execute(again.values(_REOPENED))
        return queued

    def renew(self, job_id: int, tasks: Iterable[Task]) -> list[int]:
        done = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.DONE.value)
        version = sa.select(jobs.c.version).where(jobs.c.id == job_id).scalar_subquery()
        renewed: list[int] = []
        for batch in batches(tasks):
            with self.begin() as connection:
                for task in batch:
                    key = (records.c.project_id == task.project_id, records.c.task_id == task.id)
                    other = (records.c.job_id == job_id, records.c.data_hash != task.data_hash)
                    query = sa.update(records).where(*key, records.c.version == version, *other)
                    values = {"data": dict(task.data), "data_hash": task.data_hash, "updated_at": self._clock()}
                    if connection.execute(query.values({**_QUEUED_AGAIN, **values})).rowcount:
                        renewed.append(task.id)
                if renewed:
                    connection.execute(done.values(_REOPENED))
        return renewed

    def _change_state(self, job_id: int, since: Sequence[JobState], values: Mapping[str, Any]) -> bool:
        query = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_([s.value for s in since])).values(values)
        with self.begin() as connection:
            return bool(connection.execute(query).rowcount)

    def set_read_to(self, job_id: int, task_id: int) -> None:
        further = sa.or_(jobs.c.read_to.is_(None), jobs.c.read_to < task_id)
        with self.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id, further).values(read_to=task_id))

    def end_reading(self, job_id: int) -> None:
        with self.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(reading=False))

    def reading_jobs(self) -> list[JobRow]:
        query = sa.select(jobs).where(jobs.c.reading, jobs.c.state.in_(READING)).order_by(jobs.c.id)
        with self.begin(read_only=True) as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]

    def owners(self, project_id: int, version: str, task_ids: Sequence[int]) -> list[JobRow]:
        found: dict[int, JobRow] = {}
        for ids in batches(task_ids):
            owning = sa.select(records.c.job_id).where(
                records.c.project_id == project_id, records.c.version == version, records.c.task_id.in_(ids)
            )
            with self.begin(read_only=True) as connection:
                rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(owning))).mappings()
                found |= {row["id"]: to_job(row) for row in rows}
        return list(found.values())

    def finish_job_if_done(self, job_id: int) -> bool:
        unfinished = sa.exists().where(
            records.c.job_id == job_id, records.c.state.in_([TaskState.QUEUED.value, TaskState.RUNNING.value])
        )
        own = sa.select(sa.func.count()).select_from(records).where(records.c.job_id == job_id)
        with self.begin() as connection:
            enlisted = connection.execute(sa.select(jobs.c.total).where(jobs.c.id == job_id)).scalar_one_or_none() or 0
            total = connection.execute(own).scalar_one()
            heirs = connection.execute(sa.select(jobs.c.taken_over_by).where(jobs.c.id == job_id)).scalar_one_or_none()
            reason = _taken_over(enlisted - total, heirs or ()) if total < enlisted else None
            done = connection.execute(
                sa.update(jobs)
                .where(
                    jobs.c.id == job_id,
                    jobs.c.state.in_(["queued", "running", "paused"]),
                    ~jobs.c.reading,
                    ~unfinished,
                )
                .values(state="done", finished_at=self._clock(), total=total, reason=reason, paused_by=None)
            )
        return bool(done.rowcount)


def _taken_over(tasks: int, heirs: Sequence[int]) -> str:
    named = " and ".join(f"job {job_id}" for job_id in heirs) or "a later job"
    return f"{tasks} tasks taken over by {named}"


def to_job(row: RowMapping) -> JobRow:
    """A row of `jobs` as the services know it."""
    return JobRow(
        id=row["id"],
        project_id=row["project_id"],
        version=row["version"],
        kind=row["kind"],
        state=JobState(row["state"]),
        total=row["total"],
        created_at=utc(row["created_at"]),
        finished_at=utc_or_none(row["finished_at"]),
        reason=row["reason"],
        paused_by=row["paused_by"],
        lane=row["lane"],
        budget_tokens=row["budget_tokens"],
        budget_usd=row["budget_usd"],
        per_minute=row["per_minute"],
        agent=row["agent"],
        selection=row["selection"],
        reading=row["reading"],
        read_to=row["read_to"],
        taken_over_by=tuple(row["taken_over_by"] or ()),
    )
