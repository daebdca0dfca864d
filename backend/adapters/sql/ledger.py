"""Jobs' accounts. A transaction locks the job's row first, so that of two that reserve at once each sees the other."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import jobs, reservations
from backend.ports.ledger import Reservation, Spending

_CENT = 1e-9  # what sums of floats may be off


class SqlLedger(Database):
    def reserve_spending(self, job_id: int, *, tokens: int, usd: float, lease_s: float) -> Reservation | None:
        with self.begin() as connection:
            job = _locked(connection, job_id)
            self._end_expired(connection, job_id)
            account = _spending(connection, job_id)
            all_tokens = account.tokens + account.reserved_tokens + tokens
            all_usd = account.usd + account.reserved_usd + usd
            if job["budget_tokens"] is not None and all_tokens > job["budget_tokens"]:
                return None
            if job["budget_usd"] is not None and all_usd > job["budget_usd"] + _CENT:
                return None
            reservation = Reservation(id=uuid4().hex, job_id=job_id, tokens=tokens, usd=usd)
            connection.execute(
                sa.insert(reservations).values(
                    id=reservation.id,
                    job_id=job_id,
                    tokens=tokens,
                    usd=usd,
                    expires_at=self._clock() + timedelta(seconds=lease_s),
                )
            )
        return reservation

    def settle_spending(self, reservation: Reservation, *, tokens: int, usd: float) -> None:
        with self.begin() as connection:
            _locked(connection, reservation.job_id)
            ended = connection.execute(sa.delete(reservations).where(reservations.c.id == reservation.id)).rowcount
            if not ended:  # it had expired, and counts as spent
                tokens, usd = tokens - reservation.tokens, usd - reservation.usd
            _spend(connection, reservation.job_id, tokens, usd)

    def spending(self, job_id: int) -> Spending:
        with self.begin(read_only=True) as connection:
            return _spending(connection, job_id)

    def _end_expired(self, connection: Connection, job_id: int) -> None:
        expired = (
            sa.delete(reservations)
            .where(reservations.c.job_id == job_id, reservations.c.expires_at < self._clock())
            .returning(reservations.c.tokens, reservations.c.usd)
        )
        for tokens, usd in connection.execute(expired).all():
            _spend(connection, job_id, tokens, usd)


def _locked(connection: Connection, job_id: int) -> RowMapping:
    """SQLite holds its one write lock already, and knows no FOR UPDATE."""
    query = sa.select(jobs.c.budget_tokens, jobs.c.budget_usd).where(jobs.c.id == job_id).with_for_update()
    return connection.execute(query).mappings().one()


def _spend(connection: Connection, job_id: int, tokens: int, usd: float) -> None:
    more = {"spent_tokens": jobs.c.spent_tokens + tokens, "spent_usd": jobs.c.spent_usd + usd}
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(more))


def _spending(connection: Connection, job_id: int) -> Spending:
    spent = connection.execute(sa.select(jobs.c.spent_tokens, jobs.c.spent_usd).where(jobs.c.id == job_id)).one()
    reserved = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(reservations.c.tokens), 0),
            sa.func.coalesce(sa.func.sum(reservations.c.usd), 0.0),
        ).where(reservations.c.job_id == job_id)
    ).one()
    return Spending(
        tokens=int(spent[0]),
        usd=float(spent[1]),
        in_flight=int(reserved[0]),
        reserved_tokens=int(reserved[1]),
        reserved_usd=float(reserved[2]),
    )
