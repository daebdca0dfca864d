"""What every store must do about golden questions and annotators who are left out; part of `store_cases.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.golden import GoldenTask
from backend.core.values import Task
from backend.core.verifications import VerificationOutcome
from backend.ports.verifications import Looked
from tests.contract.verification_store_cases import NOON, REGION, verification
from tests.fakes.installation import HandClock

COPY = Task(id=901, project_id=1, data={"text": "a copy"})


def golden(**changes: Any) -> GoldenTask:
    known: dict[str, Any] = {
        "project_id": 1,
        "source_task_id": 101,
        "task_id": 901,
        "above": 900,
        "data_hash": COPY.data_hash,
        "control": "s",
        "label": "yes \u00e9",
        "shown": "no",
        "result": (REGION,),
        "score": 0.75,
        "written_as": "a@1",
        "made_at": NOON,
    }
    return GoldenTask(**known | changes)


def enlisted(store: SqlStore, *tasks: Task) -> list[int]:
    job = store.create_job(1, "a@1", "run")
    store.enlist(job, tasks, absent=True)
    return sorted(store.records(1, "a@1", range(1, 1000)))


class GoldenStoreCases:
    """`store` and `clock` are fixtures of the subclass."""

    def test_a_golden_question_is_kept_as_it_was(self, store: SqlStore) -> None:
        bare = golden(task_id=None, score=None, written_as=None, result=())
        added = store.add_golden([golden(), bare])
        assert added == [golden(id=added[0].id), replace(bare, id=added[1].id)]
        assert store.golden_tasks(1) == added
        assert store.golden_tasks(2) == []
        assert (added[0].trap, golden(shown="yes \u00e9").trap) == (True, False)

    def test_it_is_given_its_task_and_versions_and_ends(self, store: SqlStore) -> None:
        first, second, third = store.add_golden([golden(task_id=None), golden(task_id=902), golden(task_id=903)])
        changed = [replace(first, task_id=901), replace(second, written_as=None), replace(third, ended_at=NOON)]
        store.update_golden(changed)
        assert store.golden_tasks(1) == changed[:2]
        assert store.golden_copies(1, [901, 903, 904]) == {901, 903}
        assert store.golden_copies(2, [901]) == set()
        assert store.golden_copies(1, []) == set()
        assert store.golden_set_apart(1) == {101, 901, 902}
        store.drop_golden([first.id or 0])
        assert store.golden_tasks(1) == changed[1:2]
        store.drop_golden([])

    def test_those_of_which_the_end_was_not_heard_are_known_by_project(self, store: SqlStore) -> None:
        (untold,) = store.add_golden([golden(overlap=2, whole_hash="e" * 64)])
        (unheard,) = store.add_golden([golden(project_id=2, task_id=None)])
        store.add_golden([golden(project_id=3), golden(project_id=4, task_id=None, ended_at=NOON)])
        assert store.golden_tasks(1) == [untold]
        assert store.projects_with_unfinished_golden() == [1, 2]
        store.update_golden([replace(untold, overlap=None), replace(unheard, task_id=901)])
        assert store.projects_with_unfinished_golden() == []

    def test_tabs_that_were_made_here_are_known(self, store: SqlStore) -> None:
        for project_id, tab_id in ((1, 7), (1, 7), (1, 8), (2, 9)):
            store.note_tab(project_id, tab_id)
        assert (store.own_tabs(1), store.own_tabs(2), store.own_tabs(3)) == ({7, 8}, {9}, set())

    def test_no_job_is_given_a_golden_question(self, store: SqlStore) -> None:
        store.add_golden([golden()])
        other = Task(id=902, project_id=1, data=COPY.data)
        assert enlisted(store, COPY) == []
        assert enlisted(store, COPY, other) == [902]

    def test_nor_what_looks_like_one_that_is_coming(self, store: SqlStore, clock: HandClock) -> None:
        store.add_golden([golden(task_id=None, made_at=clock())])
        before = Task(id=900, project_id=1, data=COPY.data)
        assert enlisted(store, COPY, before, Task(id=950, project_id=1, data={"text": "b"})) == [900, 950]
        clock.sleep(3600)  # whoever imported it is gone
        assert enlisted(store, COPY) == [900, 901, 950]

    def test_what_is_said_of_a_golden_question_is_among_no_verifications(self, store: SqlStore) -> None:
        one, other = verification(1, task_id=901), verification(2)
        store.save_verifications([one, other])
        copy = store.add_golden([golden()])[0]
        for _ in range(2):
            assert list(store.verifications(1)) == [other]
            assert list(store.verifications(1, task_ids=[901, 102])) == [other]
            assert list(store.verifications(1, everything=True)) == [one, other]
            assert store.latest_verifications(1, [901]) == {}
            assert store.verified_task_ids(1) == [102]
            assert store.newest_label_tasks(1, "c" * 64, 10) == [102]
            assert store.verification_counts(1) == {"golden": 1, "corrected": 1}
            assert store.annotations_known(1) == {901: 1, 102: 1}
            assert store.annotators(1) == {7: 1}
            store.update_golden([replace(copy, ended_at=NOON)])
        store.delete_verifications(1, [1])
        assert store.verification_counts(1) == {"deleted": 1, "corrected": 1}

    def test_who_is_left_out_counts_for_nothing_until_taken_back(self, store: SqlStore, clock: HandClock) -> None:
        ours, theirs = verification(1), verification(2, annotator_id=8, outcome=VerificationOutcome.CONFIRMED)
        nobodys = verification(3, annotator_id=None, outcome=VerificationOutcome.BLIND)
        store.save_verifications([ours, theirs, nobodys])
        assert (store.left_out(1), store.left_out_changed_at(1)) == ({}, None)
        assert store.annotators(1) == {7: 1, 8: 1}
        begun = store.verification_change(1)
        assert store.leave_out(1, 8) == 1
        assert store.tasks_changed_after(1, begun) == [102]
        assert store.left_out(1) == {8: 1}
        assert store.left_out(2) == {}
        assert store.left_out_changed_at(1) == clock()
        assert list(store.verifications(1)) == [ours, nobodys]
        assert list(store.verifications(1, everything=True)) == [ours, theirs, nobodys]
        assert store.verified_task_ids(1) == [101, 103]
        assert store.verification_counts(1) == {"corrected": 1, "blind": 1, "left_out": 1}
        assert store.annotations_known(1) == {101: 1, 102: 1, 103: 1}
        clock.sleep(1)
        begun = store.verification_change(1)
        assert store.take_back(1, 8) == 1
        assert store.tasks_changed_after(1, begun) == [102]
        assert (store.left_out(1), store.left_out_changed_at(1)) == ({}, clock())
        assert list(store.verifications(1)) == [ours, theirs, nobodys]

    def test_what_was_looked_at_tells_labels_and_what_counts(self, store: SqlStore) -> None:
        store.add_golden([golden()])
        rows = [
            verification(1, task_id=901),
            verification(2, annotator_id=8),
            verification(3, annotator_id=None),
            verification(4, outcome=VerificationOutcome.SKIPPED),
            verification(5, outcome=VerificationOutcome.ACCEPTED),
            verification(6, stale=True),
            verification(7, problem="no such label"),
            verification(8),
            verification(9, project_id=2),
        ]
        store.save_verifications(rows)
        store.leave_out(1, 8)
        store.delete_verifications(1, [8])
        counted = {v.annotation_id for v in store.verifications(1)}
        assert counted == {3, 4, 5, 6, 7}
        assert list(store.looked(1)) == [
            Looked(task_id=v.task_id, outcome=v.outcome, is_label=v.is_label, counted=v.annotation_id in counted)
            for v in rows[:7]
        ]
        assert list(store.looked(3)) == []

    def test_all_that_was_looked_at_is_read_page_by_page(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("backend.adapters.sql.verifications._LOOKED_PAGE", 2)
        store.save_verifications([verification(n) for n in range(1, 6)])
        assert [one.task_id for one in store.looked(1)] == [101, 102, 103, 104, 105]

    def test_what_they_say_later_is_kept_and_counts_for_nothing(self, store: SqlStore) -> None:
        store.save_verifications([verification(1)])
        store.leave_out(1, 7)
        later = verification(1, updated_at=NOON + timedelta(seconds=1))
        assert store.save_verifications([later, verification(2)]) == 2
        assert list(store.verifications(1)) == []
        assert store.left_out(1) == {7: 2}
        assert store.leave_out(1, 99) == 0
