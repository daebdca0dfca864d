"""What every store must do about blind audits; part of `store_cases.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from backend.adapters.sql.store import SqlStore
from backend.core.audit import AuditPlan
from backend.core.values import Outcome, Task, TaskState
from backend.core.verifications import Verification, VerificationOutcome
from backend.ports.audits import WITHHELD

PROJECT, VERSION, OTHER = 1, "tests@00000000", "other@00000000"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS = [("certify", "a"), ("compare", "b"), ("certify", "a"), ("improve", "c")]
ALL = AuditPlan(secret="s", up_to=10, first_share=1.0, later_share=0.0, begun_at=NOW)


def tasks(*numbers: int, text: str = "text") -> list[Task]:
    return [Task(id=number, project_id=PROJECT, data={"text": text}) for number in numbers]


def answer(store: SqlStore, *numbers: int, version: str = VERSION, text: str = "text") -> int:
    job_id = store.create_job(PROJECT, version, "run")
    store.enlist(job_id, tasks(*numbers, text=text), absent=True)
    store.set_job_state(job_id, "queued")
    for record in store.claim(version, PROJECT, numbers, "worker"):
        store.save_outcomes([(record.id, record.data_hash, Outcome(state=TaskState.DONE, score=0.5))])
    return job_id


def deliveries(store: SqlStore, version: str = VERSION) -> dict[int, str]:
    return {number: record.delivery for number, record in store.records(PROJECT, version, range(1, 30)).items()}


def annotation(number: int, outcome: VerificationOutcome) -> Verification:
    return Verification(
        project_id=PROJECT,
        task_id=number,
        annotation_id=100 + number,
        annotator_id=1,
        outcome=outcome,
        version=None,
        controls=(),
        shown=False,
        lead_time_s=None,
        created_at=NOW,
        updated_at=NOW,
        ground_truth=False,
        data_hash="",
        config_fingerprint="",
        regions=(),
        predicted=(),
    )


class AuditStoreCases:
    def test_the_first_plan_of_a_project_stays(self, store: SqlStore) -> None:
        assert store.audit_plan(PROJECT) is None
        assert store.save_audit_plan(PROJECT, ALL) == ALL
        assert store.save_audit_plan(PROJECT, AuditPlan(**{**vars(ALL), "secret": "another"})) == ALL
        assert store.audit_plan(PROJECT) == ALL
        assert store.audit_plan(2) is None

    def test_what_the_plan_holds_is_answered_and_withheld(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, ALL)
        job_id = answer(store, 1, 2, 11)
        assert deliveries(store) == {1: WITHHELD, 2: WITHHELD, 11: "pending"}
        assert [r.task_id for r in store.claim_deliveries(PROJECT, VERSION, 10)] == [11]
        assert (
            store.hand_over([r.id for r in store.records(PROJECT, VERSION, [1, 2]).values()], lost_before=NOW) == set()
        )
        assert store.undelivered(PROJECT, VERSION) == 1
        assert (store.withheld(PROJECT, VERSION), store.withheld(PROJECT, OTHER)) == (2, 0)
        assert store.counts(PROJECT, job_id=job_id).deliveries[WITHHELD] == 2

    def test_it_stays_so_through_other_data_further_jobs_and_retries(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, ALL)
        job_id = answer(store, 1)
        answer(store, 1)
        answer(store, 1, text="edited")
        assert deliveries(store) == {1: WITHHELD}
        answer(store, 1, version=OTHER)
        assert deliveries(store, OTHER) == {1: WITHHELD}
        last = store.jobs(PROJECT)[-1].id
        for job in {job_id, last, *(job.id for job in store.jobs(PROJECT))}:
            store.requeue(job, [TaskState.DONE])
        assert deliveries(store) == {1: WITHHELD}

    def test_released_tasks_are_due_once_and_unfinished_ones_when_they_are_answered(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, ALL)
        answer(store, 1, 2)
        job_id = store.create_job(PROJECT, VERSION, "run")
        store.enlist(job_id, tasks(3), absent=True)
        assert store.release_withheld(PROJECT, [1, 3, 99]) == 1
        assert deliveries(store) == {1: "pending", 2: WITHHELD, 3: "none"}
        assert store.release_withheld(PROJECT, [1, 3, 99]) == 0
        assert store.release_withheld(2, [2]) == 0

    def test_what_is_not_answered_yet_does_not_count_as_withheld(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, ALL)
        answer(store, 1)
        job_id = store.create_job(PROJECT, VERSION, "run")
        store.enlist(job_id, tasks(2, 3), absent=True)
        assert store.counts(PROJECT, version=VERSION).deliveries == {WITHHELD: 1, "none": 2}
        assert store.progress(job_id).deliveries == {"none": 2}

    def test_what_was_shown_or_annotated_before_is_not_withheld(self, store: SqlStore) -> None:
        answer(store, 1)
        store.set_delivery([r.id for r in store.claim_deliveries(PROJECT, VERSION, 10)], "written")
        store.save_verifications([annotation(2, VerificationOutcome.BLIND), annotation(3, VerificationOutcome.SKIPPED)])
        store.save_audit_plan(PROJECT, ALL)
        answer(store, 1, 2, 3, 4, version=OTHER)
        assert deliveries(store, OTHER) == {1: "pending", 2: "pending", 3: WITHHELD, 4: WITHHELD}

    def test_an_extended_audit_withholds_what_was_shown(self, store: SqlStore) -> None:
        plan = AuditPlan(**{**vars(ALL), "up_to": 1, "later_share": 0.0})
        store.save_audit_plan(PROJECT, plan)
        answer(store, 1, 2, 3)
        store.set_delivery([r.id for r in store.claim_deliveries(PROJECT, VERSION, 10)], "written")
        longer = AuditPlan(**{**vars(plan), "up_to": 2, "begun_share": 0.5})
        store.extend_audit(PROJECT, longer, [2])
        assert store.audit_plan(PROJECT) == longer
        assert deliveries(store) == {1: WITHHELD, 2: WITHHELD, 3: "written"}
        assert store.records(PROJECT, VERSION, [2])[2].delivered_at is None
        assert store.release_withheld(PROJECT, [2]) == 1
        assert store.audit_plan(2) is None

    def test_an_ended_audit_withholds_nothing(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, ALL)
        answer(store, 1)
        store.end_audit(PROJECT)
        answer(store, 2)
        ended = store.audit_plan(PROJECT)
        assert ended is not None
        assert ended.ended_at is not None
        assert replace(ended, ended_at=None) == ALL
        assert deliveries(store) == {1: "pending", 2: "pending"}
        store.end_audit(PROJECT)
        assert store.audit_plan(PROJECT) == ended
        store.extend_audit(PROJECT, ALL, [2])
        assert store.audit_plan(PROJECT) == ALL
        assert deliveries(store) == {1: "pending", 2: WITHHELD}

    def test_looks_at_an_audit_are_counted_once_each(self, store: SqlStore) -> None:
        store.save_audit_plan(PROJECT, replace(ALL, late=True))
        assert store.audit_plan(PROJECT) == replace(ALL, late=True)
        assert store.audit_looks(PROJECT) == []
        assert [store.add_audit_look(PROJECT, *look) for look in LOOKS] == [1, 2, 1, 3]
        found = store.audit_looks(PROJECT)
        assert [(look.number, look.kind, look.evidence) for look in found] == [
            (1, "certify", "a"),
            (2, "compare", "b"),
            (3, "improve", "c"),
        ]
        assert all(look.at.tzinfo is not None for look in found)
        assert store.add_audit_look(2, "certify", "a") == 1
