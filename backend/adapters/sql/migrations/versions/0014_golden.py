"""Golden questions, and annotators whose verifications are left out.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "golden_tasks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_task_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("above", sa.BigInteger(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("written_as", sa.String(length=200), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_golden_tasks"),
    )
    op.create_index("ix_golden_tasks_project_id_task_id", "golden_tasks", ["project_id", "task_id"])
    op.create_table(
        "left_out",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("on", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "annotator_id", name="pk_left_out"),
    )


def downgrade() -> None:
    op.drop_table("left_out")
    op.drop_index("ix_golden_tasks_project_id_task_id", "golden_tasks")
    op.drop_table("golden_tasks")
