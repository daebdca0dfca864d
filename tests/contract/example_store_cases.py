"""What every store must do for examples that are made of verified tasks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from backend.adapters.sql.store import SqlStore
from backend.core.values import Outcome, Task, TaskState
from backend.core.verifications import VerificationOutcome
from tests.contract.verification_store_cases import NOON, verification


def answered(store: SqlStore, version: str, task: Task, outcome: Outcome) -> None:
    job = store.create_job(task.project_id, version, "run")
    store.enlist(job, [task], absent=False)
    (record,) = store.claim(version, task.project_id, [task.id], "c")
    store.save_outcomes([(record.id, record.data_hash, outcome)])


class ExampleStoreCases:
    """`store` is a fixture of the subclass."""

    def test_every_change_is_counted_and_its_tasks_are_found(self, store: SqlStore) -> None:
        assert (store.verification_change(1), store.tasks_changed_after(1, 0)) == (0, [])
        store.save_verifications([verification(1), verification(2)])
        begun = store.verification_change(1)
        assert begun > 0
        assert store.tasks_changed_after(1, 0) == [101, 102]
        assert store.tasks_changed_after(1, begun) == []
        store.save_verifications([verification(1)])  # the same again
        assert store.verification_change(1) == begun
        store.save_verifications([replace(verification(1), stale=True)])  # of the same moment, and in no count
        changed = store.verification_change(1)
        assert changed > begun
        assert store.tasks_changed_after(1, begun) == [101]
        store.delete_verifications(1, [2])
        assert store.verification_change(1) > changed
        assert store.tasks_changed_after(1, changed) == [102]

    def test_changes_of_another_project_are_its_own(self, store: SqlStore) -> None:
        store.save_verifications([verification(1), verification(2, project_id=2)])
        before = store.verification_change(1)
        store.save_verifications([verification(3, project_id=2)])
        assert store.verification_change(1) == before
        assert store.tasks_changed_after(2, 0) == [102, 103]

    def test_labels_are_found_from_the_newest_on(self, store: SqlStore) -> None:
        given = [
            verification(1),
            verification(2, updated_at=NOON + timedelta(hours=2)),
            verification(3, updated_at=NOON + timedelta(hours=1), outcome=VerificationOutcome.BLIND),
            verification(4, task_id=101, updated_at=NOON + timedelta(hours=3)),  # a second one of the first task
            verification(5, outcome=VerificationOutcome.SKIPPED),
            verification(6, outcome=VerificationOutcome.ACCEPTED),
            verification(7, stale=True),
            verification(8, problem="holds a label that is not in the labeling config"),
            verification(9, config_fingerprint="e" * 64),
            verification(10, project_id=2),
            verification(11),
        ]
        store.save_verifications(given)
        store.delete_verifications(1, [11])
        assert [v.annotation_id for v in given if v.is_label and v.project_id == 1] == [1, 2, 3, 4, 9, 11]
        assert store.newest_label_tasks(1, "c" * 64, 10) == [101, 102, 103]
        assert store.newest_label_tasks(1, "c" * 64, 2) == [101, 102]

    def test_data_is_found_in_the_records_of_any_version(self, store: SqlStore) -> None:
        old, new = Task(id=1, project_id=1, data={"text": "old"}), Task(id=1, project_id=1, data={"text": "new"})
        other = Task(id=2, project_id=1, data={"text": "other"})
        for version, task in (("a@1", old), ("a@2", new), ("a@2", other)):
            answered(store, version, task, Outcome(state=TaskState.DONE))
        hashes = {1: old.data_hash, 2: other.data_hash, 3: other.data_hash}
        assert store.shown_data(1, hashes) == {1: {"text": "old"}, 2: {"text": "other"}}
        assert store.shown_data(1, {1: "0" * 64}) == {}
        assert store.shown_data(2, hashes) == {}
        assert store.shown_data(1, {}) == {}

    def test_a_record_names_its_examples(self, store: SqlStore) -> None:
        task, bare = (Task(id=n, project_id=1, data={"text": "x"}) for n in (1, 2))
        answered(store, "a@1", task, Outcome(state=TaskState.DONE, examples=(7, 3)))
        answered(store, "a@1", bare, Outcome(state=TaskState.DONE))
        found = store.records(1, "a@1", [1, 2])
        assert (found[1].examples, found[2].examples) == ((7, 3), ())
