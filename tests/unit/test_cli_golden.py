"""`prelabel golden` and what `report` tells of golden questions, over an installation in memory."""

from __future__ import annotations

import json

import pytest

from backend.report_page import page
from tests.fakes.installation import Installation
from tests.unit.services.test_golden import DILIGENT, LAZY, Site, both_answer
from tests.unit.test_cli import Command, prelabel  # noqa: F401  - a fixture


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def installation(site: Site) -> Installation:
    return site.here


def test_from_making_to_the_end(site: Site, prelabel: Command) -> None:  # noqa: F811
    here = ("--project", site.project_id)
    code, out, _ = prelabel("golden", "make", *here, "--dry-run")
    assert code == 0
    assert "30 golden questions would be imported, 8 of them with a wrong prediction, for 2 annotators each." in out
    assert out.count("copy of task") == 30
    assert out.count(", shown as ") == 8
    assert site.copies == []

    code, out, err = prelabel("golden", "make", *here)
    assert (code, err) == (0, "")
    assert out == "30 golden questions were imported, 8 of them with a wrong prediction, for 2 annotators each.\n"
    both_answer(site)
    code, out, _ = prelabel("golden", "show", *here)
    assert code == 0
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("  ") and ":" not in line}
    assert rows[f"{DILIGENT}"].split()[2] == "pass"
    assert rows[f"{LAZY}"].split()[2] == "fail"
    assert (
        f"  user {LAZY}: 22 of 30 golden questions right; 0 of 8 wrong predictions noticed; accepts what is shown."
        in out
    )
    assert "  user 1: 0 of 0 golden questions right; 30 more needed, 8 of them with a wrong prediction." in out
    assert "task 1" not in out

    told = json.loads(prelabel("golden", "show", *here, "--tasks", "--json")[1])
    assert sum(one["trap"] for one in told["tasks"]) == 8
    (lazy,) = (one for one in told["golden"]["annotators"] if one["annotator"] == LAZY)
    assert (lazy["verdict"], lazy["catch_rate"]["share"], lazy["left_out"]) == ("fail", 0.0, False)

    code, out, _ = prelabel("golden", "end", *here)
    assert out.startswith("30 golden questions of project")
    assert "has no golden questions: nothing to delete." in prelabel("golden", "end", *here)[1]
    assert "has no golden questions: make some with" in prelabel("golden", "show", *here)[1]


def test_who_is_left_out_is_told_and_counts_again(site: Site, prelabel: Command) -> None:  # noqa: F811
    here = ("--project", site.project_id)
    site.annotate(site.ids[60:70], by=LAZY, accepts=True)
    code, out, _ = prelabel("golden", "exclude", *here, "--annotator", LAZY)
    assert code == 0
    assert out.startswith(f"Annotator {LAZY} is left out, with 10 annotations")
    _, out, _ = prelabel("report", *here)
    assert f"Left out: annotator {LAZY}, 10 annotations count for nothing." in out
    assert "10 left out" in out
    told = json.loads(prelabel("report", *here, "--json")[1])
    assert (told["golden"], told["left_out"]) == (None, [{"annotator": LAZY, "annotations": 10}])
    assert "is left out: 10 annotations count for nothing" in page(told)
    told = json.loads(prelabel("golden", "exclude", *here, "--annotator", LAZY, "--undo", "--json")[1])
    assert told == {"project": site.project_id, "annotator": LAZY, "left_out": False, "annotations": 10}
    assert "Left out" not in prelabel("report", *here)[1]


def test_the_report_says_who_failed(site: Site, prelabel: Command) -> None:  # noqa: F811
    site.make()
    both_answer(site)
    site.here.leaving_out.leave_out(site.project_id, LAZY)
    site.here.labels.names = {LAZY: "Ben <b>"}
    _, out, _ = prelabel("report", "--project", site.project_id)
    assert f"Ben <b> ({LAZY}): 22 of 30" in out
    assert "Golden questions: 30, 8 of them with a wrong prediction." in out
    assert "fail (left out)" in out
    html = page(json.loads(prelabel("report", "--project", site.project_id, "--json")[1]))
    assert "<h2>Golden questions</h2>" in html
    assert "fail (left out)" in html
    assert f"Ben &lt;b&gt; ({LAZY})" in html


def test_the_report_reads_what_is_new_and_says_where_it_cannot(site: Site, prelabel: Command) -> None:  # noqa: F811
    here = ("report", "--project", site.project_id)
    before = json.loads(prelabel(*here, "--json")[1])["versions"][0]["verified"]
    site.here.labels.annotate(site.ids[60], [], skipped=True, by=1)
    _, out, err = prelabel(*here)
    assert "1 skipped" in out
    assert err == ""
    site.here.labels.reachable = False
    code, out, err = prelabel(*here)
    assert code == 0
    assert "Warning: This is of the annotations as they were read last." in err
    assert json.loads(prelabel(*here, "--json")[1])["versions"][0]["verified"] == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("make", "-n", "70"), "60 tasks of project"),
        (("make", "--control", "mood"), "the labeling config has no such control"),
        (("exclude", "--annotator", "99"), "Annotator 99 has annotated nothing"),
        (("exclude", "--annotator", "1", "--undo"), "Annotator 1 is not left out"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    site: Site,
    prelabel: Command,  # noqa: F811
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    code, out, err = prelabel("golden", *arguments, "--project", site.project_id)
    assert (code, out) == (1, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["make", "show", "exclude", "end"])
def test_a_project_that_is_not_known(prelabel: Command, command: str) -> None:  # noqa: F811
    more = ("--annotator", 1) if command == "exclude" else ()
    code, _, err = prelabel("golden", command, "--project", 99, *more)
    assert code == 1
    assert "Project 99 is not known here: check --project" in err


def test_verifications_tell_what_they_do_not_count(site: Site, prelabel: Command) -> None:  # noqa: F811
    site.make()
    both_answer(site)
    site.here.leaving_out.leave_out(site.project_id, 2)
    _, out, _ = prelabel("verifications", "--project", site.project_id)
    assert "60 answers to golden questions beside them" in out
    assert "60 by annotators who are left out, beside them" in out
