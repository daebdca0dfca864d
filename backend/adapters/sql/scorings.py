"""Fits of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.counted import LOOKED_AT, counted
from backend.adapters.sql.database import batches, utc, utc_or_none
from backend.adapters.sql.schema import projects, records, scorings, verifications
from backend.adapters.sql.selecting import SqlSelecting
from backend.core.scorings import ControlAnswer, ControlScoring, ScoredAnswer, Scoring, ScoringState, shown_version
from backend.core.text import storable
from backend.core.values import JSON, TaskState

_ANSWERED = (TaskState.DONE.value, TaskState.EMPTY.value)
_KEY = ("project_id", "version", "number")
_NAMES = ("task_id", "id", "data", "data_hash", "result", "score", "fields")
_COLUMNS = sa.select(*(records.c[name] for name in _NAMES))
_OWN = sa.case((records.c.revision == 0, records.c.score), else_=records.c.raw_score)  # the model's own score


class SqlScorings(SqlSelecting):
    def scored_answers(self, project_id: int, version: str) -> Iterator[ScoredAnswer]:
        of_version = (records.c.project_id == project_id, records.c.version == version)
        query = _COLUMNS.where(*of_version, records.c.state.in_(_ANSWERED))
        for row in self._pages(query, records.c.task_id):
            yield _to_answer(row)

    def answers_of_records(self, record_ids: Sequence[int]) -> list[ScoredAnswer]:
        found: list[ScoredAnswer] = []
        for ids in batches(record_ids):
            query = _COLUMNS.where(records.c.id.in_(ids), records.c.state.in_(_ANSWERED))
            with self.begin(read_only=True) as connection:
                found += [_to_answer(row) for row in connection.execute(query)]
        return found

    def set_scores(self, number: int, scores: Mapping[int, float | None]) -> None:
        rows = [{"of_id": record_id, "new_score": score} for record_id, score in sorted(scores.items())]
        query = sa.update(records).where(records.c.id == sa.bindparam("of_id"))
        query = query.values(raw_score=_OWN, revision=number, score=sa.bindparam("new_score", type_=sa.Float))
        if rows:
            with self.begin() as connection:
                connection.execute(query, rows)

    def adopt_scoring(self, scoring: Scoring, scores: Mapping[int, tuple[str, float | None]]) -> None:
        of_version = (records.c.project_id == scoring.project_id, records.c.version == scoring.version)
        scored = (
            sa.update(records)
            .where(
                records.c.id == sa.bindparam("of_id"),
                records.c.data_hash == sa.bindparam("of_hash"),
                sa.or_(*(records.c.state == state for state in _ANSWERED)),  # a list cannot be for many rows at once
            )
            .values(raw_score=_OWN, revision=scoring.number, score=sa.bindparam("new_score", type_=sa.Float))
        )
        rows = [{"of_id": i, "of_hash": data, "new_score": score} for i, (data, score) in sorted(scores.items())]
        held = sa.update(records).where(*of_version, records.c.delivery.in_(("handed", "written")))
        with self.begin() as connection:
            if rows:
                connection.execute(scored, rows)
            connection.execute(held.values(delivery="pending", rewrite=True, hold_until=None))
            connection.execute(self._kept(scoring))

    def rewrites(self, project_id: int, version: str) -> int:
        query = sa.select(sa.func.count()).select_from(records)
        query = query.where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.delivery.in_(("pending", "claimed")),
            records.c.rewrite.is_(True),
        )
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def show_scoring(self, project_id: int, version: str, number: int) -> None:
        of_version = (scorings.c.project_id == project_id, scorings.c.version == version)
        before = sa.update(scorings).where(*of_version, scorings.c.state == ScoringState.SHOWN.value)
        adopted = (scorings.c.number == number, scorings.c.state == ScoringState.ADOPTED.value)
        with self.begin() as connection:
            if connection.execute(sa.select(scorings.c.number).where(*of_version, *adopted)).first() is None:
                return
            connection.execute(before.values(state=ScoringState.REPLACED.value))
            shown = {"state": ScoringState.SHOWN.value, "shown_at": self._clock()}
            connection.execute(sa.update(scorings).where(*of_version, *adopted).values(shown))

    def set_cleared(self, project_id: int, version: str, number: int) -> None:
        query = sa.update(scorings).where(
            scorings.c.project_id == project_id, scorings.c.version == version, scorings.c.number == number
        )
        with self.begin() as connection:
            connection.execute(query.values(cleared=True))

    def shown_version(self, project_id: int, version: str) -> str:
        query = sa.select(scorings.c.number).where(
            scorings.c.project_id == project_id,
            scorings.c.version == version,
            scorings.c.state == ScoringState.SHOWN.value,
        )
        with self.begin(read_only=True) as connection:
            return shown_version(version, connection.execute(query).scalar() or 0)

    def projects_to_settle(self, *, shown_before: datetime) -> list[int]:
        old = sa.and_(
            scorings.c.state == ScoringState.SHOWN.value,
            scorings.c.cleared.is_(False),
            scorings.c.shown_at < shown_before,
        )
        query = sa.select(projects.c.id).distinct().order_by(projects.c.id)
        query = query.where(
            scorings.c.project_id == projects.c.id,
            scorings.c.version == projects.c.version,
            sa.or_(scorings.c.state == ScoringState.ADOPTED.value, old),
        )
        with self.begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def begin_scoring(self, scoring: Scoring) -> bool:
        adding = self._insert(scorings).values(_row(scoring)).on_conflict_do_nothing(index_elements=_KEY)
        with self.begin() as connection:
            return connection.execute(adding.returning(scorings.c.number)).first() is not None

    def save_scoring(self, scoring: Scoring) -> None:
        with self.begin() as connection:
            connection.execute(self._kept(scoring))

    def _kept(self, scoring: Scoring) -> sa.Executable:
        """Of one that has been begun the end, else a new one."""
        row = _row(scoring)
        rest = {name: value for name, value in row.items() if name not in _KEY}
        return self._insert(scorings).values(row).on_conflict_do_update(index_elements=_KEY, set_=rest)

    def drop_begun_scoring(self, project_id: int, version: str, number: int) -> None:
        of_number = (scorings.c.project_id == project_id, scorings.c.version == version, scorings.c.number == number)
        with self.begin() as connection:
            connection.execute(sa.delete(scorings).where(*of_number, scorings.c.state == ScoringState.BEGUN.value))

    def verified_answers(self, project_id: int, version: str, *, changed_after: int = 0) -> int:
        people = sa.select(verifications.c.task_id).where(
            *counted(project_id),
            verifications.c.outcome.in_(LOOKED_AT),
            verifications.c.stale.is_(False),
            verifications.c.change > changed_after,
        )
        query = sa.select(sa.func.count()).select_from(records)
        query = query.where(records.c.project_id == project_id, records.c.version == version)
        query = query.where(records.c.state.in_(_ANSWERED), records.c.task_id.in_(people))
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def scorings(self, project_id: int, version: str) -> list[Scoring]:
        query = sa.select(scorings).where(scorings.c.project_id == project_id, scorings.c.version == version)
        with self.begin(read_only=True) as connection:
            rows = connection.execute(query.order_by(scorings.c.number.desc())).mappings().all()
        return [_to_scoring(row) for row in rows]


def _controls(fields: Sequence[Mapping[str, JSON]]) -> dict[str, ControlAnswer]:
    return {
        f["control"]: ControlAnswer(confidence=f.get("confidence"), probabilities=f.get("label_probabilities") or {})
        for f in fields
    }


def _to_answer(row: Sequence[Any]) -> ScoredAnswer:
    """A row of `_COLUMNS`."""
    task_id, record_id, data, data_hash, result, score, fields = row
    return ScoredAnswer(
        record_id=record_id,
        task_id=task_id,
        data=data,
        data_hash=data_hash,
        result=result,
        score=score,
        controls=_controls(fields),
    )


def _row(scoring: Scoring) -> dict[str, Any]:
    controls = [storable(asdict(control)) for control in scoring.controls]
    return asdict(scoring) | {"state": scoring.state.value, "controls": controls}


def _to_scoring(row: RowMapping) -> Scoring:
    values: dict[str, Any] = {name: row[name] for name in (*_KEY, "annotations", "change", "answers", "cleared")}
    return Scoring(
        **values,
        state=ScoringState(row["state"]),
        controls=tuple(ControlScoring(**control) for control in row["controls"]),
        created_at=utc(row["created_at"]),
        shown_at=utc_or_none(row["shown_at"]),
    )
