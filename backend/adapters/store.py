"""The store in SQL: a SQLite file in WAL mode by default, PostgreSQL by URL. One class, both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from backend.adapters.tables import capabilities, events, jobs, projects, records
from backend.core.errors import StoreError
from backend.core.text import storable
from backend.core.values import Outcome, Task, TaskState, Usage
from backend.ports import Capabilities, Clock, Counts, JobRow, ProjectRow, Record

_BATCH = 500  # rows in one statement: SQLite allows 32,766 variables, and short transactions let others in
_LEASE = timedelta(minutes=15)  # longer than a chunk may run (`rq_queue.CHUNK_TIMEOUT_S`)
_ANSWERED = (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID)
_DELIVERED = ("claimed", "handed", "written")
_MODEL_CHARS = 200
# A prediction that was delivered after a job began to read tasks may be missing in what it read. Clocks differ, too.
_MAY_BE_UNSEEN = timedelta(minutes=1)

T = TypeVar("T")


def utc_now() -> datetime:
    """The clock of the services: aware, UTC."""
    return datetime.now(UTC)


class SqlStore:
    """`backend.ports.Store` over SQLAlchemy. Cheap to make; open one a process, after any fork."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        try:
            self._engine = _engine(url)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise StoreError(
                f"DATABASE_URL cannot be used ({type(error).__name__}): "
                "write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME."
            ) from error

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _begin(self, *, read_only: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(read_only=read_only)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(
                f"The database does not answer as it should ({type(cause).__name__}): "
                "check DATABASE_URL and that the server and the disk are well."
            ) from error

    # --- life ---------------------------------------------------------------------------------------------------

    def migrate(self) -> None:
        """Bring the schema up to date. Safe to call from several processes at once."""
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._begin() as connection:
            _lock_schema(connection)
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def ping(self) -> str:
        with self._begin(read_only=True) as connection:
            connection.execute(sa.select(sa.func.count()).select_from(projects))
        return "PostgreSQL" if self._engine.dialect.name == "postgresql" else "SQLite"

    # --- projects -----------------------------------------------------------------------------------------------

    def project(self, project_id: int) -> ProjectRow | None:
        with self._begin(read_only=True) as connection:
            row = connection.execute(sa.select(projects).where(projects.c.id == project_id)).mappings().first()
        if row is None:
            return None
        return ProjectRow(
            id=row["id"],
            label_config=row["label_config"],
            instructions=row["instructions"],
            version=row["version"],
            auto_start=row["auto_start"],
            refusals=tuple(row["refusals"]),
        )

    def save_project(self, row: ProjectRow) -> None:
        values = {**asdict(row), "refusals": list(row.refusals), "updated_at": self._clock()}
        with self._begin() as connection:
            self._upsert(connection, projects, values, key=("id",))

    def versions(self) -> list[str]:
        query = sa.select(projects.c.version).where(projects.c.version.is_not(None)).distinct()
        with self._begin(read_only=True) as connection:
            return sorted(str(version) for version in connection.execute(query).scalars())

    # --- jobs ---------------------------------------------------------------------------------------------------

    def create_job(self, project_id: int, version: str, kind: str) -> int:
        now = self._clock()
        insert = sa.insert(jobs).values(
            project_id=project_id, version=version, kind=kind, state="queued", total=0, created_at=now
        )
        abandoned = sa.update(records).where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.state == TaskState.RUNNING.value,
            records.c.claimed_at < now - _LEASE,
        )
        with self._begin() as connection:
            connection.execute(abandoned.values(state=TaskState.QUEUED.value, claimed_by=None))
            return int(connection.execute(insert.returning(jobs.c.id)).scalar_one())

    def enlist(self, job_id: int, tasks: Iterable[Task], *, absent: bool, hold_s: float = 0.0) -> None:
        hold_until = self._clock() + timedelta(seconds=hold_s) if hold_s else None
        with self._begin(read_only=True) as connection:
            job = connection.execute(sa.select(jobs.c.version, jobs.c.created_at).where(jobs.c.id == job_id)).one()
        read_since = _utc(job.created_at) - _MAY_BE_UNSEEN
        for chunk in _chunks(tasks, _BATCH):
            with self._begin() as connection:
                self._enlist(
                    connection, job_id, job.version, chunk, absent=absent, hold_until=hold_until, read_since=read_since
                )
        mine = sa.select(sa.func.count()).select_from(records).where(records.c.job_id == job_id).scalar_subquery()
        with self._begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(total=mine))

    def failed_task_ids(self, project_id: int, version: str) -> list[int]:
        query = sa.select(records.c.task_id).where(
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.state == TaskState.FAILED.value,
        )
        with self._begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def _enlist(
        self,
        connection: Connection,
        job_id: int,
        version: str,
        tasks: Sequence[Task],
        *,
        absent: bool,
        hold_until: datetime | None,
        read_since: datetime,
    ) -> None:
        now = self._clock()
        fresh: list[dict[str, Any]] = [
            {
                "project_id": t.project_id,
                "task_id": t.id,
                "version": version,
                "job_id": job_id,
                "state": TaskState.QUEUED.value,
                "data": dict(t.data),
                "data_hash": t.data_hash,
                "result": [],
                "fields": [],
                "notes": [],
                "delivery": "none",
                "hold_until": hold_until,
                "rewrite": False,
                "updated_at": now,
            }
            for t in tasks
        ]
        project_id = tasks[0].project_id
        existing = {r.task_id: r for r in self._records(connection, project_id, version, [t.id for t in tasks])}
        new = [row for row in fresh if row["task_id"] not in existing]
        if new:  # another process may have been first: then its record stands
            insert = self._dialect_insert(records).on_conflict_do_nothing(
                index_elements=["project_id", "task_id", "version"]
            )
            connection.execute(insert, new)
        for row in fresh:
            record = existing.get(row["task_id"])
            if record is not None:
                self._enlist_again(connection, record, row, absent=absent, read_since=read_since)

    def _enlist_again(
        self, connection: Connection, record: Record, row: Mapping[str, Any], *, absent: bool, read_since: datetime
    ) -> None:
        unseen = record.delivery == "claimed" or (record.delivered_at or read_since) > read_since
        surely_absent = absent and not unseen
        values: dict[str, Any] = {"job_id": row["job_id"], "hold_until": row["hold_until"]}
        unchanged = record.data_hash == row["data_hash"]
        if unchanged and not record.state.finished:
            pass  # its answer is under way
        elif unchanged and record.state in _ANSWERED:
            if absent and record.delivery in ("handed", "written"):
                values |= {"delivery": "pending", "rewrite": not surely_absent}
        else:
            values |= {
                "state": TaskState.QUEUED.value,
                "data": row["data"],
                "data_hash": row["data_hash"],
                "delivery": "none",
                "rewrite": record.rewrite or (record.delivery in _DELIVERED and not surely_absent),
                "updated_at": row["updated_at"],
            }
        connection.execute(sa.update(records).where(records.c.id == record.id).values(values))

    def job(self, job_id: int) -> JobRow | None:
        with self._begin(read_only=True) as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().first()
        return _job(row) if row is not None else None

    def jobs(self, project_id: int | None = None, limit: int = 20) -> list[JobRow]:
        query = sa.select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if project_id is not None:
            query = query.where(jobs.c.project_id == project_id)
        with self._begin(read_only=True) as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def job_task_ids(self, job_id: int, states: Sequence[TaskState]) -> list[int]:
        query = (
            sa.select(records.c.task_id)
            .where(records.c.job_id == job_id, records.c.state.in_([s.value for s in states]))
            .order_by(records.c.task_id)
        )
        with self._begin(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def set_job_state(self, job_id: int, state: str, reason: str | None = None) -> None:
        values: dict[str, Any] = {"state": state, "reason": reason}
        if state in ("done", "stopped"):
            values["finished_at"] = self._clock()
        since = ["queued"] if state == "running" else ["queued", "running", "stopped"]
        with self._begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(since)).values(values))

    def finish_job_if_done(self, job_id: int) -> bool:
        unfinished = sa.exists().where(
            records.c.job_id == job_id, records.c.state.in_([TaskState.QUEUED.value, TaskState.RUNNING.value])
        )
        with self._begin() as connection:
            done = connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state.in_(["queued", "running"]), ~unfinished)
                .values(state="done", finished_at=self._clock())
            )
        return bool(done.rowcount)

    # --- records ------------------------------------------------------------------------------------------------

    def claim(self, version: str, project_id: int, task_ids: Sequence[int], claimant: str) -> list[Record]:
        now = self._clock()
        abandoned = sa.and_(
            records.c.state == TaskState.RUNNING.value,
            sa.or_(records.c.claimed_by == claimant, records.c.claimed_at < now - _LEASE),
        )
        claimed: list[Record] = []
        for ids in _chunks(task_ids, _BATCH):
            query = (
                sa.update(records)
                .where(
                    records.c.project_id == project_id,
                    records.c.version == version,
                    records.c.task_id.in_(ids),
                    sa.or_(records.c.state == TaskState.QUEUED.value, abandoned),
                )
                .values(state=TaskState.RUNNING.value, claimed_by=claimant, claimed_at=now, updated_at=now)
                .returning(*_RECORD_COLUMNS)
            )
            with self._begin() as connection:
                claimed += [_record(row) for row in connection.execute(query).mappings()]
        return sorted(claimed, key=lambda r: r.task_id)

    def release(self, record_ids: Sequence[int]) -> None:
        self._update(
            record_ids,
            {"state": TaskState.QUEUED.value, "claimed_by": None},
            records.c.state == TaskState.RUNNING.value,
        )

    def save_outcome(self, record_id: int, data_hash: str, outcome: Outcome) -> None:
        values = {
            "state": outcome.state.value,
            "result": [dict(region) for region in outcome.result],
            "score": outcome.score,
            "fields": [
                {
                    "control": f.control,
                    "step": f.step,
                    "problem": f.problem,
                    "rejected": list(f.rejected),
                    "notes": list(f.notes),
                    "confidence": f.confidence,
                }
                for f in outcome.fields
            ],
            "notes": list(outcome.notes),
            "error_class": outcome.error_class,
            "error": outcome.error,
            "reply_text": outcome.reply_text,
            "model": (outcome.model or "")[:_MODEL_CHARS] or None,
            "request_key": outcome.request_key,
            "delivery": "pending",
            "claimed_by": None,
            "updated_at": self._clock(),
        }
        spent = {
            "prompt_tokens": records.c.prompt_tokens + outcome.usage.prompt_tokens,
            "completion_tokens": records.c.completion_tokens + outcome.usage.completion_tokens,
            "calls": records.c.calls + outcome.usage.calls,
            "latency_s": records.c.latency_s + outcome.latency_s,
        }
        mine = records.c.id == record_id
        with self._begin() as connection:
            connection.execute(sa.update(records).where(mine).values(spent))  # paid for, whatever becomes of it
            connection.execute(
                sa.update(records)
                .where(mine, records.c.data_hash == data_hash, records.c.state == TaskState.RUNNING.value)
                .values({name: storable(value) for name, value in values.items()})
            )

    def records(self, project_id: int, version: str, task_ids: Sequence[int]) -> dict[int, Record]:
        found: dict[int, Record] = {}
        for ids in _chunks(task_ids, _BATCH):
            with self._begin(read_only=True) as connection:
                found |= {r.task_id: r for r in self._records(connection, project_id, version, ids)}
        return found

    def _records(self, connection: Connection, project_id: int, version: str, task_ids: Sequence[int]) -> list[Record]:
        query = sa.select(*_RECORD_COLUMNS).where(
            records.c.project_id == project_id, records.c.version == version, records.c.task_id.in_(task_ids)
        )
        return [_record(row) for row in connection.execute(query).mappings()]

    # --- deliveries ---------------------------------------------------------------------------------------------

    def hand_over(self, record_ids: Sequence[int], *, lost_before: datetime) -> set[int]:
        lost = sa.and_(records.c.delivery.in_(["handed", "written"]), records.c.delivered_at < lost_before)
        unwritten = sa.and_(records.c.delivery == "pending", records.c.rewrite.is_(False))
        got: set[int] = set()
        for ids in _chunks(record_ids, _BATCH):
            query = (
                sa.update(records)
                .where(records.c.id.in_(ids), sa.or_(unwritten, lost))
                .values(delivery="handed", delivered_at=self._clock(), hold_until=None)
                .returning(records.c.id)
            )
            with self._begin() as connection:
                got |= set(connection.execute(query).scalars())
        return got

    def end_hold(self, record_ids: Sequence[int]) -> None:
        self._update(record_ids, {"hold_until": None})

    def claim_deliveries(self, project_id: int, version: str, limit: int) -> list[Record]:
        due = sa.select(records.c.id).where(*self._due(project_id, version)).order_by(records.c.id).limit(limit)
        query = (
            sa.update(records)
            .where(records.c.id.in_(due), records.c.delivery == "pending")
            .values(delivery="claimed", delivered_at=self._clock())
            .returning(*_RECORD_COLUMNS)
        )
        with self._begin() as connection:
            return sorted((_record(row) for row in connection.execute(query).mappings()), key=lambda r: r.id)

    def set_delivery(self, record_ids: Sequence[int], delivery: str) -> None:
        values: dict[str, Any] = {"delivery": delivery}
        if delivery == "written":
            values |= {"delivered_at": self._clock(), "rewrite": False}
        self._update(record_ids, values, records.c.delivery.in_(_DELIVERED))

    def set_deleted(self, record_ids: Sequence[int]) -> None:
        self._update(record_ids, {"state": TaskState.DELETED.value, "delivery": "none"})

    def set_refused(self, record_id: int, message: str) -> None:
        values = {"state": TaskState.FAILED.value, "error_class": "refused_prediction", "error": message}
        self._update([record_id], {**values, "delivery": "none"})

    def unclaim_deliveries(self, project_id: int) -> int:
        query = (
            sa.update(records)
            .where(records.c.project_id == project_id, records.c.delivery == "claimed")
            # What the dead writer had sent may or may not have arrived: look before writing.
            .values(delivery="pending", rewrite=True)
        )
        with self._begin() as connection:
            return connection.execute(query).rowcount

    def due_deliveries(self, project_id: int, version: str) -> int:
        query = sa.select(sa.func.count()).select_from(records).where(*self._due(project_id, version))
        with self._begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def _due(self, project_id: int, version: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            records.c.project_id == project_id,
            records.c.version == version,
            records.c.delivery == "pending",
            sa.or_(records.c.hold_until.is_(None), records.c.hold_until < self._clock()),
        )

    # --- sums ---------------------------------------------------------------------------------------------------

    def counts(self, project_id: int, *, version: str | None = None, job_id: int | None = None) -> Counts:
        query = sa.select(
            *(records.c[name] for name in ("state", "delivery", "result", "fields", "error_class")),
            *(records.c[name] for name in ("prompt_tokens", "completion_tokens", "calls")),
        ).where(records.c.project_id == project_id)
        if version is not None:
            query = query.where(records.c.version == version)
        if job_id is not None:
            query = query.where(records.c.job_id == job_id)
        tally = _Tally()
        with self._begin(read_only=True) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                tally.add(row)
        return tally.counts()

    def progress(self, job_id: int) -> Counts:
        query = (
            sa.select(records.c.state, records.c.delivery, sa.func.count())
            .where(records.c.job_id == job_id)
            .group_by(records.c.state, records.c.delivery)
        )
        states: Counter[str] = Counter()
        deliveries: Counter[str] = Counter()
        with self._begin(read_only=True) as connection:
            for state, delivery, n in connection.execute(query):
                states[state] += n
                deliveries[delivery] += n
        return Counts(states=states, deliveries=deliveries)

    def calls(self, project_id: int) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(records.c.calls), 0)).where(records.c.project_id == project_id)
        with self._begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())

    def state_totals(self) -> dict[str, int]:
        query = sa.select(records.c.state, sa.func.count()).group_by(records.c.state)
        with self._begin(read_only=True) as connection:
            return {state: n for state, n in connection.execute(query)}

    # --- events and endpoints -----------------------------------------------------------------------------------

    def add_event(self, project_id: int | None, action: str, task_ids: Sequence[int]) -> None:
        with self._begin() as connection:
            connection.execute(
                sa.insert(events).values(
                    project_id=project_id, action=action[:60], task_ids=list(task_ids), received_at=self._clock()
                )
            )

    def event_counts(self, project_id: int) -> dict[str, int]:
        query = (
            sa.select(events.c.action, sa.func.count())
            .where(events.c.project_id == project_id)
            .group_by(events.c.action)
        )
        with self._begin(read_only=True) as connection:
            return {action: n for action, n in connection.execute(query)}

    def capabilities(self, endpoint: str, model: str) -> Capabilities | None:
        query = sa.select(capabilities).where(capabilities.c.endpoint == endpoint, capabilities.c.model == model)
        with self._begin(read_only=True) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Capabilities(
            structured=row["structured"],
            logprobs=row["logprobs"],
            max_tokens_name=row["max_tokens_name"],
            sampling=row["sampling"],
        )

    def save_capabilities(self, endpoint: str, model: str, found: Capabilities) -> None:
        values = {**asdict(found), "endpoint": endpoint, "model": model, "checked_at": self._clock()}
        with self._begin() as connection:
            self._upsert(connection, capabilities, values, key=("endpoint", "model"))

    # --- helpers ------------------------------------------------------------------------------------------------

    def _update(
        self, record_ids: Sequence[int], values: Mapping[str, Any], *conditions: sa.ColumnElement[bool]
    ) -> None:
        for ids in _chunks(record_ids, _BATCH):
            query = sa.update(records).where(records.c.id.in_(ids), *conditions)
            with self._begin() as connection:
                connection.execute(query.values({**values, "updated_at": self._clock()}))

    def _upsert(self, connection: Connection, table: sa.Table, values: Mapping[str, Any], key: Sequence[str]) -> None:
        rest = {name: value for name, value in values.items() if name not in key}
        insert = self._dialect_insert(table).values(dict(values))
        connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=rest))

    def _dialect_insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


