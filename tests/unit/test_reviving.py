"""Looking after jobs whose tasks are being read: how often, and what it does when the database or Redis is away."""

from __future__ import annotations

import logging

import pytest

from backend.core.errors import StoreError
from backend.ports.store import JobRow
from backend.reviving import EACH_S, Reviving
from tests.fakes.installation import Installation


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def installation() -> Installation:
    installation = Installation()
    installation.store.close = lambda: None  # type: ignore[method-assign]  # a database in memory is its connection
    return installation


def lost(installation: Installation) -> int:
    """A job whose only message is gone."""
    project_id, _ = installation.project("good", "bad")
    job_id = installation.jobs.start_run(project_id)
    installation.queue.messages.clear()
    return job_id


def test_a_lost_message_is_made_up_for_each_time(installation: Installation) -> None:
    seconds = Seconds()
    reviving = Reviving(installation.parts(), monotonic=seconds)
    job_id = lost(installation)
    reviving.look()
    assert [m.arguments for m in installation.queue.messages] == [(job_id,)]
    installation.queue.messages.clear()
    reviving.look()
    assert not installation.queue.messages
    seconds.now = EACH_S
    reviving.look()
    assert len(installation.queue.messages) == 1


@pytest.mark.parametrize("away", ["redis", "database"])
def test_what_is_away_is_told_and_asked_again(
    installation: Installation, away: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = Seconds()
    reviving = Reviving(installation.parts(), monotonic=seconds)
    lost(installation)

    def fail() -> list[JobRow]:
        raise StoreError("The database does not answer.")

    with monkeypatch.context() as broken:
        if away == "redis":
            broken.setattr(installation.queue, "reachable", False)
        else:
            broken.setattr(installation.store, "reading_jobs", fail)
        with caplog.at_level(logging.WARNING):
            reviving.look()
    assert [record.message for record in caplog.records] == ["jobs were not looked after"]
    assert not installation.queue.messages
    seconds.now = EACH_S
    reviving.look()
    assert len(installation.queue.messages) == 1
