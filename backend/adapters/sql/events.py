"""The webhook events that Label Studio sent."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import events

_ACTION_CHARS = 60


class SqlEvents(Database):
    def add_event(self, project_id: int | None, action: str, task_ids: Sequence[int]) -> None:
        insert = sa.insert(events).values(
            project_id=project_id,
            action=action[:_ACTION_CHARS],
            task_ids=list(task_ids),
            received_at=self._clock(),
        )
        with self.begin() as connection:
            connection.execute(insert)

    def event_counts(self, project_id: int) -> dict[str, int]:
        query = (
            sa.select(events.c.action, sa.func.count())
            .where(events.c.project_id == project_id)
            .group_by(events.c.action)
        )
        with self.begin(read_only=True) as connection:
            return {action: n for action, n in connection.execute(query)}
