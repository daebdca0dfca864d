"""What is remembered of a project."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import projects
from backend.ports.store import ProjectRow


class SqlProjects(Database):
    def project(self, project_id: int) -> ProjectRow | None:
        with self.begin(read_only=True) as connection:
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
            agent=row["agent"],
            extra_agent=row["extra_agent"],
            agent_problem=row["agent_problem"],
        )

    def save_project(self, row: ProjectRow) -> None:
        values = {**asdict(row), "refusals": list(row.refusals), "updated_at": self._clock()}
        self._upsert(projects, values, key=("id",))

    def versions(self) -> list[str]:
        query = sa.select(projects.c.version).where(projects.c.version.is_not(None)).distinct()
        with self.begin(read_only=True) as connection:
            return sorted(str(version) for version in connection.execute(query).scalars())
