"""which tasks a job reads, and how far it is

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("selection", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("reading", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("read_to", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_records_data_hash"), ["data_hash"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_records_data_hash"))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("read_to")
        batch_op.drop_column("reading")
        batch_op.drop_column("selection")
