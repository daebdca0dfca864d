"""A report over the whole way: answered, some of it blind, annotated, read, told."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.audit import AuditRule
from backend.core.errors import ConfigError
from backend.core.text import percent
from backend.report_page import page
from backend.services.fitting_rows import said_of
from backend.services.projects import answerable
from backend.services.report import Reports, judgements
from tests.fakes.installation import Installation

LABELS = ("positive", "negative")
TEXTS = [f"{('good', 'bad')[n % 2]} number {n}" for n in range(60)]


def region(choice: str) -> list[dict[str, Any]]:
    return [{"id": "r", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}]


class Site:
    """A project with a blind audit that is answered, and people who annotate it."""

    def __init__(self, **rule: Any) -> None:
        self.installation = Installation(audit=AuditRule(**{"first": 20, "fewest_tasks": 20, **rule}))
        self.project_id, self.task_ids = self.installation.project(*TEXTS)
        self.installation.run(self.project_id)
        self.reports = Reports(
            store=self.installation.store,
            labels=self.installation.labels,
            clock=self.installation.clock,
            cost=lambda project, version, usage: 0.006,
        )

    @property
    def blind(self) -> list[int]:
        plan = self.installation.store.audit_plan(self.project_id)
        return [task_id for task_id in self.task_ids if plan is not None and plan.holds(task_id)]

    def predicted(self, task_id: int) -> str:
        version = self.installation.version(self.project_id)
        record = self.installation.store.records(self.project_id, version, [task_id])[task_id]
        return str(record.result[0]["value"]["choices"][0])

    def annotate(self, task_ids: list[int], *, wrong: int = 0, by: int = 1) -> None:
        """The first `wrong` get the other label; who sees a prediction starts from it."""
        labels = self.installation.labels
        held = {p.task_id: number for number, p in labels.projects[self.project_id].predictions.items()}
        for place, task_id in enumerate(task_ids):
            said = self.predicted(task_id)
            said = said if place >= wrong else next(label for label in LABELS if label != said)
            labels.annotate(task_id, region(said), parent=held.get(task_id), by=by, lead_time_s=4.0 + (task_id in held))
        self.installation.verifier.look(self.project_id, task_ids)
        self.installation.work_off()

    def report(self, *agents: str) -> dict[str, Any]:
        return self.reports.report(self.project_id, agents=agents)


def test_the_accuracy_is_from_the_blind_audit_alone() -> None:
    site = Site()
    blind = site.blind
    others = [task_id for task_id in site.task_ids if task_id not in blind]
    site.annotate(blind, wrong=3)
    site.annotate(others[:10])
    report = site.report()
    (figures,) = report["versions"]
    assert figures["accuracy"]["n"] == len(blind)
    assert figures["accuracy"]["share"] == pytest.approx(1 - 3 / len(blind))
    assert figures["accuracy"]["low"] < figures["accuracy"]["share"] < figures["accuracy"]["high"]
    assert figures["confirmed"]["n"] == 10
    assert figures["confirmed"]["share"] == 1.0
    assert (figures["answered"], figures["verified"]) == (60, len(blind) + 10)
    assert report["audit"]["annotated_blind"] == len(blind)
    assert report["people"]["lead_time"]["with_prediction"]["median_s"] == 5.0
    assert report["people"]["lead_time"]["without"]["median_s"] == 4.0
    (sentiment,) = figures["controls"].values()
    assert sentiment["accuracy"]["n"] == len(blind)
    assert sum(one["n"] for one in sentiment["confusion"]) == 3
    assert figures["cost"]["usd_per_verified"] == pytest.approx(0.006 / (len(blind) + 10))


def test_annotated_audit_tasks_get_their_predictions_and_stay_audit() -> None:
    site = Site()
    site.annotate(site.blind)
    shown = {task_id for task_id, found in site.installation.choices(site.project_id).items() if found}
    assert shown == set(site.task_ids)
    site.installation.verifier.catch_up(site.project_id, everything=True)
    assert site.report()["versions"][0]["accuracy"]["n"] == len(site.blind)


def test_without_an_audit_there_is_a_warning_in_the_place_of_the_accuracy() -> None:
    site = Site(on=False)
    site.annotate(site.task_ids[:30])
    (figures,) = site.report()["versions"]
    assert figures["accuracy"] is None
    assert "blind audit" in figures["warning"]
    assert figures["confirmed"]["n"] == 30


def test_who_accepts_everything_makes_no_accuracy() -> None:
    site = Site()
    site.annotate([task_id for task_id in site.task_ids if task_id not in site.blind])
    (figures,) = site.report()["versions"]
    assert (figures["accuracy"], figures["confirmed"]["share"]) == (None, 1.0)


def test_two_who_disagree_leave_a_task_out() -> None:
    site = Site()
    first, *others = site.blind
    site.annotate([first, *others])
    site.annotate([first], wrong=1, by=2)  # it sees the prediction by now: no part of the audit
    assert site.report()["versions"][0]["accuracy"]["n"] == len(site.blind)
    people = site.report()["people"]
    assert people["tasks_with_several"] == 1
    assert [told["disagreed"] for told in people["agreement"].values()] == [1]


@pytest.mark.parametrize("ground_truth", [True, False])
def test_ground_truth_alone_is_heard_and_of_an_annotator_the_last_answer(ground_truth: bool) -> None:
    site = Site()
    task_id, labels, store = site.blind[0], site.installation.labels, site.installation.store
    said = site.predicted(task_id)
    other = next(label for label in LABELS if label != said)
    labels.annotate(task_id, region(said), by=1)
    last = labels.annotate(task_id, region(other), by=2 if ground_truth else 1)
    if ground_truth:
        labels.reannotate(last, ground_truth=True)
    site.installation.verifier.look(site.project_id, [task_id])
    report = site.report()
    assert (report["versions"][0]["accuracy"]["n"], report["versions"][0]["accuracy"]["share"]) == (1, 0.0)
    assert sum(one["annotations"] for one in report["people"]["annotators"]) == 2
    row = store.project(site.project_id)
    assert row is not None
    found = judgements(store, row, site.installation.version(site.project_id), list(store.verifications(row.id)))
    assert said_of(answerable(row.label_config), found)["sentiment"][task_id].gold == other


def test_of_an_audited_task_those_who_saw_no_prediction_are_heard_before_later_ground_truth() -> None:
    site = Site()
    first, *_ = site.blind
    site.annotate([first])
    assert site.predicted(first) in site.installation.choices(site.project_id)[first]
    other = next(label for label in LABELS if label != site.predicted(first))
    later = site.installation.labels.annotate(first, region(other), by=2)
    site.installation.labels.reannotate(later, ground_truth=True)
    site.installation.verifier.look(site.project_id, [first])
    accuracy = site.report()["versions"][0]["accuracy"]
    assert (accuracy["n"], accuracy["share"]) == (1, 1.0)


def test_nothing_verified_and_unknown_things() -> None:
    site = Site()
    (figures,) = site.report()["versions"]
    assert (figures["accuracy"], figures["confirmed"], figures["verified"]) == (None, None, 0)
    assert page(site.report()).startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="prelabel connect"):
        site.reports.report(99)
    with pytest.raises(ConfigError, match="answered it was by tests@"):
        site.report("nobody")


def test_the_page_escapes_what_comes_from_outside() -> None:
    site = Site()
    site.annotate(site.blind)
    report = site.report()
    report["versions"][0]["version"] = "<script>alert(1)</script>"
    assert "<script>" not in page(report)
    assert "&lt;script&gt;" in page(report)


def test_only_what_was_shown_counts_as_changed() -> None:
    site = Site()
    others = [task_id for task_id in site.task_ids if task_id not in site.blind]
    site.annotate(site.blind, wrong=3)
    site.annotate(others[:10], wrong=2)
    (sentiment,) = site.report()["versions"][0]["controls"].values()
    assert sum(one["n"] for one in sentiment["changed"]) == 2
    assert sum(one["n"] for one in sentiment["confusion"]) == 5


def test_people_have_names_where_label_studio_tells_them_and_the_report_a_title_and_a_date() -> None:
    site = Site()
    site.annotate(site.task_ids[:3], by=1)
    site.annotate(site.task_ids[3:5], by=2)
    site.installation.labels.names = {1: "Ann <Lee>"}
    report = site.report()
    assert [(one["annotator"], one["name"]) for one in report["people"]["annotators"]] == [(1, "Ann <Lee>"), (2, None)]
    assert report["made_at"].startswith(site.installation.clock().date().isoformat())
    told = page({**report, "title": "Mails & more"})
    assert "Ann &lt;Lee&gt;" in told
    assert "user 2" in told
    assert "<title>Mails &amp; more: what the labels are worth</title>" in told
    assert report["made_at"][:10] in told
    site.installation.labels.reachable = False
    report = site.report()
    assert (report["title"], report["people"]["annotators"][0]["name"]) == (None, None)
    assert f"<title>Project {site.project_id}: what" in page(report)


def test_the_curve_has_its_axes_named() -> None:
    site = Site()
    site.annotate(site.blind, wrong=1)
    report = site.report()
    curve = [{"coverage": 0.5, "risk": 0.0}, {"coverage": 1.0, "risk": 0.05}]
    report["versions"][0]["calibration"] = {"n": 20, "ece": 0.1, "auroc": None, "risk_coverage": curve}
    told = page(report)
    assert 'd="M265.0 170.0 L460.0 95.0 "' in told  # up to 10 %
    assert "share of the tasks accepted, highest score first" in told
    assert "wrong among these" in told


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [(1.0, 1, "100.0%"), (0.0, 0, "0%"), (299 / 300, 0, "99.7%"), (0.99999, 1, "99.999%"), (1e-4, 1, "0.01%")],
)
def test_a_share_is_not_rounded_to_all_or_nothing(share: float, digits: int, told: str) -> None:
    assert percent(share, digits) == told
