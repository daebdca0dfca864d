"""Golden questions, and annotators whose verifications are left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from backend.adapters.sql.counted import is_golden, live
from backend.adapters.sql.database import batches, utc, utc_or_none
from backend.adapters.sql.schema import golden_tasks, left_out, verifications
from backend.adapters.sql.verifications import SqlVerifications
from backend.core.golden import UNDER_WAY, GoldenTask
from backend.core.text import storable
from backend.core.values import Task

_table = golden_tasks
_CHANGED = ("task_id", "written_as", "ended_at", "overlap")


class SqlGolden(SqlVerifications):
    def add_golden(self, tasks: Sequence[GoldenTask]) -> list[GoldenTask]:
        with self.begin() as connection:
            return [
                replace(task, id=int(connection.execute(query.returning(_table.c.id)).scalar_one()))
                for task in tasks
                for query in [sa.insert(_table).values(_row(task))]
            ]

    def update_golden(self, tasks: Sequence[GoldenTask]) -> None:
        with self.begin() as connection:
            for task in tasks:
                changed = {name: getattr(task, name) for name in _CHANGED}
                connection.execute(sa.update(_table).where(_table.c.id == task.id).values(changed))

    def drop_golden(self, ids: Collection[int]) -> None:
        with self.begin() as connection:
            connection.execute(sa.delete(_table).where(_table.c.id.in_(sorted(ids))))

    def golden_tasks(self, project_id: int) -> list[GoldenTask]:
        query = sa.select(_table).where(_table.c.project_id == project_id, _table.c.ended_at.is_(None))
        with self.begin(read_only=True) as connection:
            return [_to_task(row) for row in connection.execute(query.order_by(_table.c.id)).mappings()]

    def projects_with_unfinished_golden(self) -> list[int]:
        half = sa.or_(_table.c.task_id.is_(None), _table.c.overlap.is_not(None))
        query = sa.select(_table.c.project_id).where(_table.c.ended_at.is_(None), half).distinct()
        with self.begin(read_only=True) as connection:
            return sorted(connection.execute(query).scalars())

    def golden_copies(self, project_id: int, task_ids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for ids in batches(task_ids):
            query = sa.select(_table.c.task_id).where(_table.c.project_id == project_id, _table.c.task_id.in_(ids))
            with self.begin(read_only=True) as connection:
                found.update(connection.execute(query).scalars())
        return found

    def golden_set_apart(self, project_id: int) -> set[int]:
        query = sa.select(_table.c.source_task_id, _table.c.task_id)
        query = query.where(_table.c.project_id == project_id, _table.c.ended_at.is_(None))
        with self.begin(read_only=True) as connection:
            return {one for row in connection.execute(query) for one in row if one is not None}

    def leave_out(self, project_id: int, annotator_id: int) -> int:
        return self._count_person(project_id, annotator_id, out=True)

    def take_back(self, project_id: int, annotator_id: int) -> int:
        return self._count_person(project_id, annotator_id, out=False)

    def _count_person(self, project_id: int, annotator_id: int, *, out: bool) -> int:
        values = {"project_id": project_id, "annotator_id": annotator_id, "on": out, "changed_at": self._clock()}
        insert = self._insert(left_out).values(values)
        save = insert.on_conflict_do_update(
            index_elements=["project_id", "annotator_id"], set_={"on": out, "changed_at": values["changed_at"]}
        )
        theirs = sa.update(verifications).where(*live(project_id), verifications.c.annotator_id == annotator_id)
        with self.begin() as connection:
            connection.execute(save)
            # Whoever follows the count of changes reads these tasks again.
            connection.execute(theirs.values(change=self._next_change(connection, project_id)))
        return self.annotators(project_id).get(annotator_id, 0)

    def left_out(self, project_id: int) -> Mapping[int, int]:
        query = sa.select(left_out.c.annotator_id).order_by(left_out.c.annotator_id)
        with self.begin(read_only=True) as connection:
            people = connection.execute(query.where(left_out.c.project_id == project_id, left_out.c.on.is_(True)))
            found = list(people.scalars())
        counts = self.annotators(project_id) if found else {}
        return {person: counts.get(person, 0) for person in found}

    def left_out_changed_at(self, project_id: int) -> datetime | None:
        query = sa.select(sa.func.max(left_out.c.changed_at)).where(left_out.c.project_id == project_id)
        with self.begin(read_only=True) as connection:
            return utc_or_none(connection.execute(query).scalar())

    def annotators(self, project_id: int) -> Mapping[int, int]:
        person = verifications.c.annotator_id
        query = sa.select(person, sa.func.count()).group_by(person).order_by(person)
        query = query.where(*live(project_id), sa.not_(is_golden(project_id)), person.is_not(None))
        with self.begin(read_only=True) as connection:
            return {annotator: n for annotator, n in connection.execute(query)}


def without_golden(connection: Connection, tasks: Sequence[Task], *, now: datetime) -> list[Task]:
    """The tasks but for golden questions, among which is what looks like one that is being imported."""
    project_id = tasks[0].project_id
    known = sa.select(_table.c.task_id).where(
        _table.c.project_id == project_id, _table.c.task_id.in_([task.id for task in tasks])
    )
    coming = sa.select(_table.c.data_hash, _table.c.above).where(
        _table.c.project_id == project_id, _table.c.task_id.is_(None), _table.c.made_at > now - UNDER_WAY
    )  # an import that died keeps no task from being asked for ever
    golden = set(connection.execute(known).scalars())
    hashes = {data_hash: above for data_hash, above in connection.execute(coming)}
    return [
        task
        for task in tasks
        if task.id not in golden and not (hashes and task.id > hashes.get(task.data_hash, task.id))
    ]


def _row(task: GoldenTask) -> dict[str, Any]:
    values = asdict(task) | {
        "result": [dict(region) for region in task.result],
        "made_at": task.made_at.astimezone(UTC),  # SQLite forgets the zone
    }
    del values["id"]
    return {name: storable(value) for name, value in values.items()}


def _to_task(row: RowMapping) -> GoldenTask:
    values = dict(row) | {
        "result": tuple(row["result"]),
        "made_at": utc(row["made_at"]),
        "ended_at": utc_or_none(row["ended_at"]),
    }
    return GoldenTask(**values)
