"""The way of a finished record into Label Studio: in a `/predict` answer, or written back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.adapters.sql.database import Database, batches
from backend.adapters.sql.records import RECORD_COLUMNS, to_record
from backend.adapters.sql.schema import records, replies
from backend.core.values import TaskState
from backend.ports.store import Record

WAITING = ("pending", "claimed")
DELIVERED = ("claimed", "handed", "written")  # or about to be


class SqlDeliveries(Database):
    def hand_over(self, record_ids: Sequence[int], *, lost_before: datetime) -> set[int]:
        lost = sa.and_(records.c.delivery.in_(["handed", "written"]), records.c.delivered_at < lost_before)
        unwritten = sa.and_(records.c.delivery == "pending", records.c.rewrite.is_(False))
        got: set[int] = set()
        for ids in batches(record_ids):
            query = (
                sa.update(records)
                .where(records.c.id.in_(ids), sa.or_(unwritten, lost))
                .values(delivery="handed", delivered_at=self._clock(), hold_until=None)
                .returning(records.c.id)
            )
            with self.begin() as connection:
                got |= set(connection.execute(query).scalars())
        return got

    def end_hold(self, record_ids: Sequence[int]) -> None:
        self._update(records, record_ids, {"hold_until": None})

    def claim_deliveries(self, project_id: int, version: str, limit: int) -> list[Record]:
        due = sa.select(records.c.id).where(*self._due(project_id, version)).order_by(records.c.id).limit(limit)
        query = (
            sa.update(records)
            .where(records.c.id.in_(due), records.c.delivery == "pending")
            .values(delivery="claimed", delivered_at=self._clock())
            .returning(*RECORD_COLUMNS)
        )
        with self.begin() as connection:
            return sorted((to_record(row) for row in connection.execute(query).mappings()), key=lambda r: r.id)

    def set_delivery(self, record_ids: Sequence[int], delivery: str, *, in_doubt: bool = False) -> None:
        values: dict[str, Any] = {"delivery": delivery}
        if delivery == "written":
            values |= {"delivered_at": self._clock(), "rewrite": in_doubt}
        self._update(records, record_ids, values, records.c.delivery.in_(DELIVERED))

    def doubt_deliveries(self, record_ids: Sequence[int]) -> None:
        values = {"delivery": "pending", "rewrite": True, "hold_until": None}
        self._update(records, record_ids, values, records.c.delivery.in_([*WAITING, *DELIVERED]))

    def set_deleted(self, record_ids: Sequence[int]) -> None:
        self._update(records, record_ids, {"state": TaskState.DELETED.value, "delivery": "none"})

    def set_refused(self, record_id: int, message: str) -> None:
        values = {"state": TaskState.FAILED.value, "error_class": "refused_prediction", "error": message}
        self._update(records, [record_id], {**values, "delivery": "none"})
        request_key = sa.select(records.c.request_key).where(records.c.id == record_id)
        with self.begin() as connection:
            connection.execute(sa.delete(replies).where(replies.c.request_key.in_(request_key)))

    def unclaim_deliveries(self, project_id: int) -> int:
        query = (
            sa.update(records)
            .where(records.c.project_id == project_id, records.c.delivery == "claimed")
            # What the dead writer had sent may or may not have arrived: look before writing.
            .values(delivery="pending", rewrite=True)
        )
        with self.begin() as connection:
            return connection.execute(query).rowcount

    def due_deliveries(self, project_id: int, version: str) -> int:
        query = sa.select(sa.func.count()).select_from(records).where(*self._due(project_id, version))
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def undelivered(self, project_id: int, version: str) -> int:
        query = (
            sa.select(sa.func.count())
            .select_from(records)
            .where(
                records.c.project_id == project_id,
                records.c.version == version,
                records.c.delivery.in_(WAITING),
            )
        )
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def _due(self, project_id: int, version: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.delivery == "pending",
            sa.or_(records.c.hold_until.is_(None), records.c.hold_until < self._clock()),
        )
