"""Plans of blind audits, and the predictions that they withhold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.adapters.sql.database import Database, batches, utc, utc_or_none
from backend.adapters.sql.deliveries import DELIVERED
from backend.adapters.sql.schema import audit_looks, audit_plans, records, verifications
from backend.core.audit import AuditLook, AuditPlan
from backend.core.values import TaskState
from backend.core.verifications import VerificationOutcome
from backend.ports.audits import WITHHELD

_FINISHED = [state.value for state in TaskState if state.finished and state is not TaskState.DELETED]


class SqlAudits(Database):
    def audit_plan(self, project_id: int) -> AuditPlan | None:
        with self.begin(read_only=True) as connection:
            return plan_of(connection, project_id)

    def save_audit_plan(self, project_id: int, plan: AuditPlan) -> AuditPlan:
        values = {
            "project_id": project_id,
            "secret": plan.secret,
            "up_to": plan.up_to,
            "first_share": plan.first_share,
            "later_share": plan.later_share,
            "begun_at": plan.begun_at,
            "begun_share": plan.begun_share,
            "late": plan.late,
            "ended_at": plan.ended_at,
        }
        with self.begin() as connection:
            insert = self._insert(audit_plans).values(values)
            connection.execute(insert.on_conflict_do_nothing(index_elements=["project_id"]))
            found = plan_of(connection, project_id)
            assert found is not None  # it was written in this transaction, or before
            return found

    def extend_audit(self, project_id: int, plan: AuditPlan, task_ids: Iterable[int]) -> None:
        names = ("up_to", "first_share", "later_share", "begun_share", "ended_at")
        values = {name: getattr(plan, name) for name in names}
        withheld = {"delivery": WITHHELD, "delivered_at": None, "rewrite": False, "updated_at": self._clock()}
        with self.begin() as connection:
            connection.execute(sa.update(audit_plans).where(audit_plans.c.project_id == project_id).values(values))
            for ids in batches(task_ids):
                drawn = (records.c.project_id == project_id, records.c.task_id.in_(ids))
                connection.execute(sa.update(records).where(*drawn).values(withheld))

    def end_audit(self, project_id: int) -> None:
        with self.begin() as connection:
            plan = sa.update(audit_plans).where(
                audit_plans.c.project_id == project_id, audit_plans.c.ended_at.is_(None)
            )
            connection.execute(plan.values(ended_at=self._clock()))
            self._release(connection, records.c.project_id == project_id)

    def release_withheld(self, project_id: int, task_ids: Iterable[int]) -> int:
        released = 0
        for ids in batches(task_ids):
            with self.begin() as connection:
                released += self._release(connection, records.c.project_id == project_id, records.c.task_id.in_(ids))
        return released

    def _release(self, connection: Connection, *conditions: sa.ColumnElement[bool]) -> int:
        finished = records.c.state.in_(_FINISHED)
        release = sa.update(records).where(*conditions, records.c.delivery == WITHHELD)
        due = connection.execute(release.where(finished).values(delivery="pending", updated_at=self._clock())).rowcount
        connection.execute(release.where(sa.not_(finished)).values(delivery="none", updated_at=self._clock()))
        return due

    def audit_looks(self, project_id: int) -> list[AuditLook]:
        query = sa.select(audit_looks).where(audit_looks.c.project_id == project_id).order_by(audit_looks.c.number)
        with self.begin(read_only=True) as connection:
            rows = connection.execute(query).all()
        return [AuditLook(number=row.number, kind=row.kind, evidence=row.evidence, at=utc(row.at)) for row in rows]

    def add_audit_look(self, project_id: int, kind: str, evidence: str) -> int:
        of_project = audit_looks.c.project_id == project_id
        one_at_a_time = sa.select(audit_plans.c.project_id).where(audit_plans.c.project_id == project_id)
        with self.begin() as connection:
            connection.execute(one_at_a_time.with_for_update())
            same = sa.select(audit_looks.c.number).where(of_project, audit_looks.c.evidence == evidence)
            if (known := connection.execute(same).scalar()) is not None:
                return int(known)
            last = connection.execute(sa.select(sa.func.max(audit_looks.c.number)).where(of_project)).scalar() or 0
            row = {"project_id": project_id, "number": last + 1, "kind": kind, "evidence": evidence}
            connection.execute(sa.insert(audit_looks).values(**row, at=self._clock()))
            return int(last) + 1

    def withheld(self, project_id: int, version: str) -> int:
        query = sa.select(sa.func.count()).select_from(records)
        query = query.where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.delivery == WITHHELD,
            records.c.state.in_(_FINISHED),
        )
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())


def plan_of(connection: Connection, project_id: int) -> AuditPlan | None:
    row = connection.execute(sa.select(audit_plans).where(audit_plans.c.project_id == project_id)).one_or_none()
    if row is None:
        return None
    return AuditPlan(
        secret=row.secret,
        up_to=row.up_to,
        first_share=row.first_share,
        later_share=row.later_share,
        begun_at=utc(row.begun_at),
        begun_share=row.begun_share,
        late=row.late,
        ended_at=utc_or_none(row.ended_at),
    )


def blind_of(connection: Connection, project_id: int, task_ids: Sequence[int]) -> frozenset[int]:
    """Of these tasks those whose predictions are withheld: the plan holds them and is not ended, nobody has annotated
    them, and no version's prediction of them was ever shown."""
    plan = plan_of(connection, project_id)
    held = [task_id for task_id in task_ids if plan is not None and plan.withholds(task_id)]
    if not held:
        return frozenset()
    shown = sa.select(records.c.task_id).where(
        records.c.project_id == project_id,
        records.c.task_id.in_(held),
        sa.or_(records.c.delivery.in_(DELIVERED), records.c.rewrite),
    )
    annotated = sa.select(verifications.c.task_id).where(
        verifications.c.project_id == project_id,
        verifications.c.task_id.in_(held),
        verifications.c.deleted_at.is_(None),
        verifications.c.outcome != VerificationOutcome.SKIPPED.value,
    )
    seen = set(connection.execute(sa.union(shown, annotated)).scalars())
    return frozenset(held) - seen
