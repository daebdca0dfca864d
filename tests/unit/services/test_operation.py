"""Each thing that an operator should know is one line with a next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.errors import QueueError, StoreError
from backend.ports.governor import GovernorLevel
from backend.ports.overview import Disk, PausedJob
from backend.ports.queue import QueueServer
from backend.services.doctor import Check
from backend.services.operation import Operation, limit_in_words
from tests.fakes.installation import Installation

IDLE = GovernorLevel(
    requests_per_minute=None,
    tokens_per_minute=None,
    requests_used=0,
    tokens_used=0,
    in_flight=0,
    window=8,
    paused_s=0.0,
)
DISK = Disk(folder="/data", free_bytes=50_000_000_000, filesystem="ext4")


def operation(installation: Installation, **changes: Any) -> Operation:
    given: dict[str, Any] = {
        "store": installation.store,
        "queue": installation.queue,
        "limits": lambda: {("http://model/v1", "a-model"): IDLE},
        "endpoint": "http://model/v1",
        "requests_are_set": False,
        "tokens_are_set": False,
        "logs_content": False,
        "clock": installation.clock,
    }
    return Operation(**{**given, **changes})


def seen(installation: Installation, **changes: Any) -> dict[str, Check]:
    return {check.name: check for check in operation(installation, **changes).checks()}


def test_all_is_well() -> None:
    found = seen(Installation())
    assert {check.status for check in found.values()} == {"ok"}


def stuck(installation: Installation) -> None:
    installation.queue.worker_count, installation.queue.oldest_s = 0, 900.0
    installation.queue.enqueue_chunk(1, [1], interactive=False)


def no_worker(installation: Installation) -> None:
    installation.queue.worker_count = 0


def slow_for_annotators(installation: Installation) -> None:
    installation.queue.oldest_s = 90.0
    installation.queue.enqueue_chunk(1, [1], interactive=True)


def failed(installation: Installation) -> None:
    installation.queue.failed = {"StoreError": 3, "ValueError": 1}


def server(**told: Any) -> Callable[[Installation], None]:
    def harm(installation: Installation) -> None:
        installation.queue.told = QueueServer(**{"keeps": True, "evicts": False, "ahead_s": 0.0, **told})

    return harm


def paused(by: str) -> Callable[[Installation], None]:
    def harm(installation: Installation) -> None:
        job = PausedJob(id=7, project_id=2, reason="The key is refused.", paused_by=by)
        installation.store.paused_jobs = lambda limit=20: [job]  # type: ignore[method-assign]

    return harm


def disk(**changes: Any) -> Callable[[Installation], None]:
    def harm(installation: Installation) -> None:
        installation.store.disk = lambda: replace(DISK, **changes)  # type: ignore[method-assign]

    return harm


@pytest.mark.parametrize(
    ("harm", "name", "status", "words"),
    [
        (stuck, "bulk queue", "wrong", "1 waiting, the first for 900 s"),
        (stuck, "bulk queue", "wrong", "start `prelabel worker --bulk 1`"),
        (no_worker, "interactive queue", "note", "no worker listens: start `prelabel worker --interactive 1`"),
        (slow_for_annotators, "interactive queue", "note", "prelabel worker --interactive 2"),
        (failed, "failed messages", "note", "3 StoreError, 1 ValueError"),
        (server(keeps=False), "redis server", "note", "--appendonly yes"),
        (server(evicts=True), "redis server", "note", "maxmemory-policy noeviction"),
        (server(keeps=None, evicts=None), "redis server", "ok", "does not tell whether it persists"),
        (server(ahead_s=7.4), "redis server", "note", "7 s ahead of this machine's: set both by NTP"),
        (server(ahead_s=-60.0), "redis server", "note", "60 s behind this machine's"),
        (paused("person"), "jobs", "note", "The key is refused; `prelabel jobs resume 7`"),
        (paused("fault"), "jobs", "note", "goes on when that is well again"),
        (disk(free_bytes=200_000_000), "disk", "note", "0.2 GB are free in /data: make room"),
        (disk(filesystem="nfs4"), "disk", "note", "network folder (nfs4)"),
        (disk(), "disk", "ok", "50.0 GB"),
    ],
)
def test_one_thing(harm: Callable[[Installation], None], name: str, status: str, words: str) -> None:
    installation = Installation()
    harm(installation)
    found = seen(installation)[name]
    assert (found.status, words in found.detail) == (status, True), found.detail


def test_a_pause_that_the_endpoint_asked_for() -> None:
    level = replace(IDLE, requests_per_minute=600, in_flight=12, window=None, paused_s=20.0)
    found = seen(Installation(), limits=lambda: {("http://model/v1", "a-model"): level})["model limit"]
    assert (found.status, "600 requests a minute learnt" in found.detail) == ("note", True)
    assert "12 in flight, paused for 20 s" in found.detail


def test_predictions_that_label_studio_lacks_for_long() -> None:
    installation = Installation()
    project_id, _ = installation.project("good", "bad")
    installation.run(project_id)
    assert seen(installation)["write-back"].status == "ok"
    with installation.store.begin() as connection:
        connection.exec_driver_sql("UPDATE records SET delivery = 'pending'")
    assert seen(installation)["write-back"].status == "ok"  # it may well be on its way
    installation.clock.now += timedelta(minutes=6)
    found = seen(installation)["write-back"]
    assert (found.status, found.detail.startswith("2 predictions")) == ("note", True)


def test_that_prompts_are_logged_is_told_loudly() -> None:
    found = seen(Installation(), logs_content=True)["log content"]
    assert (found.status, "PRELABEL_LOG_CONTENT IS ON" in found.detail) == ("note", True)


def away(*_: Any, **__: Any) -> Any:
    raise QueueError("Redis cannot be used.")


def test_without_redis_the_database_is_looked_at() -> None:
    installation = Installation()
    installation.queue.reachable = False
    assert list(seen(installation, limits=away)) == ["jobs", "write-back"]
    told = operation(installation, limits=away).for_status()
    assert told == {"model_limits": {}, "queues": {}, "problem": told["problem"]}
    assert "REDIS_URL" in str(told["problem"]) or "Redis" in str(told["problem"])


def test_without_the_database_redis_is_looked_at() -> None:
    installation = Installation()

    def fail(*_: Any, **__: Any) -> Any:
        raise StoreError("The database is away.")

    for name in ("paused_jobs", "late_deliveries", "disk"):
        setattr(installation.store, name, fail)
    assert "redis server" in seen(installation)


def test_status_has_limits_and_queues() -> None:
    installation = Installation()
    installation.queue.oldest_s = 3.0
    installation.queue.enqueue_chunk(1, [1], interactive=False)
    told = operation(installation).for_status()
    assert told["queues"]["bulk"]["oldest_s"] == 3.0
    assert told["model_limits"]["a-model"]["in_words"] == "no limit a minute is known, 0 of at most 8 in flight"
    both = {(f"http://{host}/v1", "a-model"): IDLE for host in ("model", "other")}
    told = operation(installation, limits=lambda: both).for_status()
    assert list(told["model_limits"]) == ["a-model", "a-model at http://other/v1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"requests_per_minute": 600, "requests_used": 1_200, "window": None, "in_flight": 3},
            "600 requests a minute learnt, 1,200 used, 3 in flight",
        ),
        (
            {"tokens_per_minute": 120_000, "tokens_used": 9_000, "window": None},
            "120,000 tokens a minute set, 9,000 used, 0 in flight",
        ),
    ],
)
def test_a_limit_in_words(changes: dict[str, Any], words: str) -> None:
    assert limit_in_words(replace(IDLE, **changes), requests_are_set=False, tokens_are_set=True) == words
