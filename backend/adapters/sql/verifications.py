"""What people did with predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from backend.adapters.sql.counted import LOOKED_AT, counted, is_golden, is_left_out, live
from backend.adapters.sql.database import Database, batches, utc, utc_or_none
from backend.adapters.sql.schema import caught_up, projects, records, verification_changes, verifications
from backend.core.text import storable
from backend.core.values import JSON, TaskState
from backend.core.verifications import ControlVerification, Verification, VerificationOutcome
from backend.ports.verifications import Answered, CaughtUp, Looked

_table = verifications
_PAGE = 200  # rows that are held at a time: each may hold two results of hundreds of regions
_LOOKED_PAGE = 5_000  # rows without their regions
_PROBLEM_CHARS = 200
_FINISHED = [state.value for state in TaskState if state.finished and state != TaskState.DELETED]


class SqlVerifications(Database):
    def save_verifications(self, verifications: Sequence[Verification]) -> int:
        changed = 0
        for batch in batches(verifications):
            # Of one annotation the newest: one statement may not write a row twice.
            newest = {v.annotation_id: v for v in sorted(batch, key=lambda v: v.updated_at)}
            # By id, so that two who save the same rows wait for each other instead of failing.
            rows = [_row(newest[annotation_id]) for annotation_id in sorted(newest)]
            with self.begin() as connection:
                known = {row.annotation_id: row for row in connection.execute(_rows_of(list(newest)))}
                news = [row for row in rows if _differs(known.get(row["annotation_id"]), row)]
                change = {p: self._next_change(connection, p) for p in sorted({row["project_id"] for row in news})}
                for row in news:
                    connection.execute(self._save_verification({**row, "change": change[row["project_id"]]}))
            changed += len(news)
        return changed

    def _next_change(self, connection: Connection, project_id: int) -> int:
        """Counted before anything is changed: whoever changes a project's verifications waits for the one before, so
        that whoever has read up to a number has read all up to it."""
        insert = self._insert(verification_changes).values(project_id=project_id, change=1)
        one_more = {"change": verification_changes.c.change + 1}
        count = insert.on_conflict_do_update(index_elements=["project_id"], set_=one_more)
        return int(connection.execute(count.returning(verification_changes.c.change)).scalar_one())

    def verification_change(self, project_id: int) -> int:
        query = sa.select(verification_changes.c.change).where(verification_changes.c.project_id == project_id)
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar() or 0)

    def tasks_changed_after(self, project_id: int, change: int) -> list[int]:
        query = sa.select(_table.c.task_id).distinct().order_by(_table.c.task_id)
        query = query.where(_table.c.project_id == project_id, _table.c.change > change)
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def newest_label_tasks(self, project_id: int, config_fingerprint: str, limit: int) -> list[int]:
        said = sa.func.max(_table.c.updated_at)
        query = sa.select(_table.c.task_id).group_by(_table.c.task_id).order_by(said.desc(), _table.c.task_id.desc())
        query = query.where(*counted(project_id), *_label(), _table.c.config_fingerprint == config_fingerprint)
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def shown_data(self, project_id: int, data_hashes: Mapping[int, str]) -> dict[int, Mapping[str, JSON]]:
        found: dict[int, Mapping[str, JSON]] = {}
        for ids in batches(data_hashes):
            query = sa.select(records.c.task_id, records.c.data, records.c.data_hash).order_by(records.c.id.desc())
            query = query.where(records.c.project_id == project_id, records.c.task_id.in_(ids))
            query = query.where(records.c.data_hash.in_(sorted({data_hashes[task_id] for task_id in ids})))
            with self.begin(read_only=True) as connection:
                for task_id, data, data_hash in connection.execute(query):
                    if data_hashes[task_id] == data_hash:
                        found.setdefault(task_id, data)
        return found

    def _save_verification(self, row: Mapping[str, Any]) -> sa.Executable:
        insert = self._insert(_table).values(dict(row))
        rest = {name: insert.excluded[name] for name in row if name != "annotation_id"}
        return insert.on_conflict_do_update(
            index_elements=["annotation_id"], set_=rest, where=_table.c.updated_at <= insert.excluded.updated_at
        )

    def delete_verifications(self, project_id: int, annotation_ids: Collection[int]) -> int:
        deleted = 0
        for ids in batches(sorted(annotation_ids)):
            query = sa.update(_table).where(*live(project_id), _table.c.annotation_id.in_(ids))
            with self.begin() as connection:
                gone = {"deleted_at": self._clock(), "change": self._next_change(connection, project_id)}
                deleted += connection.execute(query.values(gone)).rowcount
        return deleted

    def verifications(
        self, project_id: int, *, after: int = 0, task_ids: Sequence[int] | None = None, everything: bool = False
    ) -> Iterator[Verification]:
        wanted = live(project_id) if everything else counted(project_id)
        if task_ids is None:
            yield from self._verification_pages(after, wanted)
            return
        found = [
            v
            for ids in batches(dict.fromkeys(task_ids))
            for v in self._verification_pages(after, (*wanted, _table.c.task_id.in_(ids)))
        ]
        yield from sorted(found, key=lambda v: v.annotation_id)

    def _verification_pages(self, after: int, conditions: Sequence[sa.ColumnElement[bool]]) -> Iterator[Verification]:
        """No transaction is open while the caller is at a page."""
        while True:
            query = sa.select(_table).where(*conditions, _table.c.annotation_id > after)
            query = query.order_by(_table.c.annotation_id).limit(_PAGE)
            with self.begin(read_only=True) as connection:
                page = [_to_verification(row) for row in connection.execute(query).mappings()]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].annotation_id

    def looked(self, project_id: int) -> Iterator[Looked]:
        is_label, is_counted = sa.and_(*_label()).label("is_label"), sa.and_(*counted(project_id)).label("counted")
        each = sa.select(_table.c.annotation_id, _table.c.task_id, _table.c.outcome, is_label, is_counted)
        each, after = each.where(*live(project_id)).order_by(_table.c.annotation_id), 0
        while True:
            with self.begin(read_only=True) as connection:
                page = connection.execute(each.where(_table.c.annotation_id > after).limit(_LOOKED_PAGE)).all()
            for row in page:
                outcome = VerificationOutcome(row.outcome)
                yield Looked(task_id=row.task_id, outcome=outcome, is_label=row.is_label, counted=row.counted)
            if len(page) < _LOOKED_PAGE:
                return
            after = page[-1].annotation_id

    def latest_verifications(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Verification]:
        found = self.verifications(project_id, task_ids=task_ids)
        return {v.task_id: v for v in sorted(found, key=lambda v: (v.updated_at, v.annotation_id))}

    def verified_task_ids(self, project_id: int) -> list[int]:
        query = sa.select(_table.c.task_id).distinct().order_by(_table.c.task_id)
        query = query.where(*counted(project_id), _table.c.outcome.in_(LOOKED_AT), _table.c.stale.is_(False))
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def verification_counts(self, project_id: int) -> Mapping[str, int]:
        t = _table
        accepted = t.c.outcome == VerificationOutcome.ACCEPTED
        aside = sa.case(
            (t.c.deleted_at.is_not(None) & accepted, "taken_back"),
            (t.c.deleted_at.is_not(None), "deleted"),
            (is_golden(project_id), "golden"),
            (is_left_out(project_id), "left_out"),
        ).label("aside")
        each = sa.select(t.c.outcome, t.c.stale, t.c.problem.is_not(None).label("broken"), aside)
        rows = each.where(t.c.project_id == project_id).subquery()
        query = sa.select(rows.c.outcome, rows.c.stale, rows.c.broken, rows.c.aside, sa.func.count()).group_by(*rows.c)
        counts: dict[str, int] = {}
        with self.begin(read_only=True) as connection:
            for outcome, stale, has_problem, name, n in connection.execute(query):
                told = {name: True} if name else {outcome: True, "stale": stale, "problem": has_problem}
                for name in (name for name, holds in told.items() if holds):
                    counts[name] = counts.get(name, 0) + n
        return counts

    def annotations_known(self, project_id: int, task_ids: Sequence[int] | None = None) -> Mapping[int, int]:
        query = sa.select(_table.c.task_id, sa.func.count()).where(*live(project_id)).group_by(_table.c.task_id)
        queries = [query] if task_ids is None else [query.where(_table.c.task_id.in_(ids)) for ids in batches(task_ids)]
        with self.begin(read_only=True) as connection:
            return {task_id: n for each in queries for task_id, n in connection.execute(each)}

    def tasks_annotated(self, project_id: int, annotation_ids: Sequence[int]) -> list[int]:
        found: set[int] = set()
        for ids in batches(annotation_ids):
            query = sa.select(_table.c.task_id).where(_table.c.project_id == project_id)
            with self.begin(read_only=True) as connection:
                found.update(connection.execute(query.where(_table.c.annotation_id.in_(ids))).scalars())
        return sorted(found)

    def answers_of(self, project_id: int, task_ids: Sequence[int]) -> dict[int, list[Answered]]:
        names = ("task_id", "version", "state", "result", "data_hash", "delivered_at")
        found: dict[int, list[Answered]] = {}
        for ids in batches(task_ids):
            query = sa.select(*(records.c[name] for name in names)).order_by(records.c.updated_at.desc(), records.c.id)
            query = query.where(records.c.project_id == project_id, records.c.task_id.in_(ids))
            with self.begin(read_only=True) as connection:
                for row in connection.execute(query.where(records.c.state.in_(_FINISHED))).mappings():
                    found.setdefault(row["task_id"], []).append(_to_answered(row))
        return found

    def caught_up(self, project_id: int) -> CaughtUp | None:
        with self.begin(read_only=True) as connection:
            row = connection.execute(sa.select(caught_up).where(caught_up.c.project_id == project_id)).first()
        return CaughtUp(since=utc(row.since), config_fingerprint=row.config_fingerprint) if row is not None else None

    def set_caught_up(self, project_id: int, caught_up_: CaughtUp) -> None:
        self._upsert(caught_up, {"project_id": project_id, **asdict(caught_up_)}, ["project_id"])

    def projects_to_catch_up(self) -> list[int]:
        """By each project, so that the indexes are used."""
        given = sa.exists().where(records.c.project_id == projects.c.id, records.c.delivery.in_(("handed", "written")))
        known = sa.exists().where(_table.c.project_id == projects.c.id)
        query = sa.select(projects.c.id).where(projects.c.version.is_not(None), sa.or_(given, known))
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query.order_by(projects.c.id)).scalars())


def _label() -> tuple[sa.ColumnElement[bool], ...]:
    """As `Verification.is_label`, of live ones."""
    return (_table.c.outcome.in_(LOOKED_AT), _table.c.stale.is_(False), _table.c.problem.is_(None))


def _rows_of(annotation_ids: Sequence[int]) -> sa.Select[Any]:
    return sa.select(_table).where(_table.c.annotation_id.in_(annotation_ids))


def _differs(known: sa.Row[Any] | None, row: Mapping[str, Any]) -> bool:
    """Whether to save a row changes anything: it is new, newer, or compared anew."""
    if known is None:
        return True
    stored = {name: utc_or_none(value) if name.endswith("_at") else value for name, value in known._mapping.items()}
    del stored["change"]
    return bool(stored["updated_at"] <= row["updated_at"] and stored != dict(row))


def _row(v: Verification) -> dict[str, Any]:
    values = asdict(v) | {
        "outcome": v.outcome.value,
        "controls": [asdict(control) for control in v.controls],
        "regions": [dict(region) for region in v.regions],
        "predicted": [dict(region) for region in v.predicted],
        "slices": dict(v.slices),
        "problem": v.problem[:_PROBLEM_CHARS] if v.problem else None,
        "created_at": v.created_at.astimezone(UTC),  # SQLite forgets the zone
        "updated_at": v.updated_at.astimezone(UTC),
    }
    return {name: storable(value) for name, value in values.items()}


def _to_verification(row: RowMapping) -> Verification:
    values = dict(row) | {
        "outcome": VerificationOutcome(row["outcome"]),
        "controls": tuple(ControlVerification(**control) for control in row["controls"]),
        "regions": tuple(row["regions"]),
        "predicted": tuple(row["predicted"]),
        "created_at": utc(row["created_at"]),
        "updated_at": utc(row["updated_at"]),
        "deleted_at": utc_or_none(row["deleted_at"]),
    }
    del values["change"]
    return Verification(**values)


def _to_answered(row: RowMapping) -> Answered:
    return Answered(
        task_id=row["task_id"],
        version=row["version"],
        state=TaskState(row["state"]),
        result=tuple(row["result"]),
        data_hash=row["data_hash"],
        delivered_at=utc_or_none(row["delivered_at"]),
    )
