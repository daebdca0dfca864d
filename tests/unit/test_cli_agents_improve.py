"""`prelabel agents improve` over an installation in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from backend import cli, cli_common
from backend.cli_agents_improve import _show_plan
from tests.fakes.installation import PROMPTS
from tests.unit.services.test_improving import RULE, Site, writing

Command = Callable[..., tuple[int, str, str]]


def command(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    parts = site.here.parts(prompts_dir=PROMPTS)
    monkeypatch.setattr(cli_common, "Parts", lambda _: parts)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: object) -> tuple[int, str, str]:
        argv = ["prelabel", "agents", "improve", *map(str, arguments), "--project", str(site.project_id)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def site() -> Site:
    return Site(writing(RULE))


@pytest.fixture
def improve(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(site, monkeypatch, capsys)


def test_a_dry_run_tells_what_it_takes_and_asks_nobody(site: Site, improve: Command) -> None:
    code, out, _ = improve("tests", "--dry-run")
    assert code == 0
    assert "a-model at the endpoint of the installation would be shown what tests@" in out
    assert "Old and new would answer 62 verified tasks that it is not shown." in out
    assert "at most 64 calls, " in out
    assert "cost not known" in out
    told = json.loads(improve("tests", "--dry-run", "--json", "-n", 40)[1])
    assert (len(told["held_out_tasks"]), told["at_most"]["cost_usd"]) == (40, None)
    assert told["at_most"]["calls"] == 40 + 2  # the replies of the old agent are stored
    assert site.here.model.requests == []


def test_what_documents_hold_is_said_not_to_be_counted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    plan = site.improving.plan(site.project_id, "tests")
    _show_plan(replace(plan, takes=replace(plan.takes, documents=60)))
    told = " ".join(capsys.readouterr().out.split())
    assert "What the documents of 60 tasks hold is not counted in the following. By estimates likely " in told
    assert "cost 1.470000 USD" in told


def test_a_win_is_registered_and_told(site: Site, improve: Command) -> None:
    code, out, _ = improve("tests", "--yes")
    new = site.here.projects.agents.find("tests-improved").reference
    assert code == 0
    assert f"+{RULE}" in out.splitlines()
    assert "62 of 62 right, 100.0%" in out
    assert "Some of these tasks were labelled with a prediction in sight" in out
    assert f"{new} is better, and registered." in out
    assert f"Next: prelabel agents use {new} --project {site.project_id}" in out


def test_a_win_as_json(site: Site, improve: Command) -> None:
    code, out, _ = improve("tests", "--yes", "--json", "--name", "fresh")
    told = json.loads(out)
    assert code == 0
    assert (told["outcome"], told["old_guidance"], told["guidance"]) == ("registered", None, RULE)
    assert told["registered"] == site.here.projects.agents.find("fresh").reference
    assert told["measured"]["winner"] == told["registered"]
    assert told["measured"]["gain_low"] > 0
    assert f"+{RULE}" in told["diff"]
    assert told["writing"]["model_calls"] == 1
    assert set(told["shown_tasks"]) <= set(told["corrected_tasks"])


def test_what_does_not_win_is_kept_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(writing("Texts are often positive."))
    improve = command(site, monkeypatch, capsys)
    code, out, _ = improve("tests", "--yes")
    assert code == 0
    assert "+Texts are often positive." in out.splitlines()
    assert "is kept, and nothing is registered." in out
    assert "Gain of tests-improved@" in out
    assert json.loads(improve("tests", "--yes", "--json")[1])["outcome"] == "kept"
    assert site.here.store.agents() == []


def test_nothing_is_spent_without_consent(site: Site, improve: Command) -> None:
    for options in ([], ["--json"]):
        code, out, err = improve("tests", *options)
        assert code == 1
        assert "say --yes, or --dry-run first" in out + err
    assert site.here.model.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "There is no agent 'nobody'"),
        (["tests", "--with", "nobody"], "There is no agent 'nobody'"),
        (["tests", "--name", "no name"], "a name has up to 40 letters"),
        (["tests", "-n", "29"], "greater than or equal to 30"),
    ],
)
def test_what_cannot_be_done_is_told(improve: Command, arguments: list[str], words: str) -> None:
    code, _, err = improve(*arguments, "--yes")
    assert code != 0
    assert words in " ".join(err.split())
