"""Which verifications count: the one place where those of golden questions and of left-out annotators are left out."""

from __future__ import annotations

import sqlalchemy as sa

from backend.adapters.sql.schema import golden_tasks, left_out, verifications
from backend.core.verifications import VerificationOutcome

_table = verifications
LOOKED_AT = tuple(  # outcomes of what a person answered
    o.value for o in VerificationOutcome if o not in (VerificationOutcome.SKIPPED, VerificationOutcome.ACCEPTED)
)


def live(project_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """All that Label Studio still has: for whoever compares with it."""
    return (_table.c.project_id == project_id, _table.c.deleted_at.is_(None))


def counted(project_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Those of the live ones from which anything may be learnt or told."""
    return (*live(project_id), sa.not_(is_golden(project_id)), sa.not_(is_left_out(project_id)))


def is_golden(project_id: int) -> sa.ColumnElement[bool]:
    """Of a golden question, ended ones too: their annotations are read as deleted only later."""
    copies = sa.select(golden_tasks.c.task_id)
    copies = copies.where(golden_tasks.c.project_id == project_id, golden_tasks.c.task_id.is_not(None))
    return _table.c.task_id.in_(copies)


def is_left_out(project_id: int) -> sa.ColumnElement[bool]:
    people = sa.select(left_out.c.annotator_id)
    people = people.where(left_out.c.project_id == project_id, left_out.c.on.is_(True))
    return sa.and_(_table.c.annotator_id.is_not(None), _table.c.annotator_id.in_(people))
