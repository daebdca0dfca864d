"""Which Data Manager tabs were made here."""

from __future__ import annotations

import sqlalchemy as sa

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import own_tabs


class SqlOwnTabs(Database):
    def note_tab(self, project_id: int, tab_id: int) -> None:
        new = self._insert(own_tabs).values(project_id=project_id, tab_id=tab_id)
        with self.begin() as connection:
            connection.execute(new.on_conflict_do_nothing(index_elements=["project_id", "tab_id"]))

    def own_tabs(self, project_id: int) -> set[int]:
        query = sa.select(own_tabs.c.tab_id).where(own_tabs.c.project_id == project_id)
        with self.begin(read_only=True) as connection:
            return set(connection.execute(query).scalars())
