"""What every store must do with registered agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.agents import AgentVersion
from backend.core.values import Agent, Example
from backend.ports.model import Capabilities
from backend.ports.store import ProjectRow
from tests.fakes.installation import HandClock

SOURCE = "{{ shape }} नमस्ते 👋🏽"
AGENT = Agent(
    name="careful",
    model="m",
    template="default.v1",
    seed=None,
    base_url="http://h/v1",
    examples=(Example(data={"text": "é", "n": [1, None]}, answer={"s": {"a": 1.5}}),),
)
ROW = ProjectRow(id=1, label_config="", instructions="", version="a@1", auto_start=False)


def version(**changes: Any) -> AgentVersion:
    return AgentVersion.of(replace(AGENT, **changes), SOURCE)


class AgentStoreCases:
    """`store` and `clock` are fixtures of the subclass."""

    def test_an_agent_is_kept_as_it_was(self, store: SqlStore, clock: HandClock) -> None:
        one = version()
        assert store.agent("careful") is None
        assert store.add_agent(one) is True
        found = store.agent("careful", one.hash)
        assert found is not None
        assert (found.version, found.created_at, found.retired_at) == (one, clock.now, None)
        assert store.agents() == [found]
        assert store.agent("careful", "00000000") is None
        assert store.agent("other") is None

    def test_students_and_calibrated_agents_are_kept_as_they_were(self, store: SqlStore) -> None:
        means = {"sentiment": {"kind": "batch", "tasks": 12, "means": {"é": 0.25, "b": 0.75}}}
        for one in (version(provider="student"), version(calibrated={"of": "careful", "means": means})):
            assert one.hash != version().hash
            store.add_agent(one)
            found = store.agent("careful", one.hash)
            assert found is not None
            assert found.version == one

    def test_of_a_name_the_version_that_was_added_last_is_the_newest(self, store: SqlStore, clock: HandClock) -> None:
        one, two = version(), version(temperature=1.0)
        for added, is_new in ((one, True), (two, True), (one, False)):
            clock.sleep(1)
            assert store.add_agent(added) is is_new
            newest = store.agent("careful")
            assert newest is not None
            assert newest.version == added
        assert [a.version for a in store.agents()] == [one, two]
        assert store.agents()[0].created_at < store.agents()[0].added_at

    def test_what_is_retired_is_found_by_its_hash_only(self, store: SqlStore) -> None:
        one, two, other = version(), version(temperature=1.0), version(name="other")
        for added in (one, two, other):
            store.add_agent(added)
        assert store.retire_agent("careful", two.hash) == 1
        newest = store.agent("careful")
        assert newest is not None
        assert newest.version == one
        assert store.retire_agent("careful") == 1
        assert store.retire_agent("careful") == 0
        assert store.agent("careful") is None
        assert store.agent("careful", two.hash) is not None
        assert store.agent("other") is not None
        store.add_agent(two)
        assert store.agent("careful") is not None

    def test_a_project_keeps_its_agent(self, store: SqlStore) -> None:
        row = replace(ROW, agent="careful@0123abcd", extra_agent="other", agent_problem="Why.")
        store.save_project(row)
        assert store.project(1) == row
        store.save_project(ROW)
        assert store.project(1) == ROW

    def test_a_job_keeps_its_agent(self, store: SqlStore) -> None:
        own, usual = store.create_job(1, "v", "run", "careful@0123abcd"), store.create_job(1, "v", "run")
        assert [job.agent for job in store.jobs(1)] == [None, "careful@0123abcd"]
        assert own < usual

    def test_a_version_leads_to_its_agent(self, store: SqlStore, clock: HandClock) -> None:
        store.note_project_version(1, "v@1", "a@1", "q")
        noted = clock.now
        clock.sleep(1)
        store.note_project_version(1, "v@2", "b@1", "q")
        store.note_project_version(2, "v@1", "a@1", "q")
        store.note_project_version(1, "v@1", "a@1", "q")
        found = store.project_versions(project_id=1)
        assert [(m.version, m.agent) for m in found] == [("v@1", "a@1"), ("v@2", "b@1")]
        assert found[0].created_at == noted
        assert [(m.project_id, m.version) for m in store.project_versions(agent="a@1")] == [(1, "v@1"), (2, "v@1")]
        assert len(store.project_versions()) == 3

    @pytest.mark.parametrize(
        ("question", "with_agent", "found"), [("q", True, ["b@1"]), ("other", True, []), ("q", False, [])]
    )
    def test_versions_beside_are_of_jobs_with_an_agent_on_the_present_question(
        self, store: SqlStore, question: str, with_agent: bool, found: list[str]
    ) -> None:
        store.save_project(ROW)
        store.save_project(replace(ROW, id=2))
        for project in (1, 2):
            store.note_project_version(project, "a@1", "a@1", "q")
        store.note_project_version(1, "b@1", "b@1", question)
        for _ in range(2):
            store.create_job(1, "b@1", "run", "b@1" if with_agent else None)
        store.create_job(1, "a@1", "run", "a@1")  # what is current is not beside itself
        assert store.versions_beside(1) == found
        assert store.versions_beside(2) == []
        assert store.versions_beside(3) == []

    def test_a_refused_reasoning_effort_is_remembered(self, store: SqlStore) -> None:
        found = Capabilities(structured="text", logprobs=0, reasoning=False)
        store.save_capabilities("http://a", "m", found)
        assert store.capabilities("http://a", "m") == found
