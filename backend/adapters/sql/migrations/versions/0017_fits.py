"""A fit remembers what it was made on: how far verifications had been changed, and how many of its version's answers
were verified.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scorings", sa.Column("change", sa.Integer(), server_default="0", nullable=False))
    op.add_column("scorings", sa.Column("answers", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("scorings") as batch:
        batch.drop_column("answers")
        batch.drop_column("change")
