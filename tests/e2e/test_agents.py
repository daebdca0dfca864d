"""Agents with the real Label Studio: registered, tried, run beside the current one, chosen here and there.

The second model is an endpoint of its own with a key of its own, so that every call shows which agent made it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Labeling, Stack, eventually
from tests.fakes.scripted_model import ScriptedModel

ROWS = FEEDBACK_ROWS[:4]
KEY = "a-key-of-its-own"


@dataclass(frozen=True, kw_only=True)
class Agents:
    """An installation of its own, and what it calls the second agent."""

    stack: Stack
    other: ScriptedModel
    careful: str  # name@hash


@pytest.fixture(scope="module")
def agents(_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    file = tmp_path_factory.mktemp("agents") / "careful.yaml"
    settings = {"OTHER_MODEL_KEY": KEY, "PRELABEL_CACHE_DAYS": "30"}
    with (
        ScriptedModel(model="other", api_key=KEY) as other,
        _stack.beside("agents", settings, database=6, serve=True) as stack,
    ):
        file.write_text(
            f"name: careful\nmodel: other\nbase_url: {other.base_url}\nkey_variable: OTHER_MODEL_KEY\n"
            "confidence: logprob\nreasoning_effort: low\ntemplate: options-first.v1\n"
            "examples:\n- data: {text: 'Oh great, late again'}\n  answer: {sentiment: negative, topic: delivery}\n"
        )
        refused = stack.prelabel("agents", "add", file, OTHER_MODEL_KEY="wrong")
        assert "does not accept OTHER_MODEL_KEY" in refused.only_sentence
        wrong = file.with_name("wrong.yaml")
        wrong.write_text(file.read_text().replace("model: other", "model: another"))
        assert (
            "does not list 'another': set `model` of the agent" in stack.prelabel("agents", "add", wrong).only_sentence
        )
        assert [a["agent"] for a in stack.answer("agents", "list")["agents"]][1:] == []
        project = stack.project("Only rendered", FEEDBACK, ROWS)
        added = stack.answer("agents", "add", file, "--project", project.id)
        assert (added["checked"]["tasks"], added["checked"]["too_long"]) == (len(ROWS), 0)
        assert added["checked"]["examples_left_out"] == {}
        yield Agents(stack=stack, other=other, careful=added["agent"])


@pytest.fixture
def project(agents: Agents) -> Labeling:
    """Connected and pre-annotated by the settings' agent."""
    project = agents.stack.project("Agents", FEEDBACK, ROWS)
    agents.stack.connect(project)
    assert agents.stack.run(project)["by_state"] == {"done": len(ROWS)}
    return project


def calls(model: ScriptedModel) -> int:
    return int(model.counts()["calls"])


def run_with(stack: Stack, project: Labeling, agent: str) -> int:
    """Start a run with another agent than the project's; the job's id."""
    code = (
        "import sys; from backend.settings import load_settings; from backend.wiring import Parts\n"
        "print(Parts(load_settings()).start_run(int(sys.argv[1]), None, agent=sys.argv[2]))"
    )
    argv = [sys.executable, "-c", code, str(project.id), agent]
    env = stack.product.env | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        argv, env=env, cwd=stack.product.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def job(stack: Stack, project: Labeling, job_id: int) -> dict[str, Any]:
    return next(j for j in stack.status(project)["jobs"] if j["id"] == job_id)


def assert_current(project: Labeling, version: str) -> None:
    """In every place in which Label Studio compares it."""
    eventually(lambda: project.details()["model_version"] == version, f"the project holds {version}")
    eventually(lambda: [b["title"] for b in project.backends()] == [version], f"the backend is called {version}")


