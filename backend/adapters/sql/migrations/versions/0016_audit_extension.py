"""An audit that is extended remembers at which share it began.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_plans", sa.Column("begun_share", sa.Float(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("audit_plans") as batch_op:
        batch_op.drop_column("begun_share")
