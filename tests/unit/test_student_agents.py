"""A student as an agent on the command line and in the wiring: no key, no endpoint, no price."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from backend import cli_common
from backend.cli_agents import agents_app
from backend.core.errors import ConfigError, InputError, ModelBadRequest, SettingsError
from backend.core.values import Agent
from backend.ports.store import JobLimits
from backend.services.selection import Selection
from backend.settings import Settings
from backend.wiring import Parts
from tests.fakes.installation import PROMPTS
from tests.unit.services.test_students import OPTIONAL, PUPIL, Site

FILE = "name: pupil\nprovider: student\n"


def parts_of(site: Site) -> Parts:
    """Without a key and without an endpoint."""
    parts = site.here.parts(prompts_dir=PROMPTS, openai_base_url=None)
    vars(parts.endpoints).pop("caller")
    return parts


def run(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    parts = parts_of(site)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    monkeypatch.setattr(sys, "argv", ["prelabel", *arguments])
    monkeypatch.setenv("COLUMNS", "300")
    agents_app(list(arguments), standalone_mode=False)
    return capsys.readouterr().out


def test_a_student_is_added_shown_and_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site()
    file = tmp_path / "pupil.yaml"
    file.write_text(FILE)
    number = str(site.project_id)
    added = run(site, monkeypatch, capsys, "add", str(file), "--project", number)
    assert "Model endpoint: model: none: a student learns from verified labels" in added
    assert "pupil@" in added
    shown = json.loads(run(site, monkeypatch, capsys, "show", "pupil", "--json"))
    assert shown["parameters"] == {"provider": "student", "seed": 0}
    tried = json.loads(run(site, monkeypatch, capsys, "test", "pupil", "--project", number, "-n", "2", "--json"))
    assert [task["labels"] for task in tried["tasks"]] == [{"sentiment": ["positive"]}, {"sentiment": ["negative"]}]
    assert (tried["model_calls"], tried["cost_usd"]) == (0, 0.0)
    with pytest.raises(InputError, match="sends no messages"):
        run(site, monkeypatch, capsys, "preview", "pupil", "--project", number)


def test_a_student_that_can_answer_nothing_is_not_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(config=OPTIONAL, verified=0)
    file = tmp_path / "pupil.yaml"
    file.write_text("name: other\nprovider: student\n")
    with pytest.raises(ConfigError, match="answers Choices of one class only"):
        run(site, monkeypatch, capsys, "add", str(file), "--project", str(site.project_id))
    assert site.here.store.agent("other") is None


def test_no_endpoint_is_opened_for_a_student() -> None:
    parts = Parts(Settings(label_studio_api_key="key", redis_url="redis://nowhere.invalid:1"))

    async def opened(agent: Agent) -> None:
        async with parts.endpoints.caller(agent) as caller:
            assert await caller.model.takes_images("student") is False
            for call in (caller.model.ask(None), caller.model.capabilities("student")):  # type: ignore[arg-type]
                with pytest.raises(ModelBadRequest, match="asks no model"):
                    await call

    asyncio.run(opened(PUPIL))
    with pytest.raises(SettingsError, match="no model endpoint"):
        asyncio.run(opened(Agent(name="a", model="m", template="default.v1")))
    assert parts.endpoints.describe_model(PUPIL) == {"model": "none: a student learns from verified labels"}
    parts.endpoints.check_limits(JobLimits(budget_usd=1.0), PUPIL)


def test_a_run_of_a_student_costs_nothing_beforehand_too() -> None:
    site = Site()
    parts = parts_of(site)
    found = parts.estimate(site.project_id, Selection(), JobLimits(), "pupil")
    assert (found.to_ask, found.calls, found.cost_usd) == (60, (0.0, 0.0), (0.0, 0.0))
    with pytest.raises(InputError, match="asks no endpoint"):
        parts.start_run(site.project_id, agent="pupil", lane="batch")
