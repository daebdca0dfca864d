"""Golden questions remember what an import that was cut off is recognised by, and what is still to be told; and the
Data Manager tabs that were made here are known.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("golden_tasks", sa.Column("whole_hash", sa.String(length=64), nullable=True))
    op.add_column("golden_tasks", sa.Column("overlap", sa.Integer(), nullable=True))
    op.create_table(
        "own_tabs",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tab_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "tab_id", name="pk_own_tabs"),
    )


def downgrade() -> None:
    op.drop_table("own_tabs")
    with op.batch_alter_table("golden_tasks") as batch_op:
        batch_op.drop_column("overlap")
        batch_op.drop_column("whole_hash")
