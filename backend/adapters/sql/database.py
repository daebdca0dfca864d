"""One database, SQLite or PostgreSQL: opened, its transactions, and what the two do differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from backend.adapters.clock import utc_now
from backend.core.errors import StoreError
from backend.ports.clock import Clock

_BATCH = 500  # rows in one statement: SQLite allows 32,766 variables, and short transactions let others in

_WRITE = "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"

T = TypeVar("T")


class Database:
    """What every part of the store stands on: an engine, its transactions and a clock."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._place = "no database yet"
        try:
            parsed = _parsed(url)
            self._place = _place(parsed)
            self._engine = _engine(parsed)
        except OSError as error:
            raise StoreError(
                f"The folder of {self._place} cannot be made ({error.strerror}): check DATABASE_URL."
            ) from error
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise StoreError(f"DATABASE_URL cannot be used ({type(error).__name__}): {_WRITE}.") from error

    @property
    def place(self) -> str:
        """Which database this is, without user and password."""
        return self._place

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Connection]:
        """A transaction. Whatever the database says against it becomes a `StoreError`."""
        try:
            with self._engine.connect() as connection:
                connection.execution_options(read_only=read_only)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(
                f"The database {self._place} does not answer as it should ({type(cause).__name__}): "
                "check DATABASE_URL and that the server and the disk are well."
            ) from error

    @property
    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that knows ON CONFLICT, which each dialect has for itself."""
        return postgresql.insert(table) if self._is_postgresql else sqlite.insert(table)

    def _upsert(self, table: sa.Table, values: Mapping[str, Any], key: Sequence[str]) -> None:
        rest = {name: value for name, value in values.items() if name not in key}
        insert = self._insert(table).values(dict(values))
        with self.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=rest))

    def _update(
        self, table: sa.Table, ids: Sequence[int], values: Mapping[str, Any], *conditions: sa.ColumnElement[bool]
    ) -> None:
        """Change those of the rows with these ids that meet the conditions, and note when."""
        for batch in batches(ids):
            query = sa.update(table).where(table.c.id.in_(batch), *conditions)
            with self.begin() as connection:
                connection.execute(query.values({**values, "updated_at": self._clock()}))


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """`values` in lists of a size that one statement takes."""
    iterator = iter(values)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything in the store is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def utc_or_none(moment: datetime | None) -> datetime | None:
    return utc(moment) if moment is not None else None


def _parsed(url: str) -> sa.URL:
    """The URL with the driver that is installed, whichever it names. Raises `StoreError` for another database."""
    parsed = sa.make_url(url)
    name = parsed.drivername.partition("+")[0]
    if name in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if name != "sqlite":
        raise StoreError(f"DATABASE_URL names {name}, and Prelabel works with SQLite and PostgreSQL: {_WRITE}.")
    return parsed


def _place(url: sa.URL) -> str:
    """Where the database is, for messages: the file's whole path, or host and name; never user or password."""
    if url.get_backend_name() == "sqlite":
        in_memory = url.database in (None, "", ":memory:")
        return "sqlite://" if in_memory else f"sqlite:///{Path(str(url.database)).absolute()}"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or url.query.get('host') or 'localhost'}{port}/{url.database or ''}"


def _engine(parsed: sa.URL) -> Engine:
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            parsed,
            hide_parameters=True,  # they hold task text, and would be in the errors' messages
            connect_args={"timeout": 30, "check_same_thread": False},
            **_memory_options(parsed),
        )
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": 10})


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
