"""Trying an agent: the very requests of a run, and nothing written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.adapters.templates import read_template
from backend.core.agents import AgentVersion
from backend.core.errors import LabelStudioNotFound, ModelUnauthorized, TemplateError
from backend.core.values import Agent, Example, Outcome, Request, TaskState
from backend.services.agent_checks import AgentChecks
from backend.services.agent_trials import Trials, measure
from tests.fakes.installation import AGENT, CONFIG, PROMPTS, Installation

CAREFUL = Agent(name="careful", model="m", template="default.v1", reasks=0, confidence="logprob")


def trials(installation: Installation) -> Trials:
    return Trials(labels=installation.labels, projects=installation.projects, caller=installation.caller, concurrency=2)


def keys(installation: Installation, project_id: int, agent: str) -> list[str]:
    trial = trials(installation)
    question = trial.question(project_id, agent)
    found = trial.preview(question, trial.tasks(project_id, question))
    return [asked.key for _, asked in found if isinstance(asked, Request)]


def test_a_preview_is_what_a_run_asks() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    before = keys(installation, project_id, "tests")
    assert installation.model.requests == []
    installation.run(project_id)
    assert sorted(r.key for r in installation.model.requests) == sorted(before)


def test_an_old_agent_asks_another_project_the_same(tmp_path: Path) -> None:
    """Also when the file of its template was edited after it was registered: its source is stored with it."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    file = prompts / "mine.jinja"
    file.write_text(read_template(PROMPTS, "default.v1"))
    installation = Installation()
    examples = (Example(data={"text": "Splendid"}, answer={"sentiment": "positive"}),)
    agent = replace(CAREFUL, template="mine", examples=examples)
    old = AgentVersion.of(agent, read_template(prompts, "mine"))
    installation.store.add_agent(old)
    first, _ = installation.project("good", "something else")
    asked = keys(installation, first, old.reference)
    file.write_text(read_template(PROMPTS, "options-first.v1"))
    new = AgentVersion.of(agent, read_template(prompts, "mine"))
    installation.store.add_agent(new)
    second, _ = installation.project("good")
    assert new.hash != old.hash
    assert keys(installation, second, old.reference) == asked[:1]
    assert keys(installation, second, "careful") != asked[:1]


def test_a_test_writes_nothing_and_pays_once() -> None:
    installation = Installation(agent=replace(AGENT, confidence="self_reported"), cached=True)
    project_id, tasks = installation.project("good", "bad", "")
    trial = trials(installation)
    question = trial.question(project_id, "tests")
    installation.labels.calls.clear()
    for _ in range(2):
        outcomes = trial.test(question, trial.tasks(project_id, question))
        assert [(task.id, outcome.state) for task, outcome in outcomes] == list(
            zip(tasks, [TaskState.DONE, TaskState.DONE, TaskState.SKIPPED], strict=True)
        )
    assert outcomes[1][1].fields[0].value == ("negative",)
    assert outcomes[1][1].usage.from_cache == 1
    assert len(installation.model.requests) == 2
    assert installation.labels.calls == []
    assert installation.store.project(project_id) is None
    assert installation.store.records(project_id, question.version, tasks) == {}


def test_what_would_stop_a_job_stops_a_test() -> None:
    installation = Installation(lambda _: ModelUnauthorized("The key is refused."))
    installation.refusal = ModelUnauthorized("The key is refused.")
    project_id, _ = installation.project("good", "bad")
    trial = trials(installation)
    question = trial.question(project_id, "tests")
    with pytest.raises(ModelUnauthorized, match="The key is refused"):
        trial.test(question, trial.tasks(project_id, question))


def test_tasks_are_the_first_ones_or_those_that_are_named() -> None:
    installation = Installation()
    project_id, tasks = installation.project("a", "b", "c")
    trial = trials(installation)
    question = trial.question(project_id, "tests")
    assert [t.id for t in trial.tasks(project_id, question, most=2)] == tasks[:2]
    assert [t.id for t in trial.tasks(project_id, question, ids=tasks[1:])] == tasks[1:]
    with pytest.raises(LabelStudioNotFound, match="has no task 999"):
        trial.tasks(project_id, question, ids=[999])


def test_prompts_that_do_not_fit_are_counted() -> None:
    installation = Installation(agent=replace(CAREFUL, context_tokens=1_000))
    project_id, tasks = installation.project("good", "word " * 2_000, "x" * 10**6, "")
    trial = trials(installation)
    question = trial.question(project_id, "careful")
    measured = measure(question, trial.tasks(project_id, question))
    assert (measured.tasks, measured.too_long, measured.not_asked) == (4, tuple(tasks[1:3]), 1)


def test_tasks_with_images_are_not_measured() -> None:
    installation = Installation()
    config = '<View><Image name="i" value="$text"/><Rating name="r" toName="i"/></View>'
    project_id, _ = installation.project("http://here/a.png", config=config)
    trial = trials(installation)
    question = trial.question(project_id, "tests")
    assert measure(question, trial.tasks(project_id, question)).not_measured == 1


# --- before an agent is registered ------------------------------------------------------------------------------


def check(installation: Installation, source: str, project_id: int | None, **changes: Any) -> Any:
    described: list[Agent] = []

    def describe(agent: Agent) -> Any:
        described.append(agent)
        return {"model": agent.model}

    checks = AgentChecks(trials=lambda: trials(installation), describe_model=describe)
    version = AgentVersion.of(replace(CAREFUL, **changes), source)
    try:
        return checks.check(version, project_id)
    finally:
        installation.described = described  # type: ignore[attr-defined]


def test_an_agent_is_checked_against_a_project() -> None:
    installation = Installation()
    project_id, tasks = installation.project("good", "word " * 2_000)
    source = installation.projects.template_source
    wrong = Example(data={"text": "x"}, answer={"sentiment": "great"})
    told = check(installation, source, project_id, context_tokens=1_000, examples=(wrong,)).as_json()
    assert (told["tasks"], told["prompts_measured"], told["too_long_tasks"]) == (2, 2, tasks[1:])
    assert list(told["examples_left_out"]) == [1]
    assert told["endpoint"] == {"model": "m"}
    assert installation.store.project(project_id) is None


def test_an_agent_is_checked_without_a_project() -> None:
    installation = Installation()
    installation.labels.reachable = False
    told = check(installation, installation.projects.template_source, None).as_json()
    assert (told["project"], told["tasks"], told["too_long"]) == (None, 3, 0)


def test_the_model_is_not_called_for_a_template_that_is_refused() -> None:
    installation = Installation()
    source = installation.projects.template_source.replace("{{ shape }}", "")
    with pytest.raises(TemplateError, match="the shape of the answer"):
        check(installation, source, None)
    assert installation.described == []  # type: ignore[attr-defined]


def test_an_outcome_that_is_not_asked_is_told() -> None:
    installation = Installation()
    project_id, _ = installation.project("")
    trial = trials(installation)
    question = trial.question(project_id, "tests")
    ((_, outcome),) = trial.preview(question, trial.tasks(project_id, question))
    assert isinstance(outcome, Outcome)
    assert outcome.error_class == "nothing_to_show"
    assert question.config.xml == CONFIG
