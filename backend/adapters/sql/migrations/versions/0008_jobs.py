"""what a job spends, who took its tasks over, and tasks that are asked anew

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("spent_tokens", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("spent_usd", sa.Float(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("taken_over_by", sa.JSON(), nullable=True))
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.add_column(sa.Column("take", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reservations_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
    )
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservations_job_id"), ["job_id"], unique=False)


def downgrade() -> None:
    op.drop_table("reservations")
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_column("take")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for name in ("taken_over_by", "spent_usd", "spent_tokens"):
            batch_op.drop_column(name)
