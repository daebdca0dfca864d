"""`prelabel jobs` and the options of `prelabel run`, over an installation in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import cli, cli_common, cli_follow
from backend.cli_select import filters_of, selection_of
from backend.core.errors import InputError
from backend.services.selection import Selection
from tests.fakes.installation import CONFIG, Installation

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def installation() -> Installation:
    return Installation(chunk_size=2)


@pytest.fixture
def prelabel(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command: its exit code, what it printed and what it told on stderr. Waiting lets the workers work."""
    parts = installation.parts()
    monkeypatch.setattr(parts, "model_warning", lambda _: None)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli_follow.time, "sleep", lambda _: installation.work_off())

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prelabel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def told(prelabel: Command, *arguments: object) -> dict[str, Any]:
    return dict(json.loads(prelabel(*arguments, "--json")[1]))


def test_a_job_from_list_to_cancel(installation: Installation, prelabel: Command) -> None:
    assert prelabel("jobs", "list")[1] == "There are no jobs yet: prelabel run --project N\n"
    project, _ = installation.project("good", "bad", "fine")
    job = told(prelabel, "run", "--project", project, "--sample", 3)["job"]
    (listed,) = told(prelabel, "jobs", "list", "--project", project)["jobs"]
    assert (listed["id"], listed["state"], listed["tasks"]) == (job, "queued", 3)
    assert prelabel("jobs", "pause", job)[1] == f"Job {job} is paused: 3 queued.\n"
    assert installation.work_off() > 0
    assert installation.model.requests == []
    assert "cannot be paused" in prelabel("jobs", "pause", job)[2]
    assert told(prelabel, "jobs", "resume", job)["state"] == "queued"
    shown = told(prelabel, "jobs", "show", job, "--follow")
    assert (shown["state"], shown["by_state"], shown["written"]) == ("done", {"done": 3}, 3)
    assert prelabel("jobs", "list")[1].splitlines()[1].split()[:4] == [str(job), str(project), "done", "3"]
    text = prelabel("jobs", "show", job)[1]
    assert f"Job {job} done: 3 tasks" in text
    assert "cost" in text
    code, _, err = prelabel("jobs", "cancel", job)
    assert (code, err) == (1, f"prelabel: Job {job} is done and cannot be cancelled.\n")


