"""`prelabel agents` over an installation in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backend import cli, cli_common
from backend.cli_agents import agents_app
from backend.core.errors import ModelUnauthorized
from backend.core.values import Agent
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import CONFIG, PROMPTS, Installation, by_mood, replying

Command = Callable[..., tuple[int, str, str]]
CAREFUL = "name: careful\nmodel: other-model\nconfidence: self_reported\nreasks: 0\n"


@pytest.fixture
def installation() -> Installation:
    return Installation(by_mood, cached=True)


@pytest.fixture
def described() -> list[Agent]:
    """The agents whose endpoint was tried."""
    return []


@pytest.fixture
def prices() -> dict[str, float]:
    """Settings of what the model costs."""
    return {}


@pytest.fixture
def prelabel(
    installation: Installation,
    prices: dict[str, float],
    described: list[Agent],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    parts = installation.parts(prompts_dir=PROMPTS, **prices)

    def describe(agent: Agent) -> Any:
        described.append(agent)
        if agent.model == "forbidden":
            raise ModelUnauthorized("The model endpoint does not accept OPENAI_API_KEY: set another one.")
        return {"model": agent.model, "answers": "strict JSON schema"}

    monkeypatch.setattr(parts.endpoints, "describe_model", describe)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prelabel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def add(installation: Installation, prelabel: Command, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Writes an agent's file and adds it."""

    def add(text: str = CAREFUL, *options: object) -> tuple[int, str, str]:
        installation.clock.sleep(1)
        file = tmp_path / "agent.yaml"
        file.write_text(text)
        return prelabel("agents", "add", file, *options)

    return add


def test_an_agent_from_its_file_to_a_projects_predictions(
    installation: Installation, prelabel: Command, add: Command, described: list[Agent]
) -> None:
    project, tasks = installation.project("good", "bad")
    code, out, err = add(CAREFUL, "--project", project)
    assert (code, err) == (0, "")
    assert "Prompts rendered and measured: 2 tasks; 0 do not fit the model's window." in out
    assert [agent.model for agent in described] == ["other-model"]
    reference = installation.projects.agents.find("careful").reference
    assert f"{reference} is registered." in out

    code, out, _ = prelabel("agents", "preview", "careful", "--project", project, "--task", tasks[1])
    assert code == 0
    assert f"Task {tasks[1]}, request " in out
    assert "~~~\nbad\n~~~" in out
    assert installation.model.requests == []

    code, out, _ = prelabel("agents", "test", "careful", "--project", project, "-n", 1)
    assert code == 0
    assert f"Task {tasks[0]}: done, score not known, cost not known\n  sentiment: positive (score not known)" in out
    assert '  reply: {"sentiment": "positive"}' in out
    assert "10 tokens in, 3 out, 1 calls; cost not known. Nothing was written." in out
    assert installation.choices(project) == {tasks[0]: [], tasks[1]: []}

    code, out, _ = prelabel("agents", "use", "careful", "--project", project)
    version = installation.version(project)
    assert (code, version.partition("@")[0]) == (0, "careful")
    assert out.startswith(f"Project {project} is annotated by {reference}: version {version}.")
    installation.run(project)
    assert installation.choices(project) == {tasks[0]: ["positive"], tasks[1]: ["negative"]}
    assert len(installation.model.requests) == 2  # what the test asked was not paid for again

    shown = json.loads(prelabel("agents", "show", "careful", "--json")[1])
    assert shown["project_versions"] == [{"project": project, "version": version}]
    assert shown["parameters"]["model"] == "other-model"
    assert f"Project {project}: version {version}" in prelabel("agents", "show", "careful")[1]
    told = json.loads(prelabel("status", "--project", project, "--json")[1])
    assert (told["agent"], told["agent_problem"]) == (reference, None)


def test_the_list_begins_with_the_settings_agent(prelabel: Command, add: Command) -> None:
    add()
    add(CAREFUL + "temperature: 1\n")
    assert prelabel("agents", "retire", "careful")[0] == 0
    add()
    told = json.loads(prelabel("agents", "list", "--json")[1])["agents"]
    assert [(a["agent"].partition("@")[0], a["from_settings"], bool(a["retired_at"])) for a in told] == [
        ("tests", True, False),
        ("careful", False, False),
        ("careful", False, True),
    ]
    _, out, _ = prelabel("agents", "list")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [a["agent"] for a in told]
    assert "from settings" in out.splitlines()[1]


