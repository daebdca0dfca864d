"""Scores fitted on what people verified, over the whole way."""

from __future__ import annotations

import random

import pytest

from backend.confidence.adoption import Raw
from backend.core.audit import AuditRule
from backend.core.errors import ConfigError
from backend.core.values import FieldReading, Outcome, TaskState
from backend.learning.fitting import Predicted, Said, batch_gain, fit_control, mean_change
from backend.services.learning import EVERY
from backend.services.report import Reports
from backend.services.scorings import told_of
from tests.fakes.installation import Installation
from tests.unit.services.test_report import Site

TASKS = 160


def truth(task_id: int) -> float:
    """How likely the answer is right: what a good score would say. The model says it is always nearly certain."""
    return (0.98, 0.55)[task_id % 2]


class Learner(Site):
    """A project whose answers have confidences that are too high, and right as often as `truth` says."""

    def __init__(self, tasks: int = TASKS, **rule: object) -> None:
        self.installation = Installation(
            audit=AuditRule(**{"first": tasks // 2, "fewest_tasks": 20, **rule}), chunk_size=50
        )
        texts = [f"{('good', 'bad')[n % 2]} number {n} {('plain', 'odd')[n % 2]}" for n in range(tasks)]
        self.project_id, self.task_ids = self.installation.project(*texts)
        self.installation.run(self.project_id)
        self.reports = Reports(
            store=self.installation.store,
            labels=self.installation.labels,
            clock=self.installation.clock,
            cost=lambda project, version, usage: None,
        )
        self.score()
        chance = random.Random(0)
        self.wrong = {task_id for task_id in self.task_ids if chance.random() > truth(task_id)}

    def score(self) -> None:
        installation, store = self.installation, self.installation.store
        version = installation.version(self.project_id)
        records = store.records(self.project_id, version, self.task_ids)
        for job_id in {record.job_id or 0 for record in records.values()}:
            store.requeue(job_id, [TaskState.DONE])
        for record in store.claim(version, self.project_id, self.task_ids, "here"):
            confidence = 0.999 if record.task_id % 2 == 0 else 0.99
            label = str(record.result[0]["value"]["choices"][0])
            reading = FieldReading(
                control="sentiment",
                value=label,
                step="strict_json+exact",
                confidence=confidence,
                method="label_logprob",
                label_probabilities={label: confidence},
                label_rest=1 - confidence,
            )
            outcome = Outcome(state=TaskState.DONE, result=record.result, score=confidence, fields=(reading,))
            store.save_outcomes([(record.id, record.data_hash, outcome)])
        installation.worker.write_back(self.project_id)

    def verify(self, task_ids: list[int]) -> None:
        """As the truth is."""
        wrong = [task_id for task_id in task_ids if task_id in self.wrong]
        self.annotate([*wrong, *(task_id for task_id in task_ids if task_id not in self.wrong)], wrong=len(wrong))

    @property
    def told(self) -> dict[str, object]:
        installation = self.installation
        return dict(told_of(installation.store, self.project_id, installation.version(self.project_id)))


def test_a_fit_is_asked_for_every_so_many_submissions_and_told() -> None:
    site = Learner()
    site.verify(site.blind[: EVERY - 1])
    assert site.told["last"] is None
    site.verify(site.blind[EVERY - 1 : EVERY])
    last = site.told["last"]
    assert isinstance(last, dict)
    assert (last["number"], last["annotations"]) == (1, EVERY)
    assert last["controls"]["sentiment"]["kind"] == "raw"
    assert "25 verified tasks can be fitted on and 50 are needed" in last["controls"]["sentiment"]["why"]
    site.verify(site.blind[EVERY : EVERY + 3])
    assert site.told["fits"] == 1


def test_what_is_better_on_the_audit_is_found_with_all_figures() -> None:
    site = Learner()
    site.verify(site.blind)
    last = site.told["last"]
    assert isinstance(last, dict)
    sentiment = last["controls"]["sentiment"]
    assert sentiment["kind"] != "raw"
    assert sentiment["audit"] == len(site.blind)
    assert sentiment["figures"][sentiment["kind"]]["log_loss"] < sentiment["figures"]["raw"]["log_loss"]
    assert sentiment["figures"][sentiment["kind"]]["ece"] < sentiment["figures"]["raw"]["ece"]
    assert sentiment["kind"] in sentiment["why"]
    assert site.report()["versions"][0]["scores"] == site.told


def test_without_an_audit_nothing_is_adopted() -> None:
    site = Learner(on=False)
    site.verify(site.task_ids[:150])
    last = site.told["last"]
    assert isinstance(last, dict)
    assert last["controls"]["sentiment"]["kind"] == "raw"
    assert "of the audit" in last["controls"]["sentiment"]["why"]


def test_an_unknown_project() -> None:
    with pytest.raises(ConfigError, match="prelabel connect"):
        Installation().rescoring.refit(99)


def rows(n: int = 200) -> tuple[list[Predicted], dict[int, Said]]:
    chance = random.Random(1)
    predicted = [
        Predicted(
            task_id=i,
            raw=0.9 + 0.09 * (i % 2),
            label=("yes", "no")[i % 3 == 0],
            text=f"{('rain', 'sun')[i % 2]} {i}",
            data_hash=str(i),
            score=0.9,
            probabilities={"yes": 0.6, "no": 0.4},
        )
        for i in range(n)
    ]
    said = {i: Said(right=chance.random() < (0.6, 0.95)[i % 2], audit=True, gold="yes") for i in range(0, n - 20)}
    return predicted, said


def test_what_was_fitted_on_is_scored_without_itself() -> None:
    predicted, said = rows()
    found = fit_control(predicted, said, in_use=Raw())
    assert found.adoption.name in ("platt", "fused")
    assert found.fitted_on == set(said)
    turned = {**said, 7: Said(right=not said[7].right, audit=True, gold="yes")}
    other = fit_control(predicted, turned, in_use=Raw())
    assert other.scores[7] == pytest.approx(found.scores[7], abs=0.02)  # folds are dealt anew by what is right
    assert found.scores.keys() == {row.task_id for row in predicted}


def test_the_raw_score_was_fitted_on_nothing() -> None:
    predicted, said = rows(40)
    found = fit_control(predicted, dict(list(said.items())[:10]), in_use=Raw())
    assert (found.adoption.name, found.fitted_on) == ("raw", frozenset())
    assert found.scores == {row.task_id: row.raw for row in predicted}


def test_batch_calibration_is_measured_on_the_audit() -> None:
    predicted, said = rows()
    found = batch_gain(predicted, said)
    assert found is not None
    assert found["audit"] == len(said)
    assert batch_gain(predicted, {i: Said(right=True, audit=False, gold="yes") for i in said}) is None
    assert batch_gain(predicted[:5], said) is None


def test_how_much_scores_changed() -> None:
    assert mean_change([(0.5, 0.7), (None, 0.3), (0.4, 0.4)]) == pytest.approx(0.1)
    assert mean_change([]) == 0.0
