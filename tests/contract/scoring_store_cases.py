"""What every store must do about fitted scores; part of `store_cases.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from backend.adapters.sql.schema import records
from backend.adapters.sql.store import SqlStore
from backend.core.audit import AuditPlan
from backend.core.scorings import ControlAnswer, ControlScoring, Scoring, ScoringState
from backend.core.values import FieldReading, Outcome, Task, TaskState
from backend.core.verifications import Verification, VerificationOutcome
from backend.ports.audits import WITHHELD
from backend.ports.store import ProjectRow, Record
from tests.contract.verification_store_cases import verification

PROJECT, VERSION = 1, "tests@00000000"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTROL = ControlScoring(
    control="sentiment",
    kind="platt",
    before="raw",
    parameters={"kind": "platt", "slope": 1.0, "intercept": -0.5},
    figures={"raw": {"log_loss": 0.5, "ece": None, "auroc": 0.7}},
    why="platt replaces raw.",
    verified=60,
    audit=30,
    batch={"audit": 30, "helps": False},
)
FIT = Scoring(
    project_id=PROJECT,
    version=VERSION,
    number=1,
    state=ScoringState.TOLD,
    annotations=60,
    change=7,
    answers=50,
    controls=(CONTROL, replace(CONTROL, control="t\0pic", batch=None)),
    created_at=NOW,
)


def answered(store: SqlStore, *task_ids: int, state: TaskState = TaskState.DONE, version: str = VERSION) -> None:
    job_id = store.create_job(PROJECT, version, "run")
    store.enlist(job_id, [Task(id=n, project_id=PROJECT, data={"text": f"text {n}"}) for n in task_ids], absent=True)
    store.set_job_state(job_id, "queued")
    reading = FieldReading(
        control="sentiment", value="a", step="s", confidence=0.75, label_probabilities={"a": 0.75}, label_rest=0.25
    )
    for record in store.claim(version, PROJECT, task_ids, "worker"):
        outcome = Outcome(state=state, score=0.75, fields=(reading,))
        store.save_outcomes([(record.id, record.data_hash, outcome)])


def said(task_id: int, **changes: Any) -> Verification:
    return verification(**{"annotation_id": task_id, "task_id": task_id, "project_id": PROJECT, **changes})


class ScoringStoreCases:
    def test_fits_are_kept_as_they_are_the_last_first(self, store: SqlStore) -> None:
        assert store.scorings(PROJECT, VERSION) == []
        store.save_scoring(FIT)
        store.save_scoring(replace(FIT, number=2, state=ScoringState.SHOWN, shown_at=NOW))
        second, first = store.scorings(PROJECT, VERSION)
        assert (second.number, second.state, second.shown_at) == (2, ScoringState.SHOWN, NOW)
        assert first.controls[0] == CONTROL
        assert "\0" not in first.controls[1].control  # no database takes it
        assert store.scorings(2, VERSION) == store.scorings(PROJECT, "other@00000000") == []

    def test_a_fit_is_begun_once_and_ends_in_its_place(self, store: SqlStore) -> None:
        begun = replace(FIT, state=ScoringState.BEGUN, controls=())
        assert store.begin_scoring(begun)
        assert not store.begin_scoring(replace(begun, annotations=99))
        assert store.scorings(PROJECT, VERSION) == [begun]
        assert store.shown_version(PROJECT, VERSION) == VERSION
        store.save_scoring(replace(FIT, controls=(CONTROL,)))
        assert store.scorings(PROJECT, VERSION) == [replace(FIT, controls=(CONTROL,))]
        store.drop_begun_scoring(PROJECT, VERSION, 1)  # it has ended
        assert len(store.scorings(PROJECT, VERSION)) == 1
        assert store.begin_scoring(replace(begun, number=2))
        store.drop_begun_scoring(PROJECT, VERSION, 2)
        assert [fit.number for fit in store.scorings(PROJECT, VERSION)] == [1]

    def test_verified_answers_of_a_version_are_counted(self, store: SqlStore) -> None:
        answered(store, 1, 2, 3)
        answered(store, 4, state=TaskState.INVALID)
        answered(store, 5, version="other@00000000")
        store.save_verifications([said(1), said(1, annotation_id=11), said(4), said(5)])
        change = store.verification_change(PROJECT)
        assert store.verified_answers(PROJECT, VERSION) == 1
        store.save_verifications([said(2), said(3, outcome=VerificationOutcome.SKIPPED)])
        assert store.verified_answers(PROJECT, VERSION) == 2
        assert store.verified_answers(PROJECT, VERSION, changed_after=change) == 1
        assert store.verified_answers(2, VERSION) == store.verified_answers(PROJECT, "none@00000000") == 0

    def test_what_scores_are_fitted_on_is_what_was_answered(self, store: SqlStore) -> None:
        answered(store, *range(1, 8))
        answered(store, 8, state=TaskState.INVALID)
        answered(store, 9, version="other@00000000")
        found = list(store.scored_answers(PROJECT, VERSION))
        assert [answer.task_id for answer in found] == list(range(1, 8))
        assert found[0].controls == {"sentiment": ControlAnswer(confidence=0.75, probabilities={"a": 0.75})}
        assert (found[0].data, found[0].score) == ({"text": "text 1"}, 0.75)

    def test_an_adopted_fit_changes_all_that_follows_from_it_at_once(self, store: SqlStore) -> None:
        answered(store, 1, 2, 3)
        answered(store, 4, state=TaskState.INVALID)
        answered(store, 5, version="other@00000000")
        written = [r.id for r in store.claim_deliveries(PROJECT, VERSION, 10) if r.task_id != 3]
        store.set_delivery(written, "written")
        store.unclaim_deliveries(PROJECT)
        before = store.records(PROJECT, VERSION, [1, 2, 3, 4])
        scores = {before[1].id: (before[1].data_hash, 0.25), before[2].id: ("of other data", 0.25)}
        store.adopt_scoring(replace(FIT, number=2, state=ScoringState.ADOPTED), scores)
        found = store.records(PROJECT, VERSION, [1, 2, 3, 4])
        assert [found[n].score for n in (1, 2, 3, 4)] == [0.25, 0.75, 0.75, 0.75]
        shown = [found[n].shown_version for n in (1, 2, 3, 4)]  # the others come under its name when they are written
        assert shown == [f"{VERSION}.r2", VERSION, VERSION, VERSION]
        assert {(r.delivery, r.rewrite) for r in found.values()} == {("pending", True)}
        assert store.rewrites(PROJECT, VERSION) == 4
        assert store.rewrites(PROJECT, "other@00000000") == 0
        assert store.shown_version(PROJECT, VERSION) == VERSION  # until it is shown
        store.set_delivery([r.id for r in store.claim_deliveries(PROJECT, VERSION, 10)], "written")
        assert store.rewrites(PROJECT, VERSION) == 0

    def test_a_further_score_and_a_new_answer_keep_to_what_the_model_said(self, store: SqlStore) -> None:
        answered(store, 1)
        record = store.records(PROJECT, VERSION, [1])[1]
        store.set_scores(1, {record.id: 0.5})
        store.set_scores(2, {record.id: 0.25})
        assert raw_score(store, record) == 0.75
        assert [a.score for a in store.answers_of_records([record.id, 99])] == [0.25]
        store.requeue(record.job_id or 0, [TaskState.DONE])
        (again,) = store.claim(VERSION, PROJECT, [1], "worker")
        store.save_outcomes([(again.id, again.data_hash, Outcome(state=TaskState.DONE, score=0.9))])
        after = store.records(PROJECT, VERSION, [1])[1]
        assert (after.score, after.revision, raw_score(store, record)) == (0.9, 0, None)

    def test_what_the_audit_withholds_stays_withheld(self, store: SqlStore) -> None:
        everything = AuditPlan(secret="s", up_to=10, first_share=1.0, later_share=0.0, begun_at=NOW)
        store.save_audit_plan(PROJECT, everything)
        answered(store, 1)
        record = store.records(PROJECT, VERSION, [1])[1]
        store.adopt_scoring(replace(FIT, state=ScoringState.ADOPTED), {record.id: (record.data_hash, 0.1)})
        after = store.records(PROJECT, VERSION, [1])[1]
        assert (after.delivery, after.score, after.revision) == (WITHHELD, 0.1, 1)

    def test_one_fit_is_shown_and_comes_to_its_end(self, store: SqlStore) -> None:
        store.save_project(ProjectRow(id=PROJECT, label_config="", instructions="", version=VERSION, auto_start=False))
        later = datetime.now(UTC) + timedelta(days=1)
        for number in (1, 2):
            store.save_scoring(replace(FIT, number=number, state=ScoringState.ADOPTED))
            assert store.projects_to_settle(shown_before=NOW) == [PROJECT]
            store.show_scoring(PROJECT, VERSION, number)
            store.show_scoring(PROJECT, VERSION, number)
            assert store.shown_version(PROJECT, VERSION) == f"{VERSION}.r{number}"
            assert store.projects_to_settle(shown_before=NOW) == []
            assert store.projects_to_settle(shown_before=later) == [PROJECT]
        assert [fit.state for fit in store.scorings(PROJECT, VERSION)] == [ScoringState.SHOWN, ScoringState.REPLACED]
        store.show_scoring(PROJECT, VERSION, 1)  # it is not adopted any more
        assert store.shown_version(PROJECT, VERSION) == f"{VERSION}.r2"
        store.set_cleared(PROJECT, VERSION, 2)
        assert store.projects_to_settle(shown_before=later) == []


def raw_score(store: SqlStore, record: Record) -> float | None:
    with store.begin(read_only=True) as connection:
        query = sa.select(records.c.raw_score).where(records.c.id == record.id)
        return connection.execute(query).scalar_one()
