"""The whole store: its parts over one database, and the schema under them."""

from __future__ import annotations

from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy as sa

from backend.adapters.sql.capabilities import SqlCapabilities
from backend.adapters.sql.deliveries import SqlDeliveries
from backend.adapters.sql.enlisting import SqlEnlisting
from backend.adapters.sql.events import SqlEvents
from backend.adapters.sql.jobs import SqlJobs
from backend.adapters.sql.projects import SqlProjects
from backend.adapters.sql.records import SqlRecords
from backend.adapters.sql.replies import SqlReplies
from backend.adapters.sql.schema import projects
from backend.adapters.sql.sums import SqlSums
from backend.adapters.sql.upkeep import SqlUpkeep


class SqlStore(
    SqlProjects,
    SqlJobs,
    SqlEnlisting,
    SqlRecords,
    SqlDeliveries,
    SqlSums,
    SqlEvents,
    SqlCapabilities,
    SqlReplies,
    SqlUpkeep,
):
    """`backend.ports.store.Store` over SQLAlchemy. Cheap to make; open one a process, after any fork."""

    def migrate(self) -> None:
        """Bring the schema up to date. Safe to call from several processes at once."""
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.begin() as connection:
            if self._is_postgresql:  # one migration at a time; SQLite holds its write lock already
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305119)"))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def ping(self) -> str:
        with self.begin(read_only=True) as connection:
            connection.execute(sa.select(sa.func.count()).select_from(projects))
        return self.place
