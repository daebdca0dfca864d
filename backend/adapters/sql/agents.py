"""Registered agents, and the versions of projects that they make."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from backend.adapters.sql.database import Database, utc, utc_or_none
from backend.adapters.sql.schema import agents, jobs, project_versions, projects
from backend.core.agents import AgentVersion, agent_of, parameters_of
from backend.ports.agents import ProjectVersion, RegisteredAgent


class SqlAgents(Database):
    def add_agent(self, version: AgentVersion) -> bool:
        agent, now = version.agent, self._clock()
        key = sa.and_(agents.c.name == agent.name, agents.c.hash == version.hash)
        insert = self._insert(agents).values(
            name=agent.name,
            hash=version.hash,
            template=agent.template,
            template_source=version.template_source,
            parameters=parameters_of(agent),
            created_at=now,
            added_at=now,
        )
        with self.begin() as connection:
            adding = insert.on_conflict_do_nothing(index_elements=["name", "hash"]).returning(agents.c.id)
            added = connection.execute(adding).first() is not None
            if not added:
                connection.execute(sa.update(agents).where(key).values(added_at=now, retired_at=None))
        return added

    def agent(self, name: str, digest: str | None = None) -> RegisteredAgent | None:
        query = sa.select(agents).where(agents.c.name == name)
        query = query.where(agents.c.retired_at.is_(None) if digest is None else agents.c.hash == digest)
        query = query.order_by(agents.c.added_at.desc(), agents.c.id.desc()).limit(1)
        with self.begin(read_only=True) as connection:
            row = connection.execute(query).mappings().first()
        return _registered(row) if row is not None else None

    def agents(self) -> list[RegisteredAgent]:
        query = sa.select(agents).order_by(agents.c.name, agents.c.added_at.desc(), agents.c.id.desc())
        with self.begin(read_only=True) as connection:
            return [_registered(row) for row in connection.execute(query).mappings()]

    def retire_agent(self, name: str, digest: str | None = None) -> int:
        query = sa.update(agents).where(agents.c.name == name, agents.c.retired_at.is_(None))
        if digest is not None:
            query = query.where(agents.c.hash == digest)
        with self.begin() as connection:
            return connection.execute(query.values(retired_at=self._clock())).rowcount

    def note_project_version(self, project_id: int, version: str, agent: str, question: str) -> None:
        values = {"agent": agent, "question": question}
        known = sa.select(project_versions.c.agent, project_versions.c.question).where(
            project_versions.c.project_id == project_id, project_versions.c.version == version
        )
        with self.begin(read_only=True) as connection:  # nearly always it is known: no write lock for that
            if connection.execute(known).first() == (agent, question):
                return
        insert = self._insert(project_versions).values(
            project_id=project_id, version=version, created_at=self._clock(), **values
        )
        with self.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["project_id", "version"], set_=values))

    def project_versions(self, *, project_id: int | None = None, agent: str | None = None) -> list[ProjectVersion]:
        table = project_versions
        query = sa.select(table).order_by(table.c.created_at, table.c.project_id, table.c.version)
        if project_id is not None:
            query = query.where(table.c.project_id == project_id)
        if agent is not None:
            query = query.where(table.c.agent == agent)
        with self.begin(read_only=True) as connection:
            return [
                ProjectVersion(
                    project_id=row["project_id"],
                    version=row["version"],
                    agent=row["agent"],
                    created_at=utc(row["created_at"]),
                )
                for row in connection.execute(query).mappings()
            ]

    def versions_beside(self, project_id: int) -> list[str]:
        with self.begin(read_only=True) as connection:
            return _versions_beside(connection, project_id)


def is_written(connection: Connection, project_id: int, version: str) -> bool:
    """Whether answers of the version are written to Label Studio now: those of the current one, and of agents beside.
    Of a project that is not known nothing is said against it."""
    query = sa.select(projects.c.version).where(projects.c.id == project_id)
    row = connection.execute(query).first()
    return row is None or row[0] == version or version in _versions_beside(connection, project_id)


def _versions_beside(connection: Connection, project_id: int) -> list[str]:
    current, beside = project_versions.alias("current"), project_versions.alias("beside")
    query = (
        sa.select(beside.c.version)
        .distinct()
        .join(current, sa.and_(current.c.project_id == beside.c.project_id, current.c.question == beside.c.question))
        .join(projects, sa.and_(projects.c.id == current.c.project_id, projects.c.version == current.c.version))
        .join(jobs, sa.and_(jobs.c.project_id == beside.c.project_id, jobs.c.version == beside.c.version))
        .where(projects.c.id == project_id, jobs.c.agent.is_not(None), beside.c.version != current.c.version)
        .order_by(beside.c.version)
    )
    return [str(version) for version in connection.execute(query).scalars()]


def _registered(row: RowMapping) -> RegisteredAgent:
    version = AgentVersion(
        agent=agent_of(row["name"], row["template"], row["parameters"]),
        template_source=row["template_source"],
        hash=row["hash"],
    )
    return RegisteredAgent(
        version=version,
        created_at=utc(row["created_at"]),
        added_at=utc(row["added_at"]),
        retired_at=utc_or_none(row["retired_at"]),
    )
