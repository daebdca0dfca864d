"""agents, registered; which of them a project and a job have

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("hash", sa.String(length=8), nullable=False),
        sa.Column("template", sa.String(length=80), nullable=False),
        sa.Column("template_source", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("name", "hash", name=op.f("uq_agents_name_hash")),
    )
    op.create_table(
        "project_versions",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=60), nullable=False),
        sa.Column("question", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "version", name=op.f("pk_project_versions")),
    )
    with op.batch_alter_table("project_versions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_project_versions_agent"), ["agent"], unique=False)
    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("agent", sa.String(length=60), nullable=True))
        batch_op.add_column(sa.Column("extra_agent", sa.String(length=60), nullable=True))
        batch_op.add_column(sa.Column("agent_problem", sa.Text(), nullable=True))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("agent", sa.String(length=60), nullable=True))
    with op.batch_alter_table("capabilities", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reasoning", sa.Boolean(), server_default=sa.true(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("capabilities", schema=None) as batch_op:
        batch_op.drop_column("reasoning")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("agent")
    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.drop_column("agent_problem")
        batch_op.drop_column("extra_agent")
        batch_op.drop_column("agent")
    op.drop_table("project_versions")
    op.drop_table("agents")
