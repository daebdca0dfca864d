"""Looks at an audit are counted; an audit that is ended stays, and one that was drawn late is marked.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_looks",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("evidence", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_audit_looks"),
    )
    op.add_column("audit_plans", sa.Column("late", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE audit_plans SET late = (begun_share = 0) WHERE begun_share IS NOT NULL")
    op.add_column("audit_plans", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("audit_plans") as batch_op:
        batch_op.drop_column("ended_at")
        batch_op.drop_column("late")
    op.drop_table("audit_looks")
