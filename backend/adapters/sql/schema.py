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
    false,
    true,
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
    Column("agent", String(60)),  # that a user chose; null: the one of the settings
    Column("extra_agent", String(60)),  # that Label Studio's extra params name: before the other
    Column("agent_problem", Text),
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
    Column("agent", String(60)),  # name@hash; null: the project's own
    Column("selection", JSON(none_as_null=True)),  # which tasks are read for it; null: it was given them
    Column("reading", Boolean, nullable=False, server_default=false()),  # not all of them have been read yet
    Column("read_to", BigInteger),  # the highest id of a task that was read; null: none yet
    Column("spent_tokens", BigInteger, nullable=False, server_default="0"),  # of a job with a budget; see `ledger.py`
    Column("spent_usd", Float, nullable=False, server_default="0"),
    Column("taken_over_by", JSON),  # ids of later jobs that enlisted some of its tasks
    Index(None, "project_id"),
    Index(None, "state"),
    Index(None, "finished_at"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("usd", Float, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index(None, "job_id"),
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
    Column("score", Float),  # that is used: the model's own, or by a fit
    Column("fields", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("error_class", String(40)),
    Column("error", Text),
    Column("reply_text", Text),
    Column("model", String(200)),
    Column("request_key", String(64)),
    Column("take", Integer, nullable=False, server_default="0"),  # how often its task was asked anew
    Column("examples", JSON(none_as_null=True)),  # verified tasks that stood in its prompt; null: none
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
    Column("raw_score", Float),  # the model's own, where `score` is by a fit
    Column("revision", Integer, nullable=False, server_default="0"),  # number of that fit; 0: none
    UniqueConstraint("project_id", "task_id", "version"),
    Index(None, "job_id", "state"),
    Index(None, "project_id", "delivery"),
    Index(None, "data_hash"),
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
    Column("reasoning", Boolean, nullable=False, server_default=true()),
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

vectors = Table(
    "vectors",
    metadata,
    Column("key", String(64), primary_key=True),  # made in `services/embedding.py`
    Column("numbers", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index(None, "created_at"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(40), nullable=False),
    Column("hash", String(8), nullable=False),
    Column("template", String(80), nullable=False),  # where its source was read from
    Column("template_source", Text, nullable=False),
    Column("parameters", JSON, nullable=False),  # `core/agents.py`: everything else, examples too
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),  # the last time
    Column("retired_at", DateTime(timezone=True)),
    UniqueConstraint("name", "hash"),
)

project_versions = Table(
    "project_versions",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("version", String(200), primary_key=True),
    Column("agent", String(60), nullable=False),  # name@hash
    Column("question", String(64), nullable=False),  # hash over labeling config and instructions
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index(None, "agent"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("marker", String(32), nullable=False),
    Column("round", Integer, nullable=False),
    Column("endpoint", String(400), nullable=False),
    Column("state", String(10), nullable=False),
    Column("file_id", String(200)),  # at the endpoint
    Column("endpoint_id", String(200)),
    Column("status", String(40)),
    Column("error", String(80)),
    Column("requests", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),  # paid through the batch; the records count these replies
    Column("completion_tokens", BigInteger, nullable=False),  # as served from the cache
    Column("calls", Integer, nullable=False),
    Column("submitted_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Index(None, "job_id"),
    Index(None, "state"),
)

batch_requests = Table(
    "batch_requests",
    metadata,
    Column("custom_id", String(64), primary_key=True),  # so that a request is in one unread batch only
    Column("batch_id", _ID, ForeignKey("batches.id"), nullable=False),
    Column("request_key", String(64), nullable=False),
    Column("logprobs", Boolean, nullable=False),
    Index(None, "batch_id"),
)

verifications = Table(
    "verifications",
    metadata,
    Column("annotation_id", BigInteger, primary_key=True, autoincrement=False),  # Label Studio's own id
    Column("project_id", Integer, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    Column("annotator_id", BigInteger),
    Column("outcome", String(10), nullable=False),
    Column("version", String(200)),  # of the prediction that it is compared with
    Column("controls", JSON, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("lead_time_s", Float),
    Column("created_at", DateTime(timezone=True), nullable=False),  # both as Label Studio says it
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("ground_truth", Boolean, nullable=False),
    Column("data_hash", String(64), nullable=False),
    Column("config_fingerprint", String(64), nullable=False),
    Column("regions", JSON, nullable=False),
    Column("predicted", JSON, nullable=False),
    Column("slices", JSON, nullable=False),
    Column("stale", Boolean, nullable=False),
    Column("problem", String(200)),
    Column("deleted_at", DateTime(timezone=True)),  # set: left out of everything
    Column("change", BigInteger, nullable=False, server_default="0"),  # the project's count when it was last changed
    Index(None, "project_id", "annotation_id"),
    Index(None, "project_id", "change"),
    Index(None, "task_id"),
)

verification_changes = Table(
    "verification_changes",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False),  # how often any of its verifications was changed
)

caught_up = Table(
    "caught_up",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("config_fingerprint", String(64), nullable=False),
)

audit_plans = Table(
    "audit_plans",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("secret", String(64), nullable=False),  # together with a task's id it says whether the task is audited
    Column("up_to", BigInteger, nullable=False),  # the highest task id of the first batch
    Column("first_share", Float, nullable=False),
    Column("later_share", Float, nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("begun_share", Float),  # the lowest one before the audit was extended
    Column("late", Boolean, nullable=False, server_default=false()),  # drawn when tasks were annotated already
    Column("ended_at", DateTime(timezone=True)),
)

audit_looks = Table(
    "audit_looks",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, ...
    Column("kind", String(10), nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

scorings = Table(
    "scorings",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("version", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the fit: 1, 2, ...
    Column("state", String(10), nullable=False),
    Column("annotations", Integer, nullable=False),
    Column("change", Integer, nullable=False, server_default="0"),  # of `verification_changes`, by then
    Column("answers", Integer, nullable=False, server_default="0"),
    Column("controls", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("shown_at", DateTime(timezone=True)),
    Column("cleared", Boolean, nullable=False, server_default=false()),
)

golden_tasks = Table(
    "golden_tasks",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", Integer, nullable=False),
    Column("source_task_id", BigInteger, nullable=False),
    Column("task_id", BigInteger),  # null: being imported just now
    Column("above", BigInteger, nullable=False),  # the highest task id before it was imported
    Column("data_hash", String(64), nullable=False),
    Column("control", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("result", JSON, nullable=False),
    Column("score", Float),
    Column("written_as", String(200)),  # the version of its prediction in Label Studio; null: it lacks it
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),  # its task is deleted
    Column("whole_hash", String(64)),  # of all columns of its data; null: made by an earlier release
    Column("overlap", Integer),  # annotators that Label Studio is to be told yet; null: none
    Index(None, "project_id", "task_id"),
)

own_tabs = Table(
    "own_tabs",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("tab_id", BigInteger, primary_key=True, autoincrement=False),  # a Data Manager tab that was made here
)

left_out = Table(
    "left_out",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("annotator_id", BigInteger, primary_key=True, autoincrement=False),
    Column("on", Boolean, nullable=False),  # false: counted again
    Column("changed_at", DateTime(timezone=True), nullable=False),
)