def test_a_preview_and_a_test_write_nothing(agents: Agents, project: Labeling) -> None:
    stack, before = agents.stack, project.predictions()
    asked = calls(agents.other)
    task_ids = project.task_ids()
    told = stack.answer("agents", "preview", agents.careful, "--project", project.id, "--task", task_ids[0])
    (shown,) = told["requests"]
    assert calls(agents.other) == asked
    content = shown["messages"][-1]["content"]
    assert "Oh great, late again" in content
    assert f"~~~\n{ROWS[0]['text']}\n~~~" in content
    tried = stack.answer("agents", "test", "careful", "--project", project.id, "-n", 2)
    assert [one["state"] for one in tried["tasks"]] == ["done", "done"]
    assert tried["tasks"][0]["request_key"] == shown["request_key"]
    assert tried["tasks"][0]["labels"] == {"sentiment": ["positive"], "topic": ["delivery"]}
    assert tried["tasks"][0]["score"] is not None
    paid = calls(agents.other) > asked  # else another test has asked the same
    assert tried["cost_usd"] == (None if paid else 0.0)  # nobody knows this model's price
    sent = [request for request in agents.other.requests if request["messages"][-1]["content"] == content]
    assert ("other", "low") in {(request["model"], request.get("reasoning_effort")) for request in sent}
    assert project.predictions() == before


def test_a_second_agents_predictions_stand_beside_the_current_ones(agents: Agents, project: Labeling) -> None:
    stack = agents.stack
    current = stack.status(project)["version"]
    job_id = run_with(stack, project, "careful")
    eventually(lambda: job(stack, project, job_id)["state"] == "done", "the second agent's job is done")
    beside = job(stack, project, job_id)["version"]
    assert beside.startswith("careful@")
    eventually(lambda: sorted(project.of_version(beside)) == project.task_ids(), "its predictions are written")
    assert sorted(project.of_version(current)) == project.task_ids()
    assert stack.status(project)["version"] == current
    assert_current(project, current)
    # Chosen later, it has nothing left to do.
    asked = calls(agents.other)
    used = stack.answer("agents", "use", agents.careful, "--project", project.id)
    assert used["version"] == beside
    assert_current(project, beside)
    assert stack.run(project)["tasks"] == 0
    assert calls(agents.other) == asked
    made = stack.answer("agents", "show", "careful")["project_versions"]
    assert {"project": project.id, "version": beside} in made


def test_a_run_after_use_is_the_chosen_agents(agents: Agents, project: Labeling) -> None:
    stack = agents.stack
    first, asked = stack.status(project)["version"], calls(stack.model)
    version = stack.answer("agents", "use", "careful", "--project", project.id)["version"]
    told = stack.run(project)
    assert (told["version"], told["by_state"]) == (version, {"done": len(ROWS)})
    assert calls(stack.model) == asked
    assert sorted(project.of_version(version)) == project.task_ids()
    assert_current(project, version)
    (new,) = project.import_rows([{"text": "An excellent product"}])
    assert [p["model_version"] for p in project.open_task(new)["predictions"]] == [version]
    doctor = {c["name"]: c for c in stack.doctor(project)["checks"]}
    assert doctor["agent"]["detail"] == agents.careful
    assert doctor["model endpoint"]["detail"].startswith("model: other")
    assert doctor["connection"]["status"] == "ok"
    assert stack.answer("agents", "use", "default", "--project", project.id)["version"] == first


@pytest.mark.parametrize("as_string", [False, True])
def test_label_studios_extra_params_choose(agents: Agents, project: Labeling, as_string: bool) -> None:
    stack, (backend,) = agents.stack, project.backends()
    first = stack.status(project)["version"]

    def say(extra_params: Any) -> None:
        user, password = stack.product.auth or ("", "")
        body = {"url": backend["url"], "project": project.id, "auth_method": "BASIC_AUTH", "extra_params": extra_params}
        auth = {"basic_auth_user": user, "basic_auth_pass": password}
        project.call("PATCH", f"/api/ml/{backend['id']}", json=body | auth)

    say('{"agent": "careful"}' if as_string else {"agent": "careful"})
    eventually(lambda: stack.status(project)["agent"] == agents.careful, "the agent is chosen")
    version = stack.status(project)["version"]
    assert version.startswith("careful@")
    assert_current(project, version)
    assert stack.run(project)["version"] == version

    say({"agent": "nobody"})
    eventually(lambda: stack.status(project)["agent_problem"], "the unknown agent is told")
    status = stack.status(project)
    assert "There is no agent 'nobody'" in status["agent_problem"]
    assert (status["agent"], status["version"]) == (agents.careful, version)
    assert any("nobody" in c["detail"] for c in stack.doctor(project)["checks"] if c["status"] == "wrong")

    say({})
    eventually(lambda: stack.status(project)["version"] == first, "the settings' agent is back")
    assert_current(project, first)