def test_adding_the_same_again_is_told(add: Command) -> None:
    assert json.loads(add(CAREFUL, "--json")[1])["is_new"] is True
    assert json.loads(add(CAREFUL, "--json")[1])["is_new"] is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CAREFUL + "temprature: 1\n", 'unknown key "temprature": did you mean "temperature"?'),
        (CAREFUL.replace("other-model", "forbidden"), "does not accept OPENAI_API_KEY"),
        (CAREFUL + "template: nothing\n", "There is no prompt template 'nothing'"),
        (CAREFUL + "template_source: '{% block user %}{{ shape }}{% endblock %}'\n", "its fence"),
        (CAREFUL.replace("careful", "tests"), "is that of the agent from the settings"),
        (CAREFUL + "reasks: 2\n", 'the key "reasks" stands there twice'),
    ],
)
def test_what_does_not_hold_is_one_sentence_and_nothing_is_registered(
    installation: Installation, add: Command, text: str, words: str
) -> None:
    code, out, err = add(text)
    assert (code, out) == (1, "")
    assert err.startswith("prelabel: ")
    assert words in err
    assert err.count("\n") == 1
    assert installation.store.agents() == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 600_000])
def test_a_file_that_cannot_be_read_is_one_sentence(prelabel: Command, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "agent.yaml"
    file.write_bytes(content)
    for path in (file, tmp_path / "absent.yaml", tmp_path):
        code, out, err = prelabel("agents", "add", path)
        assert (code, out, err.count("\n")) == (1, "", 1)


def test_tasks_that_do_not_fit_are_listed(installation: Installation, add: Command) -> None:
    project, tasks = installation.project("good", "word " * 2_000)
    _, out, _ = add(CAREFUL + "context_tokens: 1000\n", "--project", project)
    assert "measured: 2 tasks; 1 do not fit" in out
    assert f"Too long, by an estimate: {tasks[1]} (" in out


@pytest.mark.parametrize("prices", [{"usd_per_million_input": 0.15, "usd_per_million_output": 0.6}])
def test_a_test_tells_labels_and_cost(installation: Installation, prelabel: Command, add: Command) -> None:
    config = CONFIG.replace("</View>", '<Labels name="ner" toName="text"><Label value="PER"/></Labels></View>')
    project, _ = installation.project("Ann Lee is good", config=config)
    answer = '{"sentiment": "positive", "ner": [{"text": "Ann Lee", "label": "PER"}]}'
    installation.model = FunctionModel(lambda _: replying(answer, model="gpt-4o-mini"))
    add()
    told = json.loads(prelabel("agents", "test", "careful", "--project", project, "--json")[1])
    assert told["tasks"][0]["labels"]["sentiment"] == ["positive"]
    assert told["tasks"][0]["labels"]["ner"] == ["PER: Ann Lee"]
    assert told["tasks"][0]["result"][1]["value"]["start"] == 0
    assert told["cost_usd"] == pytest.approx(10 * 0.15e-6 + 3 * 0.6e-6)
    assert (told["prompt_tokens"], told["completion_tokens"], told["model_calls"]) == (10, 3, 1)
    again = json.loads(prelabel("agents", "test", "careful", "--project", project, "--json")[1])
    assert (again["replies_from_cache"], again["cost_usd"]) == (1, 0)


def test_a_terminal_gets_no_control_characters(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("a\x1b[2Jb")
    _, out, _ = prelabel("agents", "preview", "tests", "--project", project)
    assert "a\\x1b[2Jb" in out
    told = json.loads(prelabel("agents", "preview", "tests", "--project", project, "--json")[1])
    assert "a\x1b[2Jb" in told["requests"][0]["messages"][-1]["content"]


def test_a_task_that_is_not_asked_says_why(installation: Installation, prelabel: Command) -> None:
    project, (task,) = installation.project(" ")
    assert (
        f"Task {task} is not asked: Nothing to annotate"
        in prelabel("agents", "preview", "tests", "--project", project)[1]
    )


def test_extra_params_go_before_what_is_used(installation: Installation, prelabel: Command, add: Command) -> None:
    project, _ = installation.project("good")
    add()
    installation.projects.remember(project, CONFIG, extra_params={"agent": "careful"})
    told = json.loads(prelabel("agents", "use", "tests", "--project", project, "--json")[1])
    assert told["by_extra_params"] is True
    assert told["agent"].startswith("careful@")
    assert "goes before it" in prelabel("agents", "use", "tests", "--project", project)[1]


def test_the_status_tells_of_extra_params_that_are_not_followed(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    installation.projects.remember(project, CONFIG, extra_params={"agent": "nobody"})
    _, out, _ = prelabel("status", "--project", project)
    default = installation.projects.agents.default.reference
    assert out.splitlines()[0].endswith(f", agent {default}")
    assert out.splitlines()[1].startswith("Label Studio's extra params are not followed: There is no agent 'nobody'")


@pytest.mark.parametrize("command", ["show", "preview", "test", "use", "retire"])
def test_an_unknown_agent_is_one_sentence(installation: Installation, prelabel: Command, command: str) -> None:
    project, _ = installation.project("good")
    options = [] if command in ("show", "retire") else ["--project", project]
    code, out, err = prelabel("agents", command, "nobody", *options)
    assert (code, out) == (1, "")
    assert "There is no agent 'nobody': choose one of tests" in err


def test_other_settings_stop_a_choice(installation: Installation, prelabel: Command, add: Command) -> None:
    project, _ = installation.project("good")
    add()
    installation.queue.started_with = [{"DATABASE_URL": "0"}]
    code, _, err = prelabel("agents", "use", "careful", "--project", project)
    assert code == 1
    assert "DATABASE_URL" in err
    assert installation.store.project(project) is None


def subcommands() -> list[str]:
    return [str(command.name) for command in agents_app.registered_commands]


def test_the_documentation_tells_every_command(repository: Path) -> None:
    section = (repository / "docs" / "agents.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    readme = (repository / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    for name in subcommands():
        assert f"`prelabel agents {name}" in section, name
        assert name in readme.partition("| `prelabel agents")[2].partition("|")[0], name


@pytest.mark.parametrize("name", subcommands())
def test_every_command_has_help_and_json(prelabel: Command, name: str) -> None:
    code, out, _ = prelabel("agents", name, "--help")
    assert code == 0
    assert "--json" in out


def verified(installation: Installation, *texts: str) -> tuple[int, list[int]]:
    """A project whose tasks were answered and then labelled "positive"."""
    project_id, ids = installation.project(*texts)
    installation.run(project_id)
    installation.labels.now = installation.clock.now + timedelta(minutes=1)
    value = {"choices": ["positive"]}
    region = {"id": "x", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": value}
    for task_id in ids:
        installation.labels.annotate(task_id, [region])
    installation.verifier.catch_up(project_id)
    return project_id, ids


def test_preview_and_test_name_the_examples(prelabel: Command, installation: Installation, add: Command) -> None:
    project_id, ids = verified(installation, "good", "bad", "fine")
    added = "careful"
    assert add(CAREFUL + "retrieved: 2\n")[0] == 0
    preview = json.loads(prelabel("agents", "preview", added, "--project", project_id, "--task", ids[0], "--json")[1])
    assert sorted(preview["requests"][0]["examples"]) == ids[1:]
    printed = prelabel("agents", "preview", added, "--project", project_id, "--task", ids[0])[1]
    assert "verified tasks as examples: " in printed
    tried = json.loads(prelabel("agents", "test", added, "--project", project_id, "-n", 1, "--json")[1])
    assert tried["tasks"][0]["examples"] == preview["requests"][0]["examples"]
    plain = json.loads(prelabel("agents", "test", "tests", "--project", project_id, "-n", 1, "--json")[1])
    assert plain["tasks"][0]["examples"] == []


def test_compare_tells_both_and_who_wins(prelabel: Command, installation: Installation, add: Command) -> None:
    project_id, ids = verified(installation, "good", "bad", "fine")
    added = "careful"
    assert add(CAREFUL + "retrieved: 2\n")[0] == 0
    compare = partial(prelabel, "agents", "compare", "tests", added, "--project", project_id)
    code, printed, _ = compare("--yes")
    assert code == 0
    assert "2 of 3 right, 66.7% (9.4% to 99.2%)" in printed
    assert "3 tasks are too few to tell which is better: 30 at least." in printed
    assert "labelled with a prediction in sight" in printed
    told = json.loads(compare("-n", 2, "--yes", "--json")[1])
    assert (told["old"]["tasks"], told["winner"], told["blind"]) == (2, None, False)
    assert set(told["tasks"]) < set(ids)
    code, _, error = prelabel("agents", "compare", "tests", "nobody", "--project", project_id)
    assert code == 1
    assert "There is no agent 'nobody'" in error


def test_compare_spends_nothing_before_somebody_agrees(
    prelabel: Command, installation: Installation, add: Command
) -> None:
    project_id, ids = verified(installation, "good", "bad", "fine")
    assert add(CAREFUL + "retrieved: 2\n")[0] == 0
    installation.model.requests.clear()
    compare = partial(prelabel, "agents", "compare", "tests", "careful", "--project", project_id)
    for options in ([], ["--json"]):
        code, out, error = compare(*options)
        assert code == 1
        assert "say --yes, or --dry-run first" in out + error
    code, printed, _ = compare("--dry-run")
    assert code == 0
    assert "would answer 3 verified tasks." in printed
    assert "By estimates likely " in printed
    told = json.loads(compare("--dry-run", "--json")[1])
    assert (told["tasks"], told["at_most"]["calls"] >= 3) == (ids, True)
    assert "old" not in told
    assert installation.model.requests == []
