"""Which agent a project has, and what changes with it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.errors import AgentUnknown, InputError
from backend.core.values import Agent
from backend.services.agents import wanted_agent
from tests.fakes.installation import AGENT, CONFIG, Installation, by_mood, replying

CAREFUL = Agent(name="careful", model="other-model", template="default.v1", reasks=0, confidence="logprob")


def registered(installation: Installation, agent: Agent = CAREFUL, **changes: Any) -> AgentVersion:
    version = AgentVersion.of(replace(agent, **changes), installation.projects.template_source)
    installation.store.add_agent(version)
    return version


def test_a_project_has_the_settings_agent_by_itself() -> None:
    installation = Installation()
    registered(installation)
    row, _ = installation.projects.remember(1, CONFIG)
    assert installation.projects.agents.of(row) == installation.projects.agents.default
    assert installation.projects.question(row).agent == AGENT
    assert installation.projects.agents.of(None) == installation.projects.agents.default


def test_a_name_is_its_newest_version_that_is_not_retired() -> None:
    installation = Installation()
    agents = installation.projects.agents
    old, new = registered(installation), registered(installation, temperature=1.0)
    assert agents.find("careful") == new
    assert agents.find(old.reference) == old
    assert agents.retire(new.reference) == 1
    assert agents.find("careful") == old
    assert agents.find(new.reference) == new
    assert agents.retire("careful") == 1
    with pytest.raises(AgentUnknown, match=r"There is no agent 'careful': choose one of tests \("):
        agents.find("careful")
    installation.store.add_agent(old)
    assert agents.find("careful") == old


@pytest.mark.parametrize("text", ["nobody", "careful@00000000", "", "a b", "x" * 500, "tests@00000000"])
def test_an_unknown_agent_is_told_with_those_that_there_are(text: str) -> None:
    installation = Installation()
    registered(installation)
    with pytest.raises(AgentUnknown, match="choose one of tests, careful") as raised:
        installation.projects.agents.find(text)
    assert len(str(raised.value)) < 200
    with pytest.raises((AgentUnknown, InputError)):
        installation.projects.agents.retire(text)


def test_the_settings_agent_goes_by_its_name_and_cannot_be_retired() -> None:
    installation = Installation()
    agents = installation.projects.agents
    assert agents.find("tests") == agents.find(agents.default.reference) == agents.default
    with pytest.raises(InputError, match="PRELABEL_AGENT"):
        agents.retire("tests")
    with pytest.raises(InputError, match="PRELABEL_AGENT"):
        agents.need_free("tests")


def test_choosing_an_agent_changes_the_version_everywhere() -> None:
    installation = Installation()
    project_id, _ = installation.project("text")
    installation.labels.save_backend(project_id, None, {"url": "http://here:9090", "title": "LLM"})
    before = installation.projects.sync(installation.labels, project_id)
    version = registered(installation)
    row = installation.projects.choose(installation.labels, project_id, "careful")
    assert row.version != before.version
    assert str(row.version).startswith("careful@")
    assert row.agent == version.reference
    assert [b.title for b in installation.labels.backends(project_id)] == [row.version]
    assert installation.labels.project(project_id).model_version == row.version
    assert installation.projects.question(row).agent == CAREFUL
    assert installation.projects.setup_version(row) == row.version
    back = installation.projects.choose(installation.labels, project_id, "tests")
    assert (back.version, back.agent) == (before.version, None)


def test_what_is_added_later_changes_no_project_that_chose_before() -> None:
    installation = Installation()
    project_id, _ = installation.project("text")
    registered(installation)
    before = installation.projects.choose(installation.labels, project_id, "careful")
    registered(installation, temperature=1.0)
    assert installation.projects.sync(installation.labels, project_id) == before


def test_our_backend_is_known_by_the_name_of_any_agent() -> None:
    installation = Installation()
    registered(installation)
    project_id, _ = installation.project("text")
    for url, title in (("http://here", "careful@0123abcd"), ("http://other", "SAM")):
        installation.labels.save_backend(project_id, None, {"url": url, "title": title})
    row = installation.projects.sync(installation.labels, project_id)
    assert [b.title for b in installation.labels.backends(project_id)] == [row.version, "SAM"]


def test_each_version_leads_to_its_agent() -> None:
    installation = Installation()
    project_id, _ = installation.project("text")
    first = installation.projects.sync(installation.labels, project_id)
    careful = registered(installation)
    second = installation.projects.choose(installation.labels, project_id, "careful")
    made = {m.version: m.agent for m in installation.store.project_versions(project_id=project_id)}
    assert made == {first.version: installation.projects.agents.default.reference, second.version: careful.reference}


@pytest.mark.parametrize(
    ("extra_params", "wanted"),
    [
        (None, None),
        ({}, None),
        ("", None),
        ("text", None),
        ("[1]", None),
        ("[" * 100_000, None),
        ({"other": 1}, None),
        ({"agent": None}, None),
        ({"agent": ""}, None),
        ({"agent": "careful"}, "careful"),
        ('{"agent": "careful@0123abcd"}', "careful@0123abcd"),
    ],
)
def test_what_extra_params_want(extra_params: Any, wanted: str | None) -> None:
    assert wanted_agent(extra_params) == wanted


@pytest.mark.parametrize("wrong", [5, True, [], {}, "a b", "x" * 10_000, "\x00", "\ud800"])
def test_extra_params_that_name_no_agent_are_not_followed(wrong: Any) -> None:
    installation = Installation()
    registered(installation)
    good, _ = installation.projects.remember(1, CONFIG, extra_params={"agent": "careful"})
    for extra_params in ({"agent": wrong}, json.dumps({"agent": wrong})):
        row, _ = installation.projects.remember(1, CONFIG, extra_params=extra_params)
        assert row == replace(good, agent_problem=row.agent_problem)
        assert "must be the name of an agent" in str(row.agent_problem)


def test_extra_params_choose_before_any_other_choice() -> None:
    installation = Installation()
    project_id, _ = installation.project("text")
    careful, other = registered(installation), registered(installation, name="other")
    installation.projects.choose(installation.labels, project_id, "other")
    row, changed = installation.projects.remember(project_id, CONFIG, extra_params={"agent": "careful"})
    assert changed
    assert installation.projects.agents.of(row) == careful
    row, changed = installation.projects.remember(project_id, CONFIG)  # a request that does not carry any
    assert not changed
    row, _ = installation.projects.remember(project_id, CONFIG, extra_params=None)
    assert installation.projects.agents.of(row) == other


def test_an_unknown_agent_in_extra_params_leaves_what_is_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    installation = Installation()
    careful = registered(installation)
    installation.projects.remember(1, CONFIG, extra_params={"agent": "careful"})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            row, _ = installation.projects.remember(1, CONFIG, extra_params={"agent": "carefull"})
    assert installation.projects.agents.of(row) == careful
    assert str(row.agent_problem).startswith(
        "Label Studio's extra params are not followed: There is no agent 'carefull'"
    )
    assert [r.message for r in caplog.records].count("extra params are not followed") == 1
    row, _ = installation.projects.remember(1, CONFIG, extra_params={"agent": "careful"})
    assert row.agent_problem is None


def test_a_name_in_extra_params_follows_what_is_added() -> None:
    installation = Installation()
    registered(installation)
    installation.projects.remember(1, CONFIG, extra_params={"agent": "careful"})
    new = registered(installation, temperature=1.0)
    row, changed = installation.projects.remember(1, CONFIG, extra_params={"agent": "careful"})
    assert changed
    assert installation.projects.agents.of(row) == new


def test_an_agent_that_is_gone_from_the_database_is_the_settings_one() -> None:
    installation = Installation()
    row, _ = installation.projects.remember(1, CONFIG)
    gone = replace(row, agent="gone@0123abcd")
    assert installation.projects.agents.of(gone) == installation.projects.agents.default


# --- runs -------------------------------------------------------------------------------------------------------


def test_a_run_is_answered_by_the_projects_agent() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    registered(installation)
    installation.projects.choose(installation.labels, project_id, "careful")
    installation.run(project_id)
    assert {request.model for request in installation.model.requests} == {"other-model"}
    assert {p.model_version for p in installation.labels.projects[project_id].predictions.values()} == {
        installation.version(project_id)
    }


def test_a_run_with_another_agent_writes_beside_the_current_predictions() -> None:
    installation = Installation(
        lambda request: by_mood(request) if request.model == "a-model" else replying('{"sentiment": "negative"}')
    )
    project_id, tasks = installation.project("good", "bad", "fine")
    careful = registered(installation)
    installation.run(project_id)
    current = installation.version(project_id)
    job_id = installation.jobs.start_run(project_id, agent="careful")
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.agent, job.total) == ("done", careful.reference, 3)
    assert job.version != current
    for task_id in tasks:
        assert [p.model_version for p in installation.labels.written(project_id, task_id)] == [current, job.version]
    assert installation.version(project_id) == current
    assert installation.labels.project(project_id).model_version == current
    installation.run(project_id)  # nothing to do for either
    assert len(installation.model.requests) == 6
    row = installation.projects.choose(installation.labels, project_id, "careful")
    assert row.version == job.version
    assert installation.labels.project(project_id).model_version == job.version


def test_a_run_with_the_projects_own_agent_is_like_any_other() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    job = installation.store.job(installation.jobs.start_run(project_id, agent="tests"))
    assert job is not None
    assert (job.agent, job.version) == (None, installation.version(project_id))


def test_a_run_with_an_unknown_agent_makes_no_job() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    with pytest.raises(AgentUnknown):
        installation.jobs.start_run(project_id, agent="nobody")
    assert installation.store.jobs(project_id) == []


def test_what_another_agent_made_for_an_older_config_is_not_written() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    registered(installation)
    job_id = installation.jobs.start_run(project_id, agent="careful")
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    installation.projects.sync(installation.labels, project_id)
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.reason) == (
        "stopped",
        "The labeling config, the instructions or the agent changed meanwhile: run again.",
    )
    assert installation.labels.projects[project_id].predictions == {}
    assert installation.store.versions_beside(project_id) == []


def test_a_change_of_the_agent_stops_the_job_that_is_under_way() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    registered(installation)
    job_id = installation.jobs.start_run(project_id)
    installation.projects.choose(installation.labels, project_id, "careful")
    installation.work_off()
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.reason) == (
        "stopped",
        "The labeling config, the instructions or the agent changed meanwhile: run again.",
    )
    assert installation.model.requests == []
