"""The commands over an installation in memory: what they print, and the code they end with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backend import cli, cli_common, cli_follow, cli_run
from backend.core.values import Outcome, TaskState, Usage
from tests.fakes.installation import CONFIG, Installation
from tests.unit.services.test_paid_once import scored

URL = "http://here:9090"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.fixture
def prelabel(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command: its exit code, what it printed and what it told on stderr."""
    parts = installation.parts()
    monkeypatch.setattr(parts, "model_warning", lambda _=None: None)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli_follow.time, "sleep", lambda _: installation.work_off())

    def run(*arguments: object, warning: str | None = None) -> tuple[int, str, str]:
        if warning is not None:
            monkeypatch.setattr(parts, "model_warning", lambda _=None: warning)
        monkeypatch.setattr(sys, "argv", ["prelabel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_a_run_from_connecting_to_status(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad")
    code, out, err = prelabel("connect", "--project", project, "--backend-url", URL)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"Next: prelabel run --project {project} --wait"
    code, out, err = prelabel("run", "--project", project, "--wait")
    assert (code, err) == (0, "")
    assert "2 tasks as" in out
    installation.store.add_event(project, "ANNOTATION_CREATED", [1])
    code, out, _ = prelabel("status", "--project", project)
    rows = {line.split("  ")[0]: line.partition("  ")[2].strip() for line in out.splitlines()}
    assert code == 0
    assert rows["written"] == "2"
    assert rows["tokens"] == "20 in, 6 out, 2 calls (all versions: 2 calls)"
    assert rows["webhook events"] == "1 ANNOTATION_CREATED"


def test_the_status_tells_of_shortened_lists(installation: Installation, prelabel: Command) -> None:
    more = "".join(f'<Choice value="[/] {n}"/>' for n in range(300))
    refused = '<HyperTextLabels name="calls" toName="text"><Label value="cat"/></HyperTextLabels>'
    config = CONFIG.replace("</Choices>", f"{more}</Choices>{refused}")
    project, _ = installation.project("good", "bad", config=config)
    assert prelabel("run", "--project", project, "--wait")[0] == 0
    note = '"sentiment": 200 of 302 options shown, the most similar to the text'
    told = json.loads(prelabel("status", "--project", project, "--json")[1])
    assert told["notes"][note] == 2
    assert any(other.startswith("refused: ") for other in told["notes"])
    _, out, _ = prelabel("status", "--project", project)
    (row,) = [line for line in out.splitlines() if line.startswith("notes")]
    assert row.partition("  ")[2].strip() == f"{note} (2)"
    assert "refused: " not in out  # told once for all tasks


def test_where_there_is_no_terminal_a_run_prints_no_empty_line(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    _, out, err = prelabel("run", "--project", project, "--wait")
    assert err == ""
    assert out.startswith("Job ")


def test_tokens_and_calls_are_of_the_version(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad")
    installation.run(project)
    installation.labels.edit_project(project, label_config=CONFIG.replace("praise", "joy"))
    installation.run(project)
    told = json.loads(prelabel("status", "--project", project, "--json")[1])
    assert (told["prompt_tokens"], told["model_calls"], told["model_calls_of_all_versions"]) == (20, 2, 4)


def test_replies_from_the_cache_are_told_beside_the_calls(installation: Installation, prelabel: Command) -> None:
    project, tasks = installation.project("good", "bad")
    installation.run(project)
    assert "replies from the cache" not in prelabel("status", "--project", project)[1]
    record = installation.store.records(project, installation.version(project), tasks)[tasks[0]]
    installation.store.save_outcomes(
        [(record.id, record.data_hash, Outcome(state=TaskState.DONE, usage=Usage(from_cache=3)))]
    )
    assert "2 calls, 3 replies from the cache" in prelabel("status", "--project", project)[1]
    told = json.loads(prelabel("status", "--project", project, "--json")[1])
    assert (told["model_calls"], told["replies_from_cache"]) == (2, 3)


def test_a_run_through_batches_tells_what_it_waits_for_and_what_it_spent(
    installation: Installation, prelabel: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(scored, cached=True)
    parts = installation.parts()
    checked: list[str] = []
    monkeypatch.setattr(parts.endpoints, "need_batches", lambda agent: checked.append("batches"))
    monkeypatch.setattr(parts, "model_warning", lambda _: None)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    project, _ = installation.project("good", "bad")
    code, out, _ = prelabel("run", "--project", project, "--lane", "batch")
    assert (code, checked) == (0, ["batches"])
    installation.work_off()
    _, out, _ = prelabel("status", "--project", project)
    since = installation.clock.now.astimezone()
    assert f"waiting for the endpoint's batch (submitted {since:%H:%M}, 0 of 2 done)" in out
    installation.batch_endpoint.finish()
    installation.queue.a_while_passes()
    installation.work_off()
    _, out, _ = prelabel("status", "--project", project)
    assert "batch: 2 requests, 2 answered, 20 tokens in, 6 out" in out
    assert "waiting" not in out


def test_an_unknown_lane_is_told_in_one_sentence(prelabel: Command) -> None:
    code, _, err = prelabel("run", "--project", 1, "--lane", "fast")
    assert code == 2
    assert "'live', 'batch'" in err


@pytest.mark.parametrize("wait", [True, False])
def test_nothing_to_do_says_so(installation: Installation, prelabel: Command, wait: bool) -> None:
    project, _ = installation.project("good", "bad")
    installation.run(project)
    version = installation.version(project)
    options = ["--wait"] if wait else []
    assert prelabel("run", "--project", project, *options)[:2] == (
        0,
        f"Nothing to do: all 2 tasks have a prediction of {version}.\n",
    )
    empty, _ = installation.project()
    assert prelabel("run", "--project", empty, *options)[1] == f"Nothing to do: project {empty} has no tasks.\n"


def test_a_run_that_nobody_reads_tasks_for_says_so(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad")
    installation.queue.worker_count = 0
    code, out, err = prelabel("run", "--project", project)
    version = installation.version(project)
    assert (code, out.splitlines()) == (
        0,
        [
            f"Job 1 queued: a worker reads which tasks it is about, for {version}.",
            "Follow it: prelabel jobs show 1 --follow",
        ],
    )
    assert err == "No worker is running: start `prelabel worker` in another terminal.\n"
    assert "Job 1: enlisting, 0 tasks so far" in prelabel("status", "--project", project)[1]
    installation.work_off()
    assert "Job 1: done, 2 tasks" in prelabel("status", "--project", project)[1]


def test_a_large_project_is_not_waited_for(
    installation: Installation, prelabel: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = installation.project("good", "bad")
    monkeypatch.setattr(cli_run, "_SHORT_READING_S", 0.0)
    code, out, err = prelabel("run", "--project", project)
    assert (code, err, out.splitlines()[0].startswith("Job 1 queued: a worker reads")) == (0, "", True)


def test_what_is_written_empty_is_explained(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "", " ")
    _, out, _ = prelabel("run", "--project", project, "--wait")
    assert "2 skipped: written empty with score 0, so that they come first" in out
    assert "2 nothing to show" in out


def test_labels_of_deleted_tasks_are_not_counted(installation: Installation, prelabel: Command) -> None:
    project, tasks = installation.project("good", "bad")
    installation.run(project)
    record = installation.store.records(project, installation.version(project), tasks[:1])[tasks[0]]
    installation.store.set_deleted([record.id])
    told = json.loads(prelabel("status", "--project", project, "--json")[1])
    assert told["by_state"] == {"deleted": 1, "done": 1}
    assert told["labels"] == {"sentiment": {"negative": 1}}
    assert told["model_calls"] == 2


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_status_of_an_unknown_project_is_an_error(prelabel: Command, options: list[str]) -> None:
    code, out, err = prelabel("status", "--project", 99, *options)
    sentence = json.loads(out)["error"] if options else err
    assert code == 1
    assert (
        "Project 99 is not known here: check --project, or connect it with `prelabel connect --project 99" in sentence
    )


def test_a_model_that_is_not_listed_is_a_warning_and_no_failure(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    words = "The model endpoint does not list 'x': set PRELABEL_MODEL to one of y."
    code, _, err = prelabel("connect", "--project", project, "--backend-url", URL, warning=words)
    assert (code, err) == (0, f"Warning: {words}\n")
    code, out, err = prelabel("run", "--project", project, "--wait", "--json", warning=words)
    assert (code, err, json.loads(out)["warning"]) == (0, "", words)


@pytest.mark.parametrize("command", [["connect", "--backend-url", URL], ["run"], ["run", "--json"]])
def test_other_settings_stop_a_command_before_it_does_anything(
    installation: Installation, prelabel: Command, command: list[str]
) -> None:
    project, _ = installation.project("good")
    installation.queue.started_with = [{"PRELABEL_MODEL": "0"}]
    installation.labels.calls.clear()
    code, out, err = prelabel(command[0], "--project", project, *command[1:])
    assert code == 1
    assert "A worker was started with other settings than this command (different: PRELABEL_MODEL)" in out + err
    assert installation.labels.calls == []
    assert installation.store.jobs(project) == []


def test_a_run_asks_the_service_of_the_project(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    prelabel("connect", "--project", project, "--backend-url", URL)
    installation.service.told = {"PRELABEL_TEMPERATURE": "0"}
    code, _, err = prelabel("run", "--project", project)
    assert code == 1
    assert f"prelabel: The service at {URL} was started with other settings" in err


def test_a_stopped_run_says_why(prelabel: Command, installation: Installation) -> None:
    project, _ = installation.project("good")
    code, _, err = prelabel("run", "--project", project, "--task", 99)
    assert (code, err) == (1, f"prelabel: Project {project} has no task 99: check the task ids.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--project", "x"], "'x' is not a project's number, which stands in its address"),
        (["doctor", "--project", "-1"], "'-1' is not a project's number"),
        (["run"], "Missing option '--project' / '-p': see `prelabel run --help`."),
        (["connect", "--project", "1"], "Missing option '--backend-url': see `prelabel connect --help`."),
        (["worker", "--bulk", "-1"], "see `prelabel worker --help`."),
        (["nothing"], "No such command 'nothing'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(prelabel: Command, arguments: list[str], words: str) -> None:
    code, out, err = prelabel(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("prelabel: ")
    assert words in err
    assert err.count("\n") == 1


def commands() -> list[str]:
    found = [c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback]
    return [str(name) for name in found]


@pytest.mark.parametrize("command", [[], *([name] for name in commands())])
def test_help_is_for_people(prelabel: Command, command: list[str]) -> None:
    code, out, _ = prelabel(*command, "--help")
    assert code == 0
    for word in ("<bool>", "<int", "<str>", "_number", "..."):
        assert word not in out.replace("[OPTIONS] COMMAND [ARGS]...", "").replace(".../projects", ""), word


def test_the_readme_tells_every_command(repository: Path) -> None:
    section = (repository / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    for name in commands():
        assert f"`prelabel {name}" in section, name
