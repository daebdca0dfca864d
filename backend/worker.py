"""What runs on the RQ workers, and the process that keeps them running.

A queue message is ids. The work functions build their parts anew because each message runs in a fork of the worker,
and connections do not survive one.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from types import FrameType

from redis.exceptions import RedisError
from rq import Worker, get_current_job
from rq.serializers import JSONSerializer

from backend.adapters.rq_queue import QUEUES, STARTED_WITH
from backend.core.errors import PrelabelError, QueueError
from backend.logs import configure_logging
from backend.settings import Settings, load_settings
from backend.wiring import Parts

_log = logging.getLogger(__name__)
_RESTART_S = 2.0
_WORKER_TTL_S = 60
_MAINTENANCE_S = 30  # a dead worker's message is queued again about this long after its heartbeat ends


def annotate_chunk(job_id: int, task_ids: list[int]) -> None:
    """Annotate these tasks of a job. Safe to run twice."""
    message = get_current_job()
    started = time.monotonic()
    with _parts() as parts:
        parts.chunk_worker.work(job_id, task_ids, claimant=message.id if message else "direct")
    _log.info(
        "chunk done",
        extra={"job": job_id, "tasks": len(task_ids), "seconds": round(time.monotonic() - started, 2)},
    )


def sync_project(project_id: int) -> None:
    """Read a project again and align its version everywhere."""
    with _parts() as parts:
        parts.need_key()
        parts.queue.sync_started(project_id)
        parts.projects.sync(parts.labels, project_id)


def auto_start(project_id: int, task_ids: list[int]) -> None:
    """Pre-annotate tasks that were just created."""
    with _parts() as parts:
        parts.jobs.auto_start(project_id, task_ids)


@contextmanager
def _parts() -> Iterator[Parts]:
    """The parts for one message. An error is logged as one line here and raised, so that RQ tries again later."""
    try:
        yield Parts(load_settings())
    except PrelabelError as error:
        _log.error("a queue message failed", extra={"reason": str(error)})
        raise


def run_workers(settings: Settings, counts: dict[str, int]) -> None:
    """Run workers until SIGTERM or SIGINT: `counts` says how many processes listen on which queue.

    One queue a process: an RQ worker that listens on two can lose a message. A worker that dies is started again.
    """
    parts = Parts(settings)
    parts.store.migrate()
    parts.queue.ping()
    parts.projects  # noqa: B018  - a missing template is told before anything runs
    parts.store.close()
    stop = _Stop()
    started: dict[ForkProcess, str] = {}
    wanted = [queue for queue, n in counts.items() for _ in range(n)]
    for queue in wanted:
        started[_start(queue)] = queue
    _log.info("workers started", extra={"queues": counts})
    while not stop.asked:
        time.sleep(0.2)
        for process in [p for p in started if not p.is_alive()]:
            queue = started.pop(process)
            if stop.asked:
                break
            _log.error("a worker died and is started again", extra={"queue": queue, "exit": process.exitcode})
            time.sleep(_RESTART_S)
            started[_start(queue)] = queue
    for process in started:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
    for process in started:
        process.join()


class _Stop:
    """Set by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _: int, __: FrameType | None) -> None:
        self.asked = True


class FingerprintedWorker(Worker):
    """Tells in Redis, for as long as it is registered there, what it was started with."""

    started_with: Mapping[str, str]

    def register_birth(self) -> None:
        super().register_birth()  # type: ignore[no-untyped-call]
        self.connection.hset(self.key, STARTED_WITH, json.dumps(dict(self.started_with)))


def _start(queue: str) -> ForkProcess:
    process = multiprocessing.get_context("fork").Process(target=_run_worker, args=(queue,), name=f"worker-{queue}")
    process.start()
    return process


def _run_worker(queue: str) -> None:
    """One RQ worker on one queue, in this process."""
    settings = load_settings()
    configure_logging(settings.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes on SIGTERM
    parts = Parts(settings)
    worker = FingerprintedWorker(
        [QUEUES[queue]],
        connection=parts.queue.connection,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL_S,
        maintenance_interval=_MAINTENANCE_S,
        job_monitoring_interval=10,
    )
    worker.started_with = parts.started_with
    rq_level = "DEBUG" if settings.log_level == "DEBUG" else "WARNING"  # RQ tells of every message at INFO
    _until_done(lambda: worker.work(with_scheduler=True, logging_level=rq_level))


def _until_done(work: Callable[[], object]) -> None:
    try:
        work()
    except (RedisError, QueueError) as error:
        _log.error("the worker lost Redis", extra={"error": type(error).__name__})
        raise SystemExit(1) from error
