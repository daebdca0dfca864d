"""Tasks that a run may choose by what is stored of them. Read page by page: each page is a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backend.adapters.sql.database import Database
from backend.adapters.sql.records import RECORD_COLUMNS, to_record
from backend.adapters.sql.schema import records
from backend.core.values import JSON, TaskState, Usage
from backend.ports.store import Record

_PAGE = 500
_ANSWERED = (TaskState.DONE.value, TaskState.EMPTY.value)
_FINISHED = tuple(state.value for state in TaskState if state.finished and state is not TaskState.DELETED)


class SqlSelecting(Database):
    def task_ids_below(self, project_id: int, version: str, score: float) -> Iterator[int]:
        query = sa.select(records.c.task_id).where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.state.in_(_FINISHED),
            records.c.score < score,
        )
        for row in self._pages(query, records.c.task_id):
            yield row[0]

    def scores(self, project_id: int, version: str) -> Iterator[tuple[int, float | None]]:
        query = sa.select(
            records.c.task_id, sa.case((records.c.state.in_(_ANSWERED), records.c.score), else_=sa.null())
        ).where(records.c.project_id == project_id, records.c.version == version, records.c.state.in_(_FINISHED))
        for row in self._pages(query, records.c.task_id):
            yield row[0], row[1]

    def answered_versions(self, project_id: int) -> list[str]:
        query = (
            sa.select(records.c.version)
            .where(records.c.project_id == project_id, records.c.state.in_(_ANSWERED))
            .group_by(records.c.version)
            .order_by(sa.func.max(records.c.updated_at).desc(), records.c.version)
        )
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def answer_pairs(
        self, project_id: int, first: str, second: str
    ) -> Iterator[tuple[int, Sequence[Mapping[str, JSON]], Sequence[Mapping[str, JSON]]]]:
        one, other = records.alias("one"), records.alias("other")
        query = sa.select(one.c.task_id, one.c.result, other.c.result.label("other_result")).where(
            one.c.project_id == project_id,
            other.c.project_id == project_id,
            one.c.task_id == other.c.task_id,
            one.c.data_hash == other.c.data_hash,
            one.c.version == first,
            other.c.version == second,
            one.c.state.in_(_ANSWERED),
            other.c.state.in_(_ANSWERED),
        )
        for row in self._pages(query, one.c.task_id):
            yield row[0], row[1], row[2]

    def paid_sample(self, project_id: int, version: str, limit: int) -> list[tuple[Record, Usage, float]]:
        used = [records.c[name] for name in ("prompt_tokens", "completion_tokens", "calls")]
        query = (
            sa.select(*RECORD_COLUMNS, *used, records.c.latency_s)
            .where(
                records.c.project_id == project_id,
                records.c.version == version,
                records.c.state.in_(_ANSWERED),
                records.c.calls > 0,
                records.c.from_cache == 0,
            )
            .order_by(records.c.id.desc())
            .limit(limit)
        )
        with self.begin(read_only=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [(to_record(row), Usage(**{c.name: row[c.name] for c in used}), row["latency_s"]) for row in rows]

    def _pages(self, query: sa.Select[Any], key: sa.ColumnElement[Any]) -> Iterator[Sequence[Any]]:
        """The rows in ascending order of `key`, their first column."""
        last: int | None = None
        while True:
            page = query if last is None else query.where(key > last)
            with self.begin(read_only=True) as connection:
                rows = connection.execute(page.order_by(key).limit(_PAGE)).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]
