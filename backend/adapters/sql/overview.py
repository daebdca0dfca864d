"""The store as whoever operates it sees it. These queries read indexes, and of the records' rows only those that wait
for Label Studio."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from backend.adapters.sql.agents import is_written
from backend.adapters.sql.database import Database
from backend.adapters.sql.deliveries import WAITING
from backend.adapters.sql.schema import jobs, projects, records
from backend.core.errors import StoreError
from backend.core.values import JobState, TaskState
from backend.ports.overview import Disk, PausedJob

_MOUNTS = Path("/proc/self/mounts")


class SqlOverview(Database):
    def task_totals(self) -> Mapping[tuple[int, TaskState], int]:
        # By job first, which the index on (job_id, state) holds in order: a job is of one project.
        by_job = (
            sa.select(records.c.job_id, records.c.state, sa.func.count().label("n"))
            .where(records.c.job_id.is_not(None))
            .group_by(records.c.job_id, records.c.state)
            .subquery()
        )
        query = sa.select(jobs.c.project_id, by_job.c.state, by_job.c.n).join(by_job, by_job.c.job_id == jobs.c.id)
        totals: Counter[tuple[int, TaskState]] = Counter()
        with self.begin(read_only=True) as connection:
            for project_id, state, n in connection.execute(query):
                totals[project_id, TaskState(state)] += n
        return totals

    def job_totals(self) -> Mapping[str, int]:
        query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
        with self.begin(read_only=True) as connection:
            return {state: n for state, n in connection.execute(query)}

    def paused_jobs(self, limit: int = 20) -> list[PausedJob]:
        paused = jobs.c.state == JobState.PAUSED.value
        columns = [jobs.c[name] for name in ("id", "project_id", "reason", "paused_by")]
        query = sa.select(*columns).where(paused).order_by(jobs.c.id.desc()).limit(limit)
        with self.begin(read_only=True) as connection:
            return [PausedJob(**row) for row in connection.execute(query).mappings()]

    def undelivered_total(self) -> int:
        by_version = (
            sa.select(records.c.project_id, records.c.version, sa.func.count())
            .where(*self._undelivered())
            .group_by(records.c.project_id, records.c.version)
        )
        with self.begin(read_only=True) as connection:
            found = connection.execute(by_version).all()
            return sum(n for project_id, version, n in found if is_written(connection, project_id, version))

    def late_deliveries(self, since: datetime, limit: int = 10_000) -> int:
        current = sa.exists().where(projects.c.id == records.c.project_id, projects.c.version == records.c.version)
        late = (
            sa.select(records.c.id)
            .where(*self._undelivered(), records.c.updated_at < since, current)
            .limit(limit)
            .subquery()
        )
        with self.begin(read_only=True) as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(late)).scalar_one())

    @staticmethod
    def _undelivered() -> tuple[sa.ColumnElement[bool], ...]:
        """The project first: the index on (project_id, delivery) is then asked for a few ranges, not scanned."""
        return records.c.project_id.in_(sa.select(projects.c.id)), records.c.delivery.in_(WAITING)

    def disk(self) -> Disk | None:
        if self._is_postgresql or not self._engine.url.database or self._engine.url.database == ":memory:":
            return None
        folder = Path(self._engine.url.database).absolute().parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise StoreError(f"The folder of {self.place} cannot be looked at: check DATABASE_URL.") from error
        return Disk(folder=str(folder), free_bytes=free, filesystem=_filesystem(folder.resolve()))


def _filesystem(folder: Path) -> str | None:
    """The kind of file system that a folder is on: of the mount points above it the nearest one's."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:  # not on Linux
        return None
    above = {str(folder), *map(str, folder.parents)}
    # A later mount over the same place hides an earlier one; the kernel writes a blank as \040.
    found = [(len(m[1]), m[2]) for m in mounts if len(m) > 2 and m[1].replace("\\040", " ") in above]
    return max(reversed(found), key=lambda one: one[0])[1] if found else None