def test_a_cancelled_job_leaves_the_rest_to_the_next_run(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad", "fine")
    job = told(prelabel, "run", "--project", project, "--sample", 3)["job"]
    installation.handle(installation.queue.messages.popleft())
    assert told(prelabel, "jobs", "cancel", job)["by_state"] == {"done": 2, "queued": 1}
    code, out, _ = prelabel("run", "--project", project, "--wait")
    assert code == 0
    assert "1 tasks as" in out


def test_a_job_that_was_left_while_it_was_read(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    installation.projects.sync(installation.labels, project)
    left = [installation.store.create_job(project, installation.version(project), "run") for _ in range(2)]
    assert {job["state"] for job in told(prelabel, "jobs", "list")["jobs"]} == {"enlisting"}
    assert "still being read" in prelabel("jobs", "pause", left[0])[2]
    assert told(prelabel, "jobs", "cancel", left[0])["state"] == "cancelled"
    assert told(prelabel, "jobs", "resume", left[1])["state"] == "queued"
    assert told(prelabel, "jobs", "show", left[1], "--follow")["state"] == "done"


def test_answers_that_a_change_made_outdated_are_not_waited_for(installation: Installation, prelabel: Command) -> None:
    """Label Studio was away when they came; then the labeling config changed."""
    project, _ = installation.project("good", "bad")
    job = installation.start_run(project)
    installation.labels.reachable = False
    installation.work_off()
    assert "0, 2 to go" in prelabel("jobs", "show", job)[1]
    installation.labels.reachable = True
    installation.projects.remember(project, CONFIG.replace("praise", "joy"))
    shown = told(prelabel, "jobs", "show", job, "--follow")
    assert (shown["state"], shown["undelivered"], shown["outdated"]) == ("done", 0, 2)
    words = " ".join(prelabel("jobs", "show", job)[1].split())
    assert "0; 2 stay unwritten: the labeling config, the instructions or the agent changed before they were" in words


def test_what_failed_is_tried_again(installation: Installation, prelabel: Command) -> None:
    project, tasks = installation.project("good", "bad")
    job = told(prelabel, "run", "--project", project, "--wait")["job"]
    assert "has no task that failed" in prelabel("jobs", "retry", job, "--failed")[1]
    record = installation.store.records(project, installation.version(project), tasks)[tasks[0]]
    installation.store.set_refused(record.id, "no")
    assert told(prelabel, "jobs", "retry", job, "--failed")["queued"] == 1
    assert told(prelabel, "jobs", "show", job, "--follow")["by_state"] == {"done": 2}
    assert prelabel("jobs", "retry", job)[0] == 2  # it says what to try again


def test_no_such_job(prelabel: Command) -> None:
    for command in (("show",), ("pause",), ("resume",), ("cancel",), ("retry", "--failed")):
        code, _, err = prelabel("jobs", command[0], 99, *command[1:])
        assert (code, err) == (1, "prelabel: There is no job 99: see `prelabel jobs list`.\n")


def test_a_run_that_stops_at_its_budget(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad")
    code, _, err = prelabel("run", "--project", project, "--budget-tokens", 5, "--wait")
    assert code == 1
    assert err.startswith("Stopped at budget: budget of 5 tokens reached: 0 tokens spent, 2 tasks are left; raise it")
    job = told(prelabel, "jobs", "list")["jobs"][0]
    assert job["state"] == "stopped at budget"
    assert told(prelabel, "jobs", "resume", job["id"], "--budget-tokens", 100_000)["state"] == "queued"
    assert told(prelabel, "jobs", "show", job["id"], "--follow")["by_state"] == {"done": 2}


def test_a_budget_in_dollars_needs_a_price(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good")
    parts = installation.parts(openai_base_url="http://localhost:1/v1")
    assert parts.endpoints.price("gpt-4o-mini", 1, 1, endpoint=parts.endpoints.address()) is None
    code, _, err = prelabel("run", "--project", project, "--budget-usd", -1)
    assert (code, err) == (1, "prelabel: --budget-usd must be more than 0.\n")
    assert installation.store.jobs() == []


def test_progress_as_json_lines(installation: Installation, prelabel: Command) -> None:
    project, _ = installation.project("good", "bad")
    code, out, err = prelabel("run", "--project", project, "--wait", "--json", "--progress-json")
    lines = [json.loads(text) for text in err.splitlines()]
    assert code == 0
    assert json.loads(out)["state"] == "done"
    assert (lines[0]["state"], lines[0]["finished"], lines[0]["eta_s"]) == ("enlisting", 0, None)
    assert (lines[-1]["state"], lines[-1]["finished"], lines[-1]["tasks"]) == ("done", 2, 2)


def test_a_dry_run_does_nothing(installation: Installation, prelabel: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    project, _ = installation.project("good", "bad")
    installation.queue.reachable = False  # and needs no Redis
    code, out, _ = prelabel("run", "--project", project, "--dry-run", "--sample", 1)
    assert code == 0
    assert "1 selected, 1 to be asked" in out
    assert (installation.store.jobs(), installation.model.requests) == ([], [])
    assert told(prelabel, "run", "--project", project, "--dry-run")["tasks"] == 2


# --- which tasks ------------------------------------------------------------------------------------------------------


def select(installation: Installation, project: int, **options: Any) -> Selection:
    return selection_of(installation.labels, installation.store, project, **options)


def test_a_tab_by_its_title_or_id(installation: Installation) -> None:
    project, _ = installation.project("good")
    item = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": 1}
    empty = {**item, "value": None}
    data = {
        "title": "Some",
        "ordering": ["tasks:id"],
        "filters": {"conjunction": "or", "items": [item, empty]},
        "selectedItems": {"all": False, "included": [3]},
    }
    tab = installation.labels.save_tab(project, None, data)
    for named in ("Some", str(tab.id)):
        found = select(installation, project, tab=named)
        assert found == Selection(
            view={
                "filters": {"conjunction": "or", "items": [item]},
                "selectedItems": {"all": False, "included": [3]},
            }
        )
    assert select(installation, project, tab="Some", again=True).keep == "all"
    with pytest.raises(InputError, match=f'no such tab; project {project} has {tab.id} "Some"'):
        select(installation, project, tab="Other")
    installation.labels.save_tab(project, None, {"title": "Some"})
    with pytest.raises(InputError, match="several tabs have that title"):
        select(installation, project, tab="Some")


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("data.lang = en", ("data.lang", "equal", "String", "en")),
        ("id>=12", ("id", "greater_or_equal", "Number", 12)),
        ("predictions_score < 0.5", ("predictions_score", "less", "Number", 0.5)),
        ('data.text contains "so so"', ("data.text", "contains", "String", "so so")),
        ("tasks:data.a.b != x = y", ("data.a.b", "not_equal", "String", "x = y")),
        ("data.note empty", ("data.note", "empty", "Boolean", True)),
        ("data.note empty false", ("data.note", "empty", "Boolean", False)),
    ],
)
def test_the_short_form_of_a_filter(text: str, item: tuple[Any, ...]) -> None:
    column, operator, kind, value = item
    (found,) = filters_of([text])["items"]
    assert found == {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "= 3",
        "{",
        '{"items": 3}',
        '{"conjunction": "xor", "items": []}',
        '{"items": [{"filter": "id", "operator": "equal", "type": "Number", "value": 1}]}',
        '{"items": [{"filter": "filter:tasks:id", "operator": "equal", "type": "Number", "value": null}]}',
        '{"items": [7]}',
        "[" * 100_000,
    ],
)
def test_a_filter_that_cannot_be_used(text: str) -> None:
    with pytest.raises(InputError):
        filters_of([text])


def test_ids_from_a_file(installation: Installation, tmp_path: Path) -> None:
    project, _ = installation.project("good")
    for text in ("3\n1\n", "\ufeff3 1", "[3, 1]"):
        (tmp_path / "ids").write_text(text)
        assert select(installation, project, ids_file=tmp_path / "ids").task_ids == (3, 1)
    for text in ("", "one", "[true]", "[1.5]", "[[1]]", "{}"):
        (tmp_path / "ids").write_text(text)
        with pytest.raises(InputError):
            select(installation, project, ids_file=tmp_path / "ids")
    with pytest.raises(InputError, match="cannot be read"):
        select(installation, project, ids_file=tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tab": "x", "task_ids": [1]}, "--tab, --filter and --task"),
        ({"everything": True, "below": 0.5}, "--all, --below and --differ"),
        ({"differ": ("a", "b")}, "'a' has no stored answers"),
        ({"again": True}, "say which tasks"),
        ({"below": 1.5}, "no score"),
    ],
)
def test_options_that_make_no_sense(installation: Installation, options: dict[str, Any], words: str) -> None:
    project, _ = installation.project("good")
    with pytest.raises(InputError, match=words):
        select(installation, project, **options)


def test_the_same_version_does_not_differ(installation: Installation) -> None:
    project, _ = installation.project("good")
    installation.run(project)
    with pytest.raises(InputError, match="twice"):
        select(installation, project, differ=("tests", installation.version(project)))
