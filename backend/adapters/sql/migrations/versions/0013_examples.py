"""Which verified tasks were a prompt's examples; and what changed among verifications is found without reading all.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("examples", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("verifications", sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_verifications_project_id_change", "verifications", ["project_id", "change"])
    op.create_table(
        "verification_changes",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_verification_changes"),
    )


def downgrade() -> None:
    op.drop_table("verification_changes")
    op.drop_index("ix_verifications_project_id_change", "verifications")
    with op.batch_alter_table("verifications") as batch_op:
        batch_op.drop_column("change")
    with op.batch_alter_table("records") as batch_op:
        batch_op.drop_column("examples")
