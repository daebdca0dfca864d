"""Fits of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.database import utc, utc_or_none
from backend.adapters.sql.schema import records, scorings
from backend.adapters.sql.selecting import SqlSelecting
from backend.core.scorings import ControlAnswer, ControlScoring, ScoredAnswer, Scoring, ScoringState
from backend.core.text import storable
from backend.core.values import JSON, TaskState

_ANSWERED = (TaskState.DONE.value, TaskState.EMPTY.value)


class SqlScorings(SqlSelecting):
    def scored_answers(self, project_id: int, version: str) -> Iterator[ScoredAnswer]:
        names = ("task_id", "id", "data", "data_hash", "result", "score", "fields")
        query = sa.select(*(records.c[name] for name in names)).where(
            records.c.project_id == project_id, records.c.version == version, records.c.state.in_(_ANSWERED)
        )
        for task_id, record_id, data, data_hash, result, score, fields in self._pages(query, records.c.task_id):
            yield ScoredAnswer(
                record_id=record_id,
                task_id=task_id,
                data=data,
                data_hash=data_hash,
                result=result,
                score=score,
                controls=_controls(fields),
            )

    def save_scoring(self, scoring: Scoring) -> None:
        values = asdict(scoring) | {
            "state": scoring.state.value,
            "controls": [storable(asdict(control)) for control in scoring.controls],
        }
        key = ["project_id", "version", "number"]
        with self.begin() as connection:
            connection.execute(self._insert(scorings).values(values).on_conflict_do_nothing(index_elements=key))

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


def _to_scoring(row: RowMapping) -> Scoring:
    values: dict[str, Any] = {name: row[name] for name in ("project_id", "version", "number", "annotations")}
    return Scoring(
        **values,
        state=ScoringState(row["state"]),
        controls=tuple(ControlScoring(**control) for control in row["controls"]),
        created_at=utc(row["created_at"]),
        shown_at=utc_or_none(row["shown_at"]),
    )
