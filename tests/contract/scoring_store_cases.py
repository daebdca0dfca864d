"""What every store must do about fitted scores; part of `store_cases.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from backend.adapters.sql.store import SqlStore
from backend.core.scorings import ControlAnswer, ControlScoring, Scoring, ScoringState
from backend.core.values import FieldReading, Outcome, Task, TaskState

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
        store.save_outcome(record.id, record.data_hash, Outcome(state=state, score=0.75, fields=(reading,)))


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

    def test_of_two_that_fit_at_once_the_first_stays(self, store: SqlStore) -> None:
        store.save_scoring(FIT)
        store.save_scoring(replace(FIT, annotations=99))
        assert [fit.annotations for fit in store.scorings(PROJECT, VERSION)] == [60]

    def test_what_scores_are_fitted_on_is_what_was_answered(self, store: SqlStore) -> None:
        answered(store, *range(1, 8))
        answered(store, 8, state=TaskState.INVALID)
        answered(store, 9, version="other@00000000")
        found = list(store.scored_answers(PROJECT, VERSION))
        assert [answer.task_id for answer in found] == list(range(1, 8))
        assert found[0].controls == {"sentiment": ControlAnswer(confidence=0.75, probabilities={"a": 0.75})}
        assert (found[0].data, found[0].score) == ({"text": "text 1"}, 0.75)
