"""`prelabel run --wait` while nobody works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend import cli_run
from tests.fakes.installation import Installation


def waits(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *steps: Callable[[], object],
) -> list[str]:
    """The lines that it prints while these things happen, one at each poll; then the worker comes."""
    project_id, _ = installation.project("good")
    job_id = installation.start_run(project_id)
    events = iter([*steps, installation.work_off])

    monkeypatch.setattr(cli_run, "_NO_WORKER_S", -1.0)
    monkeypatch.setattr(cli_run.time, "sleep", lambda _: next(events)())
    cli_run._wait(installation.parts(), job_id, quiet=True)
    return [line for line in capsys.readouterr().err.splitlines() if line]


def test_it_says_once_that_no_worker_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installation = Installation()
    installation.queue.worker_count = 0
    told = waits(installation, monkeypatch, capsys, lambda: None, lambda: None)
    assert told == ["No worker is running: start `prelabel worker` in another terminal."]


def test_it_looks_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The worker is killed after the first look."""
    installation = Installation()

    def die() -> None:
        installation.queue.worker_count = 0

    told = waits(installation, monkeypatch, capsys, die, lambda: None)
    assert told == ["No worker is running: start `prelabel worker` in another terminal."]


def test_it_waits_for_a_redis_that_is_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installation = Installation()

    def go() -> None:
        installation.queue.reachable = False

    def come() -> None:
        installation.queue.reachable = True

    told = waits(installation, monkeypatch, capsys, go, lambda: None, come)
    assert len(told) == 1
    assert "Redis cannot be used" in told[0]
