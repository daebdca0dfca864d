"""RQ's own processes, as they run here: a worker with its forks, and the scheduler."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue as RqQueue
from rq import Worker
from rq.job import Job
from rq.scheduler import RQScheduler

from backend import stopping
from backend.adapters.rq_queue import STARTED_WITH

_SCHEDULER_LOCK_S = timedelta(seconds=10)


class FingerprintedWorker(Worker):
    """RQ's worker that tells in Redis, for as long as it is registered there, what it was started with.

    Its fork for a message ends with it, so that no two are at the same message; and hears of a stop.
    """

    started_with: Mapping[str, str]

    def register_birth(self) -> None:
        super().register_birth()  # type: ignore[no-untyped-call]
        self.connection.hset(self.key, STARTED_WITH, json.dumps(dict(self.started_with)))

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Also registers again with a Redis that has lost everything: else nobody would know of this worker."""
        super().heartbeat(timeout, pipeline)
        if pipeline is None and not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()

    def handle_warm_shutdown_request(self) -> None:
        """Once more with each heartbeat: the fork may just be beginning."""
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, stopping.STOP)

    def maintain_heartbeats(self, job: Job) -> None:
        super().maintain_heartbeats(job)
        if self._stop_requested:
            self.handle_warm_shutdown_request()

    def main_work_horse(self, job: Job, queue: RqQueue) -> None:
        assert self.pid is not None  # it has started
        end_with(self.pid)
        super().main_work_horse(job, queue)

    def subscribe(self) -> None:
        """Not to RQ's remote commands: nobody sends any, and the thread for them only tells of a lost Redis."""


class Scheduler(RQScheduler):
    """RQ's scheduler, which hands out messages that are to wait. Of several, one has the lock.

    RQ's lock of a minute would keep the next one away for so long after a kill.
    """

    def acquire_locks(self, auto_start: bool = False) -> set[str]:
        found: set[str] = super().acquire_locks(auto_start)  # type: ignore[no-untyped-call]
        self._shorten()
        return found

    def heartbeat(self) -> None:
        super().heartbeat()  # type: ignore[no-untyped-call]
        self._shorten()

    def _shorten(self) -> None:
        for name in self.acquired_locks:
            self.connection.expire(self.get_locking_key(name), _SCHEDULER_LOCK_S)

    @property
    def should_reacquire_locks(self) -> bool:
        """Soon after another one's lock has run out, not two minutes later."""
        if self.lock_acquisition_time is None:
            return True
        return (
            self._queue_names != self.acquired_locks and datetime.now() - self.lock_acquisition_time > _SCHEDULER_LOCK_S
        )


def end_with(parent: int) -> None:
    """Give this process a SIGTERM when its parent is gone, however that ended.

    Nothing else tells it of a parent that was killed; it would go on for ever, perhaps with old settings.
    """
    me = threading.main_thread().ident
    assert me is not None  # it runs

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        signal.pthread_kill(me, signal.SIGTERM)  # to the main thread: it may be waiting in a call to Redis

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def is_news(record: logging.LogRecord) -> bool:
    """Not what RQ says of a Redis that is away: the parent tells of it."""
    error = record.exc_info[0] if record.exc_info else None
    return "Redis" not in str(record.msg) and not (error is not None and issubclass(error, RedisError))
