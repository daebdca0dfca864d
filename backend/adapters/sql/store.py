"""The whole store: its parts over one database, and the schema under them."""

from __future__ import annotations

from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy as sa
from alembic.util import CommandError

from backend.adapters.sql.agents import SqlAgents
from backend.adapters.sql.audits import SqlAudits
from backend.adapters.sql.batches import SqlBatches
from backend.adapters.sql.capabilities import SqlCapabilities
from backend.adapters.sql.deliveries import SqlDeliveries
from backend.adapters.sql.enlisting import SqlEnlisting
from backend.adapters.sql.events import SqlEvents
from backend.adapters.sql.golden import SqlGolden
from backend.adapters.sql.jobs import SqlJobs
from backend.adapters.sql.ledger import SqlLedger
from backend.adapters.sql.overview import SqlOverview
from backend.adapters.sql.own_tabs import SqlOwnTabs
from backend.adapters.sql.projects import SqlProjects
from backend.adapters.sql.records import SqlRecords
from backend.adapters.sql.replies import SqlReplies
from backend.adapters.sql.schema import projects
from backend.adapters.sql.scorings import SqlScorings
from backend.adapters.sql.sums import SqlSums
from backend.adapters.sql.upkeep import SqlUpkeep
from backend.adapters.sql.vectors import SqlVectors
from backend.core.errors import StoreError


class SqlStore(
    SqlProjects,
    SqlJobs,
    SqlEnlisting,
    SqlRecords,
    SqlDeliveries,
    SqlSums,
    SqlOverview,
    SqlEvents,
    SqlCapabilities,
    SqlReplies,
    SqlAgents,
    SqlBatches,
    SqlLedger,
    SqlScorings,
    SqlUpkeep,
    SqlAudits,
    SqlGolden,
    SqlVectors,
    SqlOwnTabs,
):
    """`backend.ports.store.Store` over SQLAlchemy. Cheap to make; open one a process, after any fork."""

    def migrate(self) -> None:
        """Bring the schema up to date. Safe to call from several processes at once.

        Raises `StoreError` for a database that a newer version has changed.
        """
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.begin() as connection:
            if self._is_postgresql:  # one migration at a time; SQLite holds its write lock already
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305119)"))
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
            except CommandError as error:  # it knows no such revision
                raise StoreError(
                    f"The database {self.place} was changed by a newer version of Prelabel: "
                    "install that one, or restore the backup from before the upgrade."
                ) from error

    def ping(self) -> str:
        with self.begin(read_only=True) as connection:
            connection.execute(sa.select(sa.func.count()).select_from(projects))
        return self.place
