"""A project's certificate from its blind audit; accepting, and taking that back."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.confidence.certificate import Certificate, ErrorOf, Refusal
from backend.confidence.intervals import sample_size
from backend.core.agents import AgentVersion
from backend.core.errors import ConfigError, InputError
from backend.core.values import Outcome, TaskState
from backend.core.verifications import VerificationOutcome
from backend.report_page import page
from backend.services.certifying import Certifying, Verdict
from backend.services.report import judgements
from tests.unit.services.test_report import LABELS, Site, region


def certifying(site: Site) -> Certifying:
    return Certifying(store=site.installation.store, labels=site.installation.labels)


def verdict(site: Site, max_error: float = 0.25) -> Verdict:
    return certifying(site).verdict(site.project_id, max_error=max_error, confidence=0.95, error_of=ErrorOf.ALL)


ASKED = {"max_error": 0.25, "confidence": 0.95, "error_of": ErrorOf.ALL}


def scored(**rule: object) -> Site:
    """Every answer has a score of its own."""
    site, chance = Site(**rule), random.Random(0)
    installation = site.installation
    version = installation.version(site.project_id)
    for record in installation.store.records(site.project_id, version, site.task_ids).values():
        installation.store.requeue(record.job_id or 0, [TaskState.DONE])
        break
    for record in installation.store.claim(version, site.project_id, site.task_ids, "here"):
        outcome = Outcome(state=TaskState.DONE, result=record.result, score=chance.random())
        installation.store.save_outcomes([(record.id, record.data_hash, outcome)])
    installation.worker.write_back(site.project_id)
    return site


def test_nothing_is_certified_without_the_blind_audit() -> None:
    site = scored(on=False)
    site.annotate(site.task_ids[:40])
    found = verdict(site)
    assert isinstance(found.found, Refusal)
    assert (found.found.why, found.found.unanswered, found.accepted) == ("no audit", None, ())


def test_another_version_that_has_answered_nothing_yet_has_an_audit_all_the_same() -> None:
    site = scored()
    site.annotate(site.blind)
    installation = site.installation
    agent = replace(installation.projects.agent, name="other")
    installation.store.add_agent(AgentVersion.of(agent, installation.projects.template_source))
    installation.projects.choose(installation.labels, site.project_id, "other")
    found = verdict(site).found
    assert isinstance(found, Refusal)
    assert (found.why, found.tasks, found.unanswered) == ("no audit", 0, len(site.blind))


def test_what_may_be_accepted_is_accepted_and_taken_back() -> None:
    site = scored()
    site.annotate(site.blind)
    others = [task_id for task_id in site.task_ids if task_id not in site.blind]
    site.annotate(others[:5])
    found = verdict(site)
    assert isinstance(found.found, Certificate)
    assert set(found.accepted) <= set(others[5:])
    assert len(found.accepted) == found.found.accepted > 0
    assert found.found.tasks == len(site.task_ids)

    certifying(site).accept(site.project_id, found)
    site.installation.verifier.catch_up(site.project_id, everything=True)
    store = site.installation.store
    accepted = [v.task_id for v in store.verifications(site.project_id) if v.outcome is VerificationOutcome.ACCEPTED]
    assert sorted(accepted) == list(found.accepted)
    assert verdict(site).accepted == ()  # they are annotated

    assert certifying(site).undo(site.project_id) == len(accepted)
    site.installation.verifier.catch_up(site.project_id, everything=True)
    assert verdict(site).accepted == found.accepted
    assert len(store.verified_task_ids(site.project_id)) == len(site.blind) + 5


def test_what_somebody_skipped_is_left_to_people() -> None:
    site = scored()
    site.annotate(site.blind)
    before = verdict(site)
    assert isinstance(before.found, Certificate)
    skipped = list(before.accepted[:2])
    for task_id in skipped:
        site.installation.labels.annotate(task_id, [], skipped=True, by=1)
    site.installation.verifier.catch_up(site.project_id)
    found = verdict(site)
    assert isinstance(found.found, Certificate)
    assert not set(found.accepted) & set(skipped)
    assert found.found.tasks == len(site.task_ids)
    assert found.found.accepted == before.found.accepted - 2
    assert found.found.to_check == before.found.to_check + 2


def test_audit_tasks_that_wait_are_told_with_their_number() -> None:
    site = scored()
    refused = verdict(site).found
    assert isinstance(refused, Refusal)
    assert (refused.why, refused.waiting) == ("no audit", len(site.blind))
    site.annotate(site.blind[:2])
    refused = verdict(site).found
    assert isinstance(refused, Refusal)
    assert (refused.why, refused.waiting) == ("too few labels", len(site.blind) - 2)


def test_too_many_errors_refuse() -> None:
    site = scored()
    site.annotate(site.blind, wrong=len(site.blind) // 2)
    assert isinstance(verdict(site, max_error=0.01).found, Refusal)


def test_an_unknown_project() -> None:
    site = scored()
    with pytest.raises(ConfigError, match="prelabel connect"):
        certifying(site).verdict(99, max_error=0.05, confidence=0.95, error_of=ErrorOf.ALL)


def test_where_batches_have_other_shares_only_as_many_of_each_count() -> None:
    site = scored()
    plan = site.installation.store.audit_plan(site.project_id)
    assert plan is not None
    middle = sorted(site.task_ids)[len(site.task_ids) // 2]
    site.installation.store.extend_audit(site.project_id, replace(plan, up_to=middle, later_share=1.0), site.task_ids)
    drawn, even = site.blind, {i for i in site.task_ids if plan.holds(i, plan.first_share)}
    labels = site.installation.labels
    labels.projects[site.project_id].predictions.clear()
    for record in site.installation.store.records(
        site.project_id, site.installation.version(site.project_id), drawn
    ).values():
        site.installation.store.set_delivery([record.id], "none")
    site.annotate(drawn)
    found = verdict(site, max_error=0.5).found
    assert len(drawn) > len(even)
    assert isinstance(found, Certificate)
    assert found.audited <= len(even)


def test_an_extended_audit_certifies_more_and_leaves_the_accuracy_to_its_first_draw() -> None:
    site = scored(first=12)
    site.annotate(site.blind)
    first = site.blind
    before = verdict(site, max_error=0.1)
    assert isinstance(before.found, Refusal)
    others = [task_id for task_id in site.task_ids if task_id not in first]
    site.annotate(others[:8])  # with a prediction in sight
    site.installation.auditing.draw(site.project_id, 30)
    further = [task_id for task_id in site.blind if task_id not in first and task_id not in others[:8]]
    assert len(further) == 30
    site.annotate(further)
    found = verdict(site, max_error=0.1).found
    assert isinstance(found, Certificate)
    assert (found.audited, found.tasks) == (len(first) + 30, len(site.task_ids))
    report = site.report()
    (figures,) = report["versions"]
    assert figures["accuracy"]["n"] == len(first) == report["audit"]["for_accuracy"]
    assert report["audit"]["annotated_blind"] == len(first) + 30
    assert f"Accuracies are from {len(first)} of them" in page(report)


def test_an_audit_that_is_drawn_after_people_began_stands_for_what_they_had_not_annotated() -> None:
    site = scored(on=False)
    site.annotate(site.task_ids[:10])
    site.installation.clock.now = site.installation.labels.now + timedelta(seconds=1)  # Label Studio's, ahead by now
    site.installation.auditing.draw(site.project_id, 40)
    drawn = [task_id for task_id in site.blind if task_id not in site.task_ids[:10]]
    site.annotate(drawn)
    found = verdict(site, max_error=0.1).found
    assert isinstance(found, Certificate)
    assert found.audited == 40
    (figures,) = site.report()["versions"]
    assert figures["accuracy"]["n"] == 40
    assert figures["warning"].endswith("that of the 50 tasks that nobody had annotated before.")
    site.installation.auditing.draw(site.project_id, 5)
    site.annotate([task_id for task_id in site.blind if task_id not in (*site.task_ids[:10], *drawn)])
    (figures,) = site.report()["versions"]
    assert figures["accuracy"]["n"] == 40  # the others are drawn of what is left


def test_one_annotation_before_the_audit_takes_no_evidence_from_fits() -> None:
    site = scored(on=False)
    site.annotate(site.task_ids[:1])
    site.installation.auditing.draw(site.project_id, 40)
    drawn = [task_id for task_id in site.blind if task_id != site.task_ids[0]]
    site.annotate(drawn)
    store, row = site.installation.store, site.installation.store.project(site.project_id)
    assert row is not None
    found = judgements(store, row, row.version or "", list(store.verifications(site.project_id)))
    assert {one.task_id for one in found if one.audit} == set(drawn)


def test_audit_tasks_that_were_skipped_or_disputed_count_as_wrong() -> None:
    site = scored()
    first, second, _waits, *others = site.blind
    site.annotate(others)
    before = verdict(site).found
    assert isinstance(before, Certificate)
    assert (before.errors, before.undecided, before.waiting) == (0, 0, 3)
    labels = site.installation.labels
    labels.annotate(first, [], skipped=True, by=1)
    said = site.predicted(second)
    labels.annotate(second, region(said), by=1)
    labels.annotate(second, region(next(label for label in LABELS if label != said)), by=2)  # before it is released
    site.installation.verifier.catch_up(site.project_id)
    found = verdict(site, max_error=0.5).found
    assert isinstance(found, Certificate)
    assert (found.audited, found.undecided, found.waiting) == (len(others) + 2, 2, 1)
    assert found.tasks == found.accepted + found.to_check + len(others)
    refused = verdict(site, max_error=0.02).found
    assert isinstance(refused, Refusal)
    assert (refused.errors, refused.undecided, refused.waiting) == (2, 2, 1)


def looks(site: Site) -> list[tuple[int, str]]:
    return [(look.number, look.kind) for look in site.installation.store.audit_looks(site.project_id)]


def test_each_look_with_other_labels_has_half_the_risk_of_the_one_before() -> None:
    site = scored()
    site.annotate(site.blind[:2])
    assert verdict(site).look is None  # too few whatever they say
    assert looks(site) == []
    site.annotate(site.blind[2:17], wrong=5)
    refused = verdict(site)
    assert isinstance(refused.found, Refusal)
    assert (refused.found.why, refused.look) == ("too many errors", 1)
    assert verdict(site) == refused  # the same labels: the same look
    assert refused.found.at_least == sample_size(1, 0.25, 1 - 0.05 / 4) - 17
    assert certifying(site).known_verdict(site.project_id, **ASKED) == refused
    site.annotate(site.blind[17:])
    assert certifying(site).known_verdict(site.project_id, **ASKED) is None
    again = verdict(site)
    assert again.look == 2
    assert looks(site) == [(1, "certify"), (2, "certify")]
    assert verdict(site, max_error=0.5).look == 3  # another promise


def test_a_look_is_held_at_its_share_of_the_risk() -> None:
    site = scored()
    site.annotate(site.blind)
    first = verdict(site).found
    assert isinstance(first, Certificate)
    assert first.bound == pytest.approx(1 - 0.025 ** (1 / len(site.blind)))
    for place in range(2):
        site.installation.store.add_audit_look(site.project_id, "compare", f"{place}")
    later = verdict(site, max_error=0.3).found
    assert isinstance(later, Certificate)
    assert later.bound == pytest.approx(1 - (0.05 / 16) ** (1 / len(site.blind)))


def test_an_ended_audit_still_tells_what_was_annotated_blind() -> None:
    site = scored()
    site.annotate(site.blind[:-2])
    before, accuracy = verdict(site), site.report()["versions"][0]["accuracy"]
    auditing, store = site.installation.auditing, site.installation.store
    auditing.end(site.project_id)
    site.installation.work_off()
    assert verdict(site) == before
    assert site.report()["versions"][0]["accuracy"] == accuracy
    plan = store.audit_plan(site.project_id)
    assert plan is not None
    assert plan.ended_at is not None
    version = site.installation.version(site.project_id)
    assert store.withheld(site.project_id, version) == 0
    assert auditing.begin(site.project_id) == plan  # no other begins by itself
    ended = site.blind
    longer = auditing.draw(site.project_id, 5)  # it goes on, with what nobody has annotated
    assert (longer.ended_at, longer.secret) == (None, plan.secret)
    assert len(site.blind) == len(ended) + 5
    assert store.withheld(site.project_id, version) == 2 + 5


def test_an_audit_is_not_extended_past_what_was_accepted_unseen() -> None:
    site = scored()
    site.annotate(site.blind)
    certifying(site).accept(site.project_id, verdict(site))
    site.installation.verifier.catch_up(site.project_id)
    before = site.blind
    with pytest.raises(InputError, match=r"were accepted unseen: take that back first, with .* --undo`"):
        site.installation.auditing.draw(site.project_id, 5)
    assert site.blind == before
    certifying(site).undo(site.project_id)
    site.installation.auditing.draw(site.project_id, 5)
    assert len(site.blind) == len(before) + 5
