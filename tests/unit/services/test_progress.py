"""Rate and time to go, from looks at a job."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backend.core.values import JobState
from backend.ports.store import Counts, JobRow
from backend.services.progress import Progress, Watch


def job(state: str = "running", paused_by: str | None = None) -> JobRow:
    return JobRow(
        id=1,
        project_id=1,
        version="v",
        kind="run",
        state=JobState(state),
        total=100,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=None,
        reason=None,
        paused_by=paused_by,
    )


def counts(done: int, queued: int, running: int = 0, pending: int = 0) -> Counts:
    return Counts(states={"done": done, "queued": queued, "running": running}, deliveries={"pending": pending})


def test_nothing_is_said_before_it_is_known() -> None:
    watch = Watch()
    assert watch.look(job(), counts(0, 100), now=0.0).eta_s is None
    assert watch.look(job(), counts(5, 95), now=1.0).per_minute is None  # too soon
    assert Watch().look(job(), counts(50, 50), now=0.0).eta_s is None  # done before anybody looked
    assert watch.look(job(), counts(0, 100), now=10.0).eta_s is None


def test_the_rate_is_that_of_the_last_minutes() -> None:
    watch = Watch()
    for second in range(0, 400, 10):
        seen = watch.look(job(), counts(second, 1_000 - second), now=float(second))
    assert seen.per_minute == pytest.approx(60)
    for second in range(400, 800, 10):
        seen = watch.look(job(), counts(390 + (second - 390) // 10, 400), now=float(second))
    assert seen.per_minute == pytest.approx(6, rel=0.1)
    assert seen.eta_s == pytest.approx(4_000, rel=0.1)
    assert watch.look(job("paused"), counts(440, 400), now=800.0).eta_s is None


@pytest.mark.parametrize(
    ("row", "numbers", "over"),
    [
        (job(), counts(1, 1), False),
        (job("done"), counts(2, 0, pending=1), False),
        (job("done"), counts(2, 0), True),
        (job("stopped"), counts(1, 1, pending=1), True),
        (job("cancelled"), counts(1, 1), True),
        (job("paused", "person"), counts(1, 1, running=1), False),
        (job("paused", "person"), counts(1, 1), True),
        (job("paused", "budget"), counts(1, 1), True),
        (job("paused", "fault"), counts(1, 1), True),
    ],
)
def test_when_nothing_more_will_happen_by_itself(row: JobRow, numbers: Counts, over: bool) -> None:
    assert Progress(job=row, counts=numbers, per_minute=None, eta_s=None).is_over is over


def test_as_json() -> None:
    told = Progress(job=job("paused", "budget"), counts=counts(3, 7), per_minute=12.34, eta_s=60.4).as_json()
    assert told == {
        "job": 1,
        "state": "stopped at budget",
        "reason": None,
        "tasks": 10,
        "finished": 3,
        "by_state": {"done": 3, "queued": 7, "running": 0},
        "undelivered": 0,
        "per_minute": 12.3,
        "eta_s": 60,
    }