_RECORD_COLUMNS = tuple(
    records.c[name]
    for name in (
        *("id", "project_id", "task_id", "version", "job_id", "state", "data", "data_hash", "result", "score"),
        *("delivery", "delivered_at", "rewrite", "error"),
    )
)


class _Tally:
    """Sums over record rows."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {}
        self._rejected: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._usage = Usage()

    def add(self, row: RowMapping) -> None:
        self._states[row["state"]] += 1
        self._deliveries[row["delivery"]] += 1
        if row["error_class"]:
            self._errors[row["error_class"]] += 1
        for region in row["result"]:
            for label in _labels_of(region):
                self._labels.setdefault(region["from_name"], Counter())[label] += 1
        for field in row["fields"]:
            self._rejected.update(field["rejected"])
            if field["step"]:
                self._steps[field["step"]] += 1
        self._usage += Usage(
            prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"], calls=row["calls"]
        )

    def counts(self) -> Counts:
        return Counts(
            states=dict(self._states),
            deliveries=dict(self._deliveries),
            labels={control: dict(n.most_common()) for control, n in self._labels.items()},
            rejected=dict(self._rejected.most_common(20)),
            steps=dict(self._steps.most_common()),
            errors=dict(self._errors.most_common()),
            usage=self._usage,
        )


def _labels_of(region: Mapping[str, Any]) -> list[str]:
    """The classes that a region carries; free text and numbers are none."""
    value = region["value"]
    for key in ("choices", "labels"):
        if key in value:
            return [str(label) for label in value[key]]
    if "taxonomy" in value:
        return [" > ".join(path) for path in value["taxonomy"]]
    return [str(value[key]) for key in ("rating", "selected") if key in value]


def _engine(url: str) -> Engine:
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            parsed, connect_args={"timeout": 30, "check_same_thread": False}, **_memory_options(parsed)
        )
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10})


def _memory_options(url: sa.URL) -> dict[str, Any]:
    """A database in memory is its one connection: kept open, and lent to one thread at a time."""
    if url.database not in (None, "", ":memory:"):
        return {}
    return {"poolclass": sa.QueuePool, "pool_size": 1, "max_overflow": 0}


def _set_pragmas(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN, see below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take SQLite's write lock at once where there is something to write.

    A transaction that reads first and writes later fails with "locked"; one that only reads waits for nobody.
    """
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _lock_schema(connection: Connection) -> None:
    """One migration at a time: SQLite holds its write lock already; PostgreSQL takes an advisory lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305119)"))


def _record(row: RowMapping) -> Record:
    return Record(
        id=row["id"],
        project_id=row["project_id"],
        task_id=row["task_id"],
        version=row["version"],
        job_id=row["job_id"],
        state=TaskState(row["state"]),
        data=row["data"],
        data_hash=row["data_hash"],
        result=tuple(row["result"]),
        score=row["score"],
        delivery=row["delivery"],
        delivered_at=_aware(row["delivered_at"]),
        rewrite=row["rewrite"],
        error=row["error"],
    )


def _job(row: RowMapping) -> JobRow:
    return JobRow(
        id=row["id"],
        project_id=row["project_id"],
        version=row["version"],
        kind=row["kind"],
        state=row["state"],
        total=row["total"],
        created_at=_utc(row["created_at"]),
        finished_at=_aware(row["finished_at"]),
        reason=row["reason"],
    )


def _aware(moment: datetime | None) -> datetime | None:
    return _utc(moment) if moment is not None else None


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything in the store is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
