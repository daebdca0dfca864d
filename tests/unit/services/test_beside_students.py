"""The report says where a student of verified labels would do better than the model, overall and by slice."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from backend import cli_report
from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.values import Reply, Request
from backend.report_page import page
from backend.services.report import Reports
from tests.fakes.installation import Installation, replying
from tests.unit.services.test_students import CONFIG, PUPIL, right, said, text


def good_at_english(request: Request) -> Reply:
    """Right about English, always glad in Marathi."""
    sad = "horrid" in request.messages[-1].content.partition("Annotate the data above")[0]
    return replying('{"sentiment": "%s"}' % ("Sad" if sad else "Glad"))


class Site:
    """Every second pair of tasks is "marathi", which the model does not know."""

    def __init__(self, *, tasks: int = 160, annotated: int | None = None, **rule: Any) -> None:
        self.here = Installation(good_at_english, audit=AuditRule(**{"first": 80, "fewest_tasks": 20, **rule}))
        data = [self.data(number) for number in range(tasks)]
        self.project_id = self.here.labels.add_project(CONFIG, data)
        self.ids = sorted(self.here.labels.projects[self.project_id].tasks)
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)
        for number, task_id in list(enumerate(self.ids))[:annotated]:
            self.here.labels.annotate(task_id, said(right(number)))
        self.here.verifier.catch_up(self.project_id)
        self.reports = Reports(
            store=self.here.store,
            labels=self.here.labels,
            clock=self.here.clock,
            cost=lambda project, version, usage: None,
        )

    @staticmethod
    def data(number: int) -> dict[str, str]:
        if number // 2 % 2:
            return {"text": text(number).replace("horrid", "vait").replace("lovely", "chan"), "language": "marathi"}
        return {"text": text(number), "language": "english"}

    def told(self, *agents: str) -> dict[str, Any]:
        return self.reports.report(self.project_id, agents=agents)


def test_the_student_is_better_where_the_model_does_not_know_the_language() -> None:
    site = Site()
    report = site.told()
    (told,) = report["versions"][0]["student"].values()
    assert told["taught"] == 160
    plan = site.here.store.audit_plan(site.project_id)
    assert plan is not None
    assert told["student"]["n"] == told["version"]["n"] == sum(plan.holds(i) for i in site.ids)
    marathi, english = told["slices"]["language"]["marathi"], told["slices"]["language"]["english"]
    assert marathi["student_is_better"]
    assert marathi["student"]["low"] > marathi["version"]["high"]
    assert english["student_is_better"] is False
    assert english["version"]["share"] == 1.0
    assert told["student_is_better"]
    assert marathi["student"]["n"] + english["student"]["n"] == told["student"]["n"]


def test_the_terminal_and_the_page_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    report = Site().told()
    cli_report._show(report)
    printed = " ".join(capsys.readouterr().out.split())
    assert "sentiment, on the blind audit: a student of 160 verified labels" in printed
    assert "The student is better for language marathi:" in printed
    assert "an agent with `provider: student`" in printed
    html = StringIO(page(report)).getvalue()
    assert "this version beside a student of 160 verified labels" in html
    assert "language: marathi" in html
    assert html.count("the student is better") == 2


def test_without_an_audit_or_enough_labels_it_says_why_not() -> None:
    (unaudited,) = Site(on=False).told()["versions"][0]["student"].values()
    assert unaudited == {"why_not": "has no task of the blind audit to be judged by"}
    few = Site(annotated=20).told()
    assert few["versions"][0]["student"] == {
        "sentiment": {"why_not": "has 20 verified labels on tasks with text, and 30 are needed"}
    }
    cli_report._show(few)
    assert "student" not in page(few)


def test_a_students_own_version_is_not_set_beside_a_student() -> None:
    site = Site()
    site.here.store.add_agent(AgentVersion.of(PUPIL, ""))
    site.here.jobs.start_run(site.project_id, agent="pupil")
    site.here.work_off()
    (figures,) = site.told("pupil")["versions"]
    assert figures["student"] == {}
    assert figures["accuracy"]["share"] > 0.9  # by students that had not seen what they are judged by
    assert figures["cost"]["tokens"] == 0
