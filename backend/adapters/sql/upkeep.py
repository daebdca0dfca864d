"""What the sweeper asks of the database and gives back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.adapters.sql.database import Database, batches
from backend.adapters.sql.jobs import to_job
from backend.adapters.sql.schema import jobs, projects, records
from backend.core.values import JobState, TaskState
from backend.ports.store import JobRow

_OPEN = [state.value for state in JobState if not state.ended]
_GIVEN = ("handed", "written")


class SqlUpkeep(Database):
    def open_jobs(self) -> list[JobRow]:
        return self._jobs(jobs.c.state.in_(_OPEN))

    def jobs_since(self, moment: datetime) -> list[JobRow]:
        return self._jobs(sa.or_(jobs.c.state.in_(_OPEN), jobs.c.finished_at > moment))

    def _jobs(self, condition: sa.ColumnElement[bool]) -> list[JobRow]:
        query = sa.select(jobs).where(condition).order_by(jobs.c.id)
        with self.begin(read_only=True) as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]

    def enlisted_since(self, job_id: int, moment: datetime) -> bool:
        made = sa.select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.created_at > moment)
        added = sa.select(records.c.id).where(records.c.job_id == job_id, records.c.updated_at > moment).limit(1)
        with self.begin(read_only=True) as connection:
            return any(connection.execute(query).first() is not None for query in (made, added))

    def claimants(self, job_ids: Collection[int]) -> set[str]:
        found: set[str] = set()
        for ids in batches(job_ids):
            query = sa.select(records.c.claimed_by).distinct()
            query = query.where(records.c.job_id.in_(ids), *_RUNNING, records.c.claimed_by.is_not(None))
            with self.begin(read_only=True) as connection:
                found |= set(connection.execute(query).scalars())
        return found

    def release_claims(self, job_id: int, claimants: Collection[str]) -> list[int]:
        released: list[int] = []
        for names in batches(claimants):
            query = (
                sa.update(records)
                .where(records.c.job_id == job_id, *_RUNNING, records.c.claimed_by.in_(names))
                .values(state=TaskState.QUEUED.value, claimed_by=None, updated_at=self._clock())
                .returning(records.c.task_id)
            )
            with self.begin() as connection:
                released += connection.execute(query).scalars()
        return sorted(released)

    def projects_to_write(self) -> list[int]:
        """By each project, so that its index of deliveries is used."""
        unwritten = sa.exists().where(
            records.c.project_id == projects.c.id,
            records.c.version == projects.c.version,
            sa.or_(
                records.c.delivery == "claimed",
                sa.and_(
                    records.c.delivery == "pending",
                    sa.or_(records.c.hold_until.is_(None), records.c.hold_until < self._clock()),
                ),
            ),
        )
        with self.begin(read_only=True) as connection:
            return list(connection.execute(sa.select(projects.c.id).where(unwritten)).scalars())

    def delivered_task_ids(self, project_id: int, version: str, *, before: datetime) -> set[int]:
        query = sa.select(records.c.task_id).where(*_given(project_id, version), records.c.delivered_at < before)
        with self.begin(read_only=True) as connection:
            return set(connection.execute(query).scalars())

    def delivered(self, project_id: int, version: str, *, before: datetime) -> int:
        query = sa.select(sa.func.count()).select_from(records)
        query = query.where(*_given(project_id, version), records.c.delivered_at < before)
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def offer_again(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        # They may be there by now: look before writing.
        self._change(project_id, version, task_ids, {"delivery": "pending", "rewrite": True, "hold_until": None})

    def in_doubt(self, project_id: int, version: str, *, before: datetime) -> list[int]:
        query = sa.select(records.c.task_id).where(*_given(project_id, version), records.c.rewrite)
        query = query.where(records.c.delivered_at < before).order_by(records.c.task_id)
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def end_doubt(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        self._change(project_id, version, task_ids, {"rewrite": False})

    def set_tasks_deleted(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        self._change(project_id, version, task_ids, {"state": TaskState.DELETED.value, "delivery": "none"})

    def _change(self, project_id: int, version: str, task_ids: Sequence[int], values: dict[str, Any]) -> None:
        for ids in batches(task_ids):
            query = sa.update(records).where(*_given(project_id, version), records.c.task_id.in_(ids))
            with self.begin() as connection:
                connection.execute(query.values({**values, "updated_at": self._clock()}))


_RUNNING = (records.c.state == TaskState.RUNNING.value,)


def _given(project_id: int, version: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        records.c.project_id == project_id,
        records.c.version == version,
        records.c.delivery.in_(_GIVEN),
    )
