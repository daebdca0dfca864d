"""What every store must do with what people did."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from backend.adapters.sql.store import SqlStore
from backend.core.values import Outcome, Task, TaskState
from backend.core.verifications import ControlVerification, Verification, VerificationOutcome
from backend.ports.store import ProjectRow
from backend.ports.verifications import Answered, CaughtUp
from tests.fakes.installation import HandClock

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
REGION = {"id": "r", "from_name": "s", "to_name": "t", "type": "choices", "value": {"choices": ["yes \u00e9"]}}
ROW = ProjectRow(id=1, label_config="", instructions="", version="a@1", auto_start=False)


def verification(annotation_id: int = 1, **changes: Any) -> Verification:
    compared = ControlVerification(control="s", predicted=["no"], final=["yes"], agreement=0.0, agrees=False)
    known: dict[str, Any] = {
        "project_id": 1,
        "task_id": 100 + annotation_id,
        "annotation_id": annotation_id,
        "annotator_id": 7,
        "outcome": VerificationOutcome.CORRECTED,
        "version": "a@1",
        "controls": (compared,),
        "shown": True,
        "lead_time_s": 3.25,
        "created_at": NOON,
        "updated_at": NOON,
        "ground_truth": False,
        "data_hash": "d" * 64,
        "config_fingerprint": "c" * 64,
        "regions": (REGION,),
        "predicted": ({**REGION, "value": {"choices": ["no"]}},),
        "slices": {"lang": "de"},
    }
    return Verification(**known | changes)


class VerificationStoreCases:
    """`store` and `clock` are fixtures of the subclass."""

    def test_a_verification_is_kept_as_it_was(self, store: SqlStore) -> None:
        one = verification()
        bare = verification(
            2,
            annotator_id=None,
            outcome=VerificationOutcome.BLIND,
            version=None,
            controls=(),
            shown=False,
            lead_time_s=None,
            regions=(),
            predicted=(),
            slices={},
            stale=True,
            problem="holds a label that is not in the labeling config",
        )
        assert store.save_verifications([one, bare]) == 2
        assert list(store.verifications(1)) == [one, bare]
        assert list(store.verifications(2)) == []

    def test_to_save_it_again_changes_nothing(self, store: SqlStore) -> None:
        assert store.save_verifications([verification()]) == 1
        assert store.save_verifications([verification()]) == 0
        assert store.save_verifications([]) == 0

    def test_an_older_state_never_replaces_a_newer_one(self, store: SqlStore) -> None:
        newer = verification(updated_at=NOON + timedelta(seconds=1), outcome=VerificationOutcome.CONFIRMED)
        store.save_verifications([newer])
        assert store.save_verifications([verification()]) == 0
        assert list(store.verifications(1)) == [newer]

    def test_a_newer_state_replaces_an_older_one_and_so_does_one_compared_anew(self, store: SqlStore) -> None:
        newer = verification(updated_at=NOON + timedelta(seconds=1))
        store.save_verifications([verification()])
        assert store.save_verifications([newer]) == 1
        anew = replace(newer, stale=True)
        assert store.save_verifications([anew]) == 1
        assert list(store.verifications(1)) == [anew]

    def test_of_one_annotation_given_twice_the_newest_counts(self, store: SqlStore) -> None:
        newer = verification(updated_at=NOON + timedelta(seconds=1))
        assert store.save_verifications([newer, verification()]) == 1
        assert list(store.verifications(1)) == [newer]

    def test_moments_are_compared_whatever_their_zone(self, store: SqlStore) -> None:
        elsewhere = timezone(timedelta(hours=-8))
        newer = verification(updated_at=(NOON + timedelta(seconds=1)).astimezone(elsewhere))
        store.save_verifications([newer])
        assert store.save_verifications([verification()]) == 0
        assert list(store.verifications(1)) == [newer]

    def test_what_is_deleted_is_left_out_of_everything(self, store: SqlStore) -> None:
        store.save_verifications([verification(1), verification(2, task_id=101), verification(3, project_id=2)])
        assert store.delete_verifications(1, [1, 3, 99]) == 1
        assert store.delete_verifications(1, [1]) == 0
        assert [v.annotation_id for v in store.verifications(1)] == [2]
        assert [v.annotation_id for v in store.verifications(2)] == [3]
        assert store.annotations_known(1) == {101: 1}
        assert store.verification_counts(1) == {"corrected": 1, "deleted": 1}
        assert store.tasks_annotated(1, [1, 2, 3]) == [101]
        store.save_verifications([verification(4, outcome=VerificationOutcome.ACCEPTED)])
        store.delete_verifications(1, [4])
        assert store.verification_counts(1) == {"corrected": 1, "deleted": 1, "taken_back": 1}
        store.delete_verifications(1, [2])
        assert (store.verified_task_ids(1), store.latest_verifications(1, [101])) == ([], {})

    def test_an_annotation_that_is_there_again_is_no_longer_deleted(self, store: SqlStore) -> None:
        store.save_verifications([verification()])
        store.delete_verifications(1, [1])
        assert store.save_verifications([verification()]) == 1
        assert list(store.verifications(1)) == [verification()]

    def test_they_are_read_in_pages_by_their_ids(self, store: SqlStore) -> None:
        many = [verification(n, task_id=n % 7) for n in range(1, 451)]
        store.save_verifications(many[::-1])
        read = store.verifications(1)
        assert next(read).annotation_id == 1
        store.delete_verifications(1, [300])  # while somebody is at the first page
        assert [v.annotation_id for v in read] == [n for n in range(2, 451) if n != 300]
        assert [v.annotation_id for v in store.verifications(1, after=448)] == [449, 450]
        some = store.verifications(1, task_ids=[3, 5, 3], after=400)
        assert [v.annotation_id for v in some] == [n for n in range(401, 451) if n % 7 in (3, 5)]
        assert list(store.verifications(1, task_ids=[])) == []

    def test_the_latest_of_each_task(self, store: SqlStore) -> None:
        late = NOON + timedelta(minutes=5)
        first, second = verification(1, task_id=5, updated_at=late), verification(2, task_id=5)
        other = verification(3, task_id=6)
        store.save_verifications([first, second, other])
        assert store.latest_verifications(1, [5, 6, 7]) == {5: first, 6: other}

    def test_tasks_count_as_verified_where_a_person_answered_and_nothing_is_stale(self, store: SqlStore) -> None:
        skipped = {"outcome": VerificationOutcome.SKIPPED}
        store.save_verifications(
            [
                verification(1, task_id=9),
                verification(2, task_id=3, **skipped),
                verification(3, task_id=4, stale=True),
                verification(4, task_id=2, **skipped),
                verification(5, task_id=2, outcome=VerificationOutcome.BLIND),
                verification(6, task_id=5, outcome=VerificationOutcome.ACCEPTED),
                verification(7, task_id=6, outcome=VerificationOutcome.ACCEPTED),
                verification(8, task_id=6),
            ]
        )
        assert store.verified_task_ids(1) == [2, 6, 9]

    def test_they_are_counted(self, store: SqlStore) -> None:
        store.save_verifications(
            [
                verification(1),
                verification(2, stale=True),
                verification(3, outcome=VerificationOutcome.SKIPPED),
                verification(4, outcome=VerificationOutcome.CONFIRMED, problem="p"),
                verification(5, project_id=2),
            ]
        )
        expected = {"corrected": 2, "skipped": 1, "confirmed": 1, "stale": 1, "problem": 1}
        assert store.verification_counts(1) == expected
        assert store.verification_counts(3) == {}
        assert store.annotations_known(1, [101, 102, 900]) == {101: 1, 102: 1}
        assert store.annotations_known(1, []) == {}

    def test_the_answers_to_compare_with(self, store: SqlStore, clock: HandClock) -> None:
        task = Task(id=5, project_id=1, data={"text": "t"})
        for version in ("a@1", "b@2"):
            clock.sleep(1)
            job_id = store.create_job(1, version, "run")
            store.enlist(job_id, [task, replace(task, id=6)], absent=True)
            (record,) = store.claim(version, 1, [5], "w")
            store.save_outcomes(
                [(record.id, record.data_hash, Outcome(state=TaskState.DONE, result=(REGION,), score=0.5))]
            )
        store.claim_deliveries(1, "b@2", 10)
        store.set_delivery([record.id], "written")
        found = store.answers_of(1, [5, 6, 7])
        assert list(found) == [5]
        newest, older = found[5]
        assert newest == Answered(
            task_id=5,
            version="b@2",
            state=TaskState.DONE,
            result=(REGION,),
            data_hash=task.data_hash,
            delivered_at=clock.now,
        )
        assert (older.version, older.delivered_at) == ("a@1", None)

    def test_how_far_a_project_was_read(self, store: SqlStore) -> None:
        assert store.caught_up(1) is None
        for since in (NOON, NOON + timedelta(hours=1)):
            store.set_caught_up(1, CaughtUp(since=since, config_fingerprint="c"))
            assert store.caught_up(1) == CaughtUp(since=since, config_fingerprint="c")
        assert store.caught_up(2) is None

    def test_projects_with_predictions_out_are_to_be_caught_up(self, store: SqlStore) -> None:
        for project_id, version in ((1, "a@1"), (2, "a@1"), (3, None), (4, "a@1")):
            store.save_project(replace(ROW, id=project_id, version=version))
        job_id = store.create_job(1, "a@1", "run")
        store.enlist(job_id, [Task(id=5, project_id=1, data={})], absent=True)
        assert store.projects_to_catch_up() == []
        (record,) = store.claim("a@1", 1, [5], "w")
        store.save_outcomes([(record.id, record.data_hash, Outcome(state=TaskState.DONE))])
        assert store.projects_to_catch_up() == []
        store.claim_deliveries(1, "a@1", 10)
        store.set_delivery([record.id], "written")
        store.save_verifications([verification(project_id=3), verification(2, project_id=4)])
        assert store.projects_to_catch_up() == [1, 4]
