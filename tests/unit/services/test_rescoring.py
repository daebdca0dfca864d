"""A better score comes into use: written beside, switched, cleared; interrupted anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.confidence.certificate import Certificate, ErrorOf
from backend.confidence.intervals import upper_bound
from backend.core.errors import LabelStudioUnreachable, PrelabelError
from backend.core.scorings import ScoringState, content_version, shown_version
from backend.ports.audits import WITHHELD
from backend.services.audit_evidence import evidence
from backend.services.certifying import Certifying
from backend.services.rescoring import GRACE
from tests.unit.services.test_learning import Learner


class Site(Learner):
    """Connected, so that title and model version can be looked at."""

    def __init__(self) -> None:
        super().__init__(later_share=0.0)
        labels = self.installation.labels
        self.version = self.installation.version(self.project_id)
        labels.save_backend(self.project_id, None, {"url": "http://here:9090", "title": self.version})
        labels.set_model_version(self.project_id, self.version)

    def adopt(self) -> str:
        """Enough is verified that a better score is found; returns the version that is shown then."""
        self.verify(self.blind)
        return self.shown

    @property
    def shown(self) -> str:
        return self.installation.store.shown_version(self.project_id, self.version)

    @property
    def states(self) -> list[ScoringState]:
        return [fit.state for fit in self.installation.store.scorings(self.project_id, self.version)]

    def held(self, version: str | None = None) -> dict[int, int]:
        """Task -> its predictions of the version that Label Studio takes for the current one."""
        found = self.installation.labels.projects[self.project_id]
        current = version or found.project.model_version
        return Counter(p.task_id for p in found.predictions.values() if p.model_version == current)

    def scores(self) -> dict[int, float | None]:
        found = self.installation.labels.projects[self.project_id]
        return {p.task_id: p.score for p in found.predictions.values() if p.model_version == self.shown}

    def settle(self) -> None:
        self.installation.clock.now += GRACE + timedelta(seconds=1)
        self.installation.rescoring.settle(self.project_id)


def test_names_of_versions() -> None:
    assert shown_version("tests@0123abcd", 0) == "tests@0123abcd"
    assert shown_version("tests@0123abcd", 2) == "tests@0123abcd.r2"
    assert content_version("tests@0123abcd.r2") == content_version("tests@0123abcd") == "tests@0123abcd"
    for other in ("", "x.r2", "tests@0123abcd.r0", "tests@0123abcd.r2.r3x", "imported.r1"):
        assert content_version(other) == other


def test_what_is_shown_is_switched_whole_and_the_old_deleted_later() -> None:
    site = Site()
    before = site.held()
    shown = site.adopt()
    assert shown.startswith(f"{site.version}.r")
    labels = site.installation.labels
    project = labels.projects[site.project_id]
    assert project.project.model_version == shown
    assert [backend.title for backend in project.backends.values()] == [shown]
    row = site.installation.store.project(site.project_id)
    assert row is not None
    assert site.installation.projects.setup_version(row) == shown
    assert site.held() == dict.fromkeys(site.task_ids, 1)
    assert set(before) < set(site.held(site.version))  # still there, for who has a task open
    site.settle()
    assert project.project.model_version == shown
    assert [backend.title for backend in project.backends.values()] == [shown]
    assert {p.model_version for p in project.predictions.values()} == {shown}
    assert site.held() == dict.fromkeys(site.task_ids, 1)
    assert site.installation.store.projects_to_settle(shown_before=site.installation.clock.now) == []


def test_the_order_follows_the_new_scores_and_the_raw_ones_are_kept() -> None:
    site = Site()
    raw = site.scores()
    site.adopt()
    fitted = site.scores()
    odd = [t for t in site.task_ids if t % 2 and t not in site.blind]
    even = [t for t in site.task_ids if t % 2 == 0 and t not in site.blind]
    assert max(fitted[t] or 0 for t in odd) < min(fitted[t] or 1 for t in even)
    assert sum(fitted[t] or 0 for t in odd) / len(odd) < 0.75 < (raw[odd[0]] or 0)
    answers = site.installation.store.scored_answers(site.project_id, site.version)
    kept = {a.task_id: a.controls["sentiment"].confidence for a in answers}
    assert kept == {t: 0.999 if t % 2 == 0 else 0.99 for t in site.task_ids}


def test_what_people_said_is_the_same_after_the_old_predictions_are_gone() -> None:
    site = Site()
    open_ = [t for t in site.task_ids if t not in site.blind]
    site.verify(open_[:10])
    site.adopt()
    store = site.installation.store
    before = {v.annotation_id: (v.outcome, v.version) for v in store.verifications(site.project_id)}
    site.settle()
    site.installation.verifier.catch_up(site.project_id, everything=True)
    after = {v.annotation_id: (v.outcome, v.version) for v in store.verifications(site.project_id)}
    assert after == before
    assert {version for _, version in after.values()} == {site.version}
    site.verify(open_[10:12])  # under the new name
    assert {v.version for v in store.verifications(site.project_id)} == {site.version}


def test_audited_tasks_that_nobody_has_annotated_stay_hidden() -> None:
    site = Site()
    left = site.blind[-3:]
    site.verify(site.blind[:-3])
    assert site.shown != site.version
    site.settle()
    records = site.installation.store.records(site.project_id, site.version, left)
    assert {r.delivery for r in records.values()} == {WITHHELD}
    assert not set(left) & set(site.held())
    site.verify(left)
    assert {site.held()[t] for t in left} == {1}


def test_what_is_answered_later_is_written_with_the_score_in_use() -> None:
    site = Site()
    site.adopt()
    installation = site.installation
    new = installation.labels.add_tasks(site.project_id, [{"text": "good number 1000 odd"}])
    installation.run(site.project_id)
    assert site.held()[new[0]] == 1
    record = installation.store.records(site.project_id, site.version, new)[new[0]]
    assert content_version(record.shown_version) == site.version
    assert record.shown_version == site.shown
    (answer,) = installation.predictor.answer(
        site.project_id, installation.raw_tasks(site.project_id, new), None, interactive=False
    )
    assert answer == []  # Label Studio has it


def test_a_prediction_that_a_request_was_given_at_the_wrong_moment_is_made_up_for() -> None:
    site = Site()
    site.adopt()
    found = site.installation.labels.projects[site.project_id]
    number = next(n for n, p in found.predictions.items() if p.model_version == site.shown)
    task_id = found.predictions[number].task_id
    del found.predictions[number]
    site.settle()
    assert site.held()[task_id] == 1
    assert site.version in {p.model_version for p in found.predictions.values()}
    site.settle()
    assert site.version not in {p.model_version for p in found.predictions.values()}


STEPS = ("import_predictions", "save_backend", "delete_version")


@pytest.mark.parametrize("step", STEPS)
def test_whatever_step_is_interrupted_is_made_up_for(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.verify(site.blind[:-1])
    labels, rescoring = site.installation.labels, site.installation.rescoring
    deed: Callable[..., object] = getattr(labels, step)

    def away(*given: object, **named: object) -> object:
        raise LabelStudioUnreachable("Label Studio cannot be reached.")

    monkeypatch.setattr(labels, step, away)
    failed = 0
    for _ in range(3):
        try:
            rescoring.refit(site.project_id)
            site.settle()
        except PrelabelError:
            failed += 1
        assert set(site.held().values()) == {1}
    assert failed
    monkeypatch.setattr(labels, step, deed)
    site.settle()
    site.settle()
    assert site.held() == dict.fromkeys([t for t in site.task_ids if t != site.blind[-1]], 1)
    project = labels.projects[site.project_id]
    assert {p.model_version for p in project.predictions.values()} == {site.shown}
    assert [backend.title for backend in project.backends.values()] == [site.shown]


def test_a_project_that_another_writes_is_left_for_later() -> None:
    site = Site()
    with site.installation.queue.writer_lock(site.project_id):
        site.verify(site.blind)
    assert site.states == [] or ScoringState.ADOPTED not in site.states
    assert site.shown == site.version


def test_what_is_half_written_is_not_taken_for_old() -> None:
    site = Site()
    site.adopt()
    installation, store = site.installation, site.installation.store
    first = store.scorings(site.project_id, site.version)[0]
    scores = {
        r.id: (r.data_hash, r.score) for r in store.records(site.project_id, site.version, site.task_ids).values()
    }
    store.adopt_scoring(replace(first, number=first.number + 1, state=ScoringState.ADOPTED, shown_at=None), scores)
    coming = f"{site.version}.r{first.number + 1}"
    records = store.records(site.project_id, site.version, site.task_ids[:1])
    installation.labels.import_predictions(site.project_id, [record.prediction for record in records.values()])
    with installation.queue.writer_lock(site.project_id):
        site.settle()
    assert len(site.held(coming)) == 1
    assert (site.shown, set(site.held().values())) == (f"{site.version}.r{first.number}", {1})
    site.settle()
    assert site.shown == coming
    assert site.held() == dict.fromkeys(site.task_ids, 1)


def test_the_sweeper_comes_back_for_what_is_left() -> None:
    site = Site()
    site.adopt()
    installation = site.installation
    installation.sweeper.look()
    assert not [m for m in installation.queue.messages if m.work == "refit"]
    installation.clock.now += GRACE + timedelta(seconds=1)
    installation.sweeper.look()
    installation.work_off()
    assert site.held(site.version) == {}


def test_a_certificate_knows_that_its_scores_are_fitted() -> None:
    site = Site()
    site.installation.queue.reachable = True
    site.adopt()
    store = site.installation.store
    row = store.project(site.project_id)
    assert row is not None
    told = evidence(store, row, row.version or "")
    certifying = Certifying(store=store, labels=site.installation.labels)
    found = certifying.verdict(site.project_id, max_error=0.5, confidence=0.9, error_of=ErrorOf.ALL).found
    assert isinstance(found, Certificate)
    # The first look has half the risk, and half of that for the fit.
    assert found.bound == upper_bound(found.errors, len(told.audit), 1 - 0.1 / 2 / 2)
    store.scorings = lambda project_id, version: []  # type: ignore[method-assign]
    raw = evidence(store, row, row.version or "")
    assert (told.cross_fitted, raw.cross_fitted) == (True, False)
    assert told.key() != raw.key()  # another look
