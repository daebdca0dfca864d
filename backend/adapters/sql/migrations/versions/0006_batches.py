"""batches at the endpoint, and the requests in them

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("marker", sa.String(length=32), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(length=400), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("file_id", sa.String(length=200), nullable=True),
        sa.Column("endpoint_id", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=40), nullable=True),
        sa.Column("error", sa.String(length=80), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_batches_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batches_job_id"), ["job_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_batches_state"), ["state"], unique=False)
    op.create_table(
        "batch_requests",
        sa.Column("custom_id", sa.String(length=64), nullable=False),
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("logprobs", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_requests_batch_id")),
        sa.PrimaryKeyConstraint("custom_id", name=op.f("pk_batch_requests")),
    )
    with op.batch_alter_table("batch_requests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batch_requests_batch_id"), ["batch_id"], unique=False)


def downgrade() -> None:
    op.drop_table("batch_requests")
    op.drop_table("batches")
