"""The tables of the store. The migrations in `migrations/` make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only an INTEGER key

projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # Label Studio's own id
    Column("label_config", Text, nullable=False),
    Column("instructions", Text, nullable=False),
    Column("version", String(200)),
    Column("auto_start", Boolean, nullable=False),
    Column("refusals", JSON, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", Integer, nullable=False),
    Column("version", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("total", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("reason", Text),
    Column("paused_by", String(10)),
    Column("lane", String(10), nullable=False, server_default="live"),
    Column("budget_tokens", BigInteger),
    Column("budget_usd", Float),
    Column("per_minute", Integer),
    Index(None, "project_id"),
    Index(None, "state"),
    Index(None, "finished_at"),
)

records = Table(
    "records",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", Integer, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    Column("version", String(200), nullable=False),
    Column("job_id", _ID, ForeignKey("jobs.id")),
    Column("state", String(20), nullable=False),
    Column("data", JSON, nullable=False),  # only the keys that the labeling config shows
    Column("data_hash", String(64), nullable=False),
    Column("result", JSON, nullable=False),
    Column("score", Float),
    Column("fields", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("error_class", String(40)),
    Column("error", Text),
    Column("reply_text", Text),
    Column("model", String(200)),
    Column("request_key", String(64)),
    Column("prompt_tokens", Integer, nullable=False, server_default="0"),
    Column("completion_tokens", Integer, nullable=False, server_default="0"),
    Column("calls", Integer, nullable=False, server_default="0"),
    Column("from_cache", Integer, nullable=False, server_default="0"),
    Column("latency_s", Float, nullable=False, server_default="0"),
    Column("claimed_by", String(80)),  # the queue message whose worker is at it
    Column("claimed_at", DateTime(timezone=True)),
    Column("delivery", String(10), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    Column("hold_until", DateTime(timezone=True)),
    Column("rewrite", Boolean, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("project_id", "task_id", "version"),
    Index(None, "job_id", "state"),
    Index(None, "project_id", "delivery"),
)

events = Table(
    "events",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", Integer),
    Column("action", String(60), nullable=False),
    Column("task_ids", JSON, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Index(None, "project_id", "action"),
)

capabilities = Table(
    "capabilities",
    metadata,
    Column("endpoint", String(400), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("structured", String(20), nullable=False),
    Column("logprobs", Integer, nullable=False),
    Column("max_tokens_name", String(40), nullable=False),
    Column("sampling", Boolean, nullable=False),
    Column("images", Boolean),  # null: not asked yet
    Column("checked_at", DateTime(timezone=True), nullable=False),
)

replies = Table(
    "replies",
    metadata,
    Column("key", String(64), primary_key=True),  # made in `services/cached_model.py`
    Column("request_key", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("finish_reason", String(40), nullable=False),
    Column("model", String(200), nullable=False),
    Column("tokens", LargeBinary),  # with their alternatives: JSON, compressed
    Column("prompt_tokens", Integer, nullable=False),  # what was paid
    Column("completion_tokens", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True), nullable=False),  # to within a day
    Index(None, "request_key"),
    Index(None, "used_at"),
)
