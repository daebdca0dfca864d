"""`prelabel worker` as it is started, with a real Redis that goes and processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.adapters.clock import utc_now
from backend.adapters.rq_queue import RedisQueue
from backend.adapters.sql.schema import replies
from backend.adapters.sql.store import SqlStore
from scripts.places import ROOT
from scripts.processes import Running, all_processes, free_port, process_env, start_process
from scripts.services import Redis, ServiceError, redis_server, start_redis
from tests.fakes.installation import replying

pytestmark = pytest.mark.integration
PROCESSES = 5  # the one that watches, a worker on each queue, the scheduler, the sweeper


@contextmanager
def start_worker(folder: Path, redis_url: str) -> Iterator[Running]:
    env = process_env(
        {
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url,
            "DATABASE_URL": f"sqlite:///{folder / 'prelabel.sqlite3'}",
            "LABEL_STUDIO_API_KEY": "a-key",
        }
    )
    with start_process("worker", [sys.executable, "-m", "backend", "worker"], env, folder=folder) as running:
        yield running


def with_user(redis_url: str) -> RedisQueue:
    """The server, which has a user with a password now."""
    queue = RedisQueue(redis_url)
    everything = {"keys": ["*"], "channels": ["*"], "commands": ["+@all"]}
    queue.connection.acl_setuser("someone", enabled=True, passwords=["+a-password"], **everything)
    return queue


def session(leader: int) -> list[int]:
    """The process ids of the session; a zombie is none."""
    found = []
    for pid in all_processes():
        try:
            if os.getsid(pid) == leader and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
        except (ProcessLookupError, PermissionError, FileNotFoundError):
            continue
    return found


def eventually(condition: Callable[[], object], what: str, limit_s: float = 30.0) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    try:
        redis_server()
    except ServiceError as error:
        pytest.skip(str(error))
    with start_redis(tmp_path / "redis", persist=True) as running:
        yield running


def test_the_processes_end_with_the_one_that_watches_them(server: Redis, tmp_path: Path) -> None:
    queue = RedisQueue(server.url)
    with start_worker(tmp_path, server.url) as worker:
        eventually(lambda: queue.workers() == 2, "both workers run")
        eventually(lambda: len(session(worker.process.pid)) == PROCESSES, "all its processes run")
        os.kill(worker.process.pid, signal.SIGKILL)
        eventually(lambda: not session(worker.process.pid), "none of its processes is left", limit_s=10)
        assert queue.workers() == 0  # they have signed off
    queue.close()


def test_a_killed_worker_and_the_scheduler_are_started_again(server: Redis, tmp_path: Path) -> None:
    queue = RedisQueue(server.url)
    with start_worker(tmp_path, server.url) as worker:
        eventually(lambda: queue.workers() == 2, "both workers run")
        before = set(session(worker.process.pid)) - {worker.process.pid}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(session(worker.process.pid)) - before) == PROCESSES, "all run again")
        worker.process.terminate()
        worker.process.wait(20)
        assert session(worker.process.pid) == []
    queue.close()


def test_replies_that_nobody_used_for_a_month_are_deleted(server: Redis, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'prelabel.sqlite3'}"
    for key, days in (("old", 31), ("young", 29)):
        past = SqlStore(url, clock=lambda days=days: utc_now() - timedelta(days=days))  # type: ignore[misc]
        past.migrate()
        past.save_reply(key, "request", replying("yes"))
        past.close()
    store = SqlStore(url)
    with start_worker(tmp_path, server.url):
        eventually(lambda: stored_keys(store) == ["young"], "the old one is deleted, and no other")
    store.close()


def stored_keys(store: SqlStore) -> list[str]:
    """Of the replies; to ask for one would be to use it."""
    with store.begin(read_only=True) as connection:
        return list(connection.execute(sa.select(replies.c.key)).scalars())


def test_a_redis_that_goes_is_told_in_one_line_and_the_workers_come_back_with_it(tmp_path: Path) -> None:
    port = free_port()
    try:
        redis_server()
    except ServiceError as error:
        pytest.skip(str(error))
    url = f"redis://someone:a-password@127.0.0.1:{port}/0"
    with ExitStack() as running, ExitStack() as first:
        redis = first.enter_context(start_redis(tmp_path / "redis", persist=True, port=port))
        plain = with_user(redis.url)
        worker = running.enter_context(start_worker(tmp_path, url))
        eventually(lambda: plain.workers() == 2, "both workers run")
        first.close()
        eventually(lambda: len(session(worker.process.pid)) == 1, "the workers have stopped")
        eventually(lambda: "Redis is away" in worker.log.read_text(), "it is told")
        time.sleep(5)
        second = running.enter_context(start_redis(tmp_path / "redis", persist=True, port=port))
        plain = with_user(second.url)
        eventually(lambda: len(session(worker.process.pid)) == PROCESSES, "the workers have come back", limit_s=40)
        eventually(lambda: plain.workers() == 2, "they are counted")
    told = worker.log.read_text()
    lines = [json.loads(line) for line in told.splitlines()]  # every line is JSON: no plain traceback
    assert [line["redis"] for line in lines if "redis" in line] == [f"127.0.0.1:{port}/0"] * 2
    assert "a-password" not in told
    assert [line["event"] for line in lines if line["level"] == "error"] == [
        "Redis is away: the workers stop until it is back"
    ]
