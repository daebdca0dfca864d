"""`prelabel queue`: what it prints, and the tabs that it makes."""

from __future__ import annotations

import json

import pytest

from tests.fakes.installation import Installation
from tests.unit.services.test_certifying import scored
from tests.unit.services.test_report import Site
from tests.unit.test_cli import Command, prelabel  # noqa: F401  - a fixture


@pytest.fixture
def site() -> Site:
    return scored()


@pytest.fixture
def installation(site: Site) -> Installation:
    return site.installation


def test_what_remains_and_why(site: Site, prelabel: Command) -> None:  # noqa: F811
    code, out, err = prelabel("queue", "--project", site.project_id, "--cap", 0)
    assert (code, err) == (0, "")
    first, *rows = out.splitlines()
    assert first == f"{site.installation.version(site.project_id)}: 60 of 60 tasks are left for people."
    assert [row.strip().split("  ")[0] for row in rows[:7]] == [
        "to verify",
        "audit to annotate",
        "repeats",
        "waiting",
        "done",
        "accepted",
        "skipped",
    ]
    assert f"{len(site.blind)} predictions are made and withheld" in out
    assert "Nothing may be accepted unseen (at most 5 % wrong, 95 % sure)" in out

    site.annotate(site.blind)
    before = json.loads(prelabel("queue", "--project", site.project_id, "--max-error", 0.25, "--json")[1])[
        "certificate"
    ]
    assert (before["certified"], before["may_be_accepted_now"]) == (None, None)
    assert "which is a look at the audit" in prelabel("queue", "--project", site.project_id, "--max-error", 0.25)[1]
    assert site.installation.store.audit_looks(site.project_id) == []
    certified = json.loads(prelabel("certify", "--project", site.project_id, "--max-error", 0.25, "--json")[1])
    answer = json.loads(prelabel("queue", "--project", site.project_id, "--max-error", 0.25, "--json")[1])
    assert (answer["done"], answer["audit"]) == (len(site.blind), 0)
    assert answer["verify"] + answer["repeat"] == certified["accepted"] + certified["to_check"]
    assert answer["certificate"]["may_be_accepted_now"] == certified["accepted"] > 0
    assert answer["certificate"]["threshold"] == certified["threshold"]
    assert (answer["certificate"]["look"], certified["look"], certified["held_at"]) == (1, 1, 0.975)
    assert (answer["conflicts"], answer["tabs"]) == (None, [])
    assert "may be accepted unseen, score" in prelabel("queue", "--project", site.project_id, "--max-error", 0.25)[1]


def test_the_tabs_are_made_once(site: Site, prelabel: Command) -> None:  # noqa: F811
    _, out, _ = prelabel("queue", "--project", site.project_id, "--tabs", "--audit")
    assert 'Tab "Verify next":' in out
    assert f'Tab "Audit": {len(site.blind)} tasks.' in out
    first = json.loads(prelabel("queue", "--project", site.project_id, "--tabs", "--json")[1])["tabs"]
    again = json.loads(prelabel("queue", "--project", site.project_id, "--tabs", "--json")[1])["tabs"]
    assert [one["title"] for one in first] == ["Verify next", "Audit"]
    assert again == first
    assert len(site.installation.labels.tabs(site.project_id)) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--differ", "nobody", "tests"], "no stored answers"),
        (["--differ", "tests", "tests"], "twice"),
        (["--audit"], "give --tabs"),
    ],
)
def test_what_makes_no_sense_is_told(site: Site, prelabel: Command, options: list[str], why: str) -> None:  # noqa: F811
    code, _, err = prelabel("queue", "--project", site.project_id, *options)
    assert code == 1
    assert why in err


def test_why_a_tab_of_no_audit_is_empty_is_said(site: Site, prelabel: Command) -> None:  # noqa: F811
    site.installation.store.audit_plan = lambda _: None  # type: ignore[method-assign]
    code, out, _ = prelabel("queue", "--project", site.project_id, "--tabs", "--audit")
    assert code == 0
    assert "There is no blind audit: `prelabel audit begin --project" in out
    assert 'Tab "Audit": 0 tasks.' in out


def test_a_project_that_is_not_known(prelabel: Command) -> None:  # noqa: F811
    code, _, err = prelabel("queue", "--project", 99)
    assert code == 1
    assert "prelabel connect" in err
