"""`prelabel audit` as it is typed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from backend import cli_audit
from backend.core.audit import AuditRule
from tests.fakes.installation import Installation
from tests.unit.conftest import Run
from tests.unit.services.test_report import Site


def serve(monkeypatch: pytest.MonkeyPatch, installation: Installation) -> None:
    parts = SimpleNamespace(
        need_key=lambda: None,
        store=installation.store,
        auditing=installation.auditing,
        verifier=installation.verifier,
    )
    monkeypatch.setattr(cli_audit, "open_parts", lambda: parts)


def test_show_tells_how_far_it_is(prelabel: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    serve(monkeypatch, site.installation)
    drawn = len(site.blind)
    site.annotate(site.blind[:3])
    site.installation.labels.annotate(site.blind[3], [], skipped=True, by=1)
    code, out, _ = prelabel("audit", "show", "-p", str(site.project_id), "--json")
    told = json.loads(out)
    assert code == 0
    assert {name: told[name] for name in ("drawn", "answered", "annotated_blind", "skipped", "to_annotate")} == {
        "drawn": drawn,
        "answered": drawn,
        "annotated_blind": 3,
        "skipped": 1,
        "to_annotate": drawn - 3,
    }
    assert (told["withheld"], told["released"]) == (drawn - 3, 3)
    _, out, _ = prelabel("audit", "show", "-p", str(site.project_id))
    lines = [" ".join(text.split()) for text in out.splitlines()]
    assert lines[0].startswith(f"Blind audit of project {site.project_id}: {drawn} tasks (")
    assert lines[2:] == [
        f"to annotate {drawn - 3} 1 of them skipped",
        f"answered {drawn} {drawn - 3} withheld until annotated, 3 released",
    ]


def test_a_project_that_is_not_known(prelabel: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Installation())
    code, out, err = prelabel("audit", "show", "-p", "99")
    assert (code, out) == (1, "")
    assert "Project 99 is not known here" in err


def test_begin_in_a_small_project_says_why_not_and_what_to_do(prelabel: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = Installation(audit=AuditRule())
    project_id, _ = installation.project("one", "two")
    serve(monkeypatch, installation)
    code, out, err = prelabel("audit", "begin", "-p", str(project_id))
    assert (code, out) == (1, "")
    assert f"Project {project_id} has 2 tasks" in err
    assert (
        "250 or more: draw one of as many as you can have annotated with "
        f"`prelabel audit begin --project {project_id} -n N`" in err
    )
    installation = Installation(audit=AuditRule(on=False))
    project_id, _ = installation.project("one")
    serve(monkeypatch, installation)
    code, _, err = prelabel("audit", "begin", "-p", str(project_id))
    assert code == 1
    assert "PRELABEL_AUDIT is false" in err


def test_begin_draws_more_where_there_is_an_audit(prelabel: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    serve(monkeypatch, site.installation)
    drawn = len(site.blind)
    code, out, _ = prelabel("audit", "begin", "-p", str(site.project_id))
    assert code == 0
    assert "has an audit already; `-n COUNT` draws so many tasks more" in out
    code, out, _ = prelabel("audit", "begin", "-p", str(site.project_id), "-n", "5", "--json")
    told = json.loads(out)
    assert (code, told["drawn"], told["withheld"], told["extended"]) == (0, drawn + 5, drawn + 5, True)


def test_to_end_what_is_not_there(prelabel: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    serve(monkeypatch, site.installation)
    project = str(site.project_id)
    assert "is written by the workers" in prelabel("audit", "end", "-p", project)[1]
    code, out, _ = prelabel("audit", "end", "-p", project)
    assert (code, out) == (0, f"Project {project} has no blind audit that goes on: nothing to end.\n")
