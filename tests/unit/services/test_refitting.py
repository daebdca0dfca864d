"""When a fit is due, and fits that are killed, that meet, or that rest on what counts no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.core.errors import StoreError
from backend.core.scorings import Scoring, ScoringState
from backend.core.values import FieldReading, Outcome, TaskState
from backend.ports.store import ProjectRow
from backend.services.learning import EVERY, Found, Learning
from backend.services.rescoring import GRACE
from tests.unit.services.test_report import region
from tests.unit.services.test_rescoring import Site


def fits(site: Site, version: str | None = None) -> list[Scoring]:
    return site.installation.store.scorings(site.project_id, version or site.version)


def instruct(site: Site) -> None:
    """The project has other instructions: a new version, which has answered nothing yet."""
    project = site.installation.labels.projects[site.project_id]
    project.project = replace(project.project, instructions="Look twice.")
    site.installation.projects.sync(site.installation.labels, site.project_id)


def meanwhile(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object]) -> None:
    """The deed is done once, after a fit was computed and before it is kept."""
    find = Learning.find
    done: list[bool] = []

    def found(self: Learning, row: ProjectRow, begun: Scoring) -> Found:
        result = find(self, row, begun)
        if not done:
            done.append(True)
            deed()
        return result

    monkeypatch.setattr(Learning, "find", found)


def test_a_new_version_is_fitted_again_as_it_answers_what_is_verified() -> None:
    site = Site()
    site.verify(site.blind)
    installation = site.installation
    instruct(site)
    site.version = installation.version(site.project_id)
    some = site.blind[: EVERY + 3]
    installation.run(site.project_id, some)
    installation.verifier.catch_up(site.project_id)
    installation.work_off()
    assert [fit.answers for fit in fits(site)] == [len(some)]
    installation.run(site.project_id)
    site.score()
    installation.verifier.catch_up(site.project_id)
    installation.work_off()
    last = fits(site)[0]
    assert last.answers == len(site.blind)
    assert last.controls[0].verified == len(site.blind)
    assert last.controls[0].kind == "platt"
    assert not installation.learning.due(site.project_id)


def test_a_version_that_answered_nothing_that_is_verified_is_not_fitted() -> None:
    site = Site()
    site.verify(site.blind)
    installation = site.installation
    instruct(site)
    assert not installation.learning.due(site.project_id)


def test_what_is_submitted_anew_with_another_label_is_fitted_on() -> None:
    site = Site()
    site.verify(site.blind)
    installation = site.installation
    before = len(fits(site))
    installation.clock.now += timedelta(hours=1)
    stored = list(installation.labels.annotations.values())
    for count, kept in enumerate(stored[:EVERY], start=1):
        said = kept.annotation.result[0]["value"]["choices"][0]
        other = region("negative" if said == "positive" else "positive")
        later = kept.annotation.updated_at + timedelta(hours=1)
        object.__setattr__(kept, "annotation", replace(kept.annotation, result=other, updated_at=later))
        if count == EVERY - 1:
            installation.verifier.look(site.project_id, site.blind)
            installation.work_off()
            assert len(fits(site)) == before
    installation.verifier.look(site.project_id, site.blind)
    installation.work_off()
    assert len(fits(site)) == before + 1
    assert not installation.learning.due(site.project_id)


def test_a_fit_that_was_killed_is_told_and_not_begun_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    installation = site.installation

    class Killed(BaseException):
        pass

    def killed() -> None:
        raise Killed

    meanwhile(monkeypatch, killed)
    with pytest.raises(Killed):
        site.verify(site.blind)
    (begun,) = fits(site)
    assert begun.state is ScoringState.BEGUN
    assert not installation.learning.due(site.project_id)
    assert (site.told["fits"], site.told["last"]) == (0, None)
    assert site.told["begun_at"] == begun.created_at.isoformat()
    assert installation.rescoring.refit(site.project_id) is not None  # by hand
    assert site.told["begun_at"] is None
    assert site.shown == f"{site.version}.r2"


def test_a_fit_that_failed_for_a_while_is_due_still(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    with site.installation.queue.writer_lock(site.project_id):
        site.verify(site.blind)
    assert fits(site) == []

    def away() -> None:
        raise StoreError("The database is away: start it.")

    meanwhile(monkeypatch, away)
    with pytest.raises(StoreError):
        site.installation.rescoring.work(site.project_id)
    assert fits(site) == []
    site.installation.rescoring.work(site.project_id)
    assert site.shown == f"{site.version}.r1"


def test_what_is_answered_while_a_fit_is_computed_is_scored_by_it_when_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    installation, store = site.installation, site.installation.store
    new: list[int] = []

    def answer() -> None:
        new.extend(installation.labels.add_tasks(site.project_id, [{"text": "good number 1001 odd"}]))
        installation.run(site.project_id, new)
        for job_id in {r.job_id or 0 for r in store.records(site.project_id, site.version, new).values()}:
            store.requeue(job_id, [TaskState.DONE])
        for record in store.claim(site.version, site.project_id, new, "here"):
            reading = FieldReading(
                control="sentiment",
                value="positive",
                step="strict_json+exact",
                confidence=0.99,
                method="label_logprob",
                label_probabilities={"positive": 0.99},
                label_rest=0.01,
            )
            outcome = Outcome(state=TaskState.DONE, result=record.result, score=0.99, fields=(reading,))
            store.save_outcomes([(record.id, record.data_hash, outcome)])
        installation.worker.write_back(site.project_id)

    meanwhile(monkeypatch, answer)
    site.verify(site.blind)
    assert site.shown != site.version
    like = next(t for t in site.task_ids if t % 2 and t not in site.blind)
    records = store.records(site.project_id, site.version, [*new, like])
    assert records[new[0]].score == pytest.approx(records[like].score)
    assert records[new[0]].score != 0.99
    assert site.scores()[new[0]] == records[new[0]].score


def test_of_two_fits_at_once_the_quicker_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    meanwhile(monkeypatch, lambda: site.installation.rescoring.refit(site.project_id))
    site.verify(site.blind)
    assert [(fit.number, fit.state) for fit in fits(site)] == [(2, ScoringState.SHOWN)]
    assert site.shown == f"{site.version}.r2"
    assert site.held() == dict.fromkeys(site.task_ids, 1)


def test_a_score_goes_when_the_annotator_whom_it_was_fitted_on_is_left_out() -> None:
    site = Site()
    wrong = [t for t in site.blind if t in site.wrong]
    site.annotate([*wrong, *(t for t in site.blind if t not in site.wrong)], wrong=len(wrong), by=2)
    assert fits(site)[0].fitted
    site.installation.clock.now += timedelta(hours=1)
    site.installation.leaving_out.leave_out(site.project_id, 2)
    site.installation.work_off()
    site.installation.clock.now += GRACE + timedelta(seconds=1)
    site.installation.rescoring.settle(site.project_id)
    last = fits(site)[0]
    assert (last.state, last.controls[0].kind) == (ScoringState.SHOWN, "raw")
    assert "platt, which was fitted on what counts no more, is given up for raw" in last.controls[0].why
    assert set(site.scores().values()) == {0.99, 0.999}
