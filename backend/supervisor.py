"""The processes of `prelabel worker`: this one, which watches, its RQ workers on a queue each, RQ's scheduler, and the
sweeper.

A process that dies is started again. While Redis is away none runs: nothing is spent that cannot be written back.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkProcess
from types import FrameType

from redis.exceptions import RedisError
from rq.serializers import JSONSerializer

import backend.worker  # noqa: F401  - what the messages call: imported before the forks, not after each
from backend import stopping
from backend.adapters.rq_queue import HEARTBEAT_S, QUEUES, RedisQueue
from backend.cleaning import Cleaning
from backend.core.errors import QueueError
from backend.learning import similarity
from backend.logs import configure_logging
from backend.rq_processes import FingerprintedWorker, Scheduler, end_with, is_news
from backend.settings import Settings, load_settings
from backend.sweeping import sweep
from backend.wiring import Parts

_log = logging.getLogger(__name__)
_SCHEDULER, _SWEEPER = "scheduler", "sweeper"
_LOOK_S = 0.2
_RESTART_S = 2.0
_PING_S = 5.0
_LONGEST_PAUSE_S = 15.0  # between two pings of a Redis that is away
_WORKER_TTL_S = HEARTBEAT_S + 15  # RQ's idle worker gives a sign of life 15 s before this ends
_MAINTENANCE_S = 30  # a dead worker's message is queued again about this long after its heartbeat ends


def run_workers(settings: Settings, counts: Mapping[str, int]) -> None:
    """Run workers until SIGTERM or SIGINT: `counts` says how many processes listen on which queue.

    One queue a process: an RQ worker that listens on two can lose a message.
    """
    parts = Parts(settings)
    parts.store.migrate()
    parts.queue.ping()
    parts.projects  # noqa: B018  - a missing template is told before anything runs
    parts.store.close()
    similarity.load()  # once, here: a fork for a message that needs it would take a second for it, each time
    gc.freeze()  # what is imported lives for ever: no collection in a fork needs to look at it, or copies its pages
    stop, redis, cleaning = _Stop(), _RedisWatch(parts.queue), Cleaning(parts)
    team = _Team([*(queue for queue, n in counts.items() for _ in range(n)), _SCHEDULER, _SWEEPER])
    _log.info("workers started", extra={"queues": dict(counts)})
    while not stop.asked:
        time.sleep(_LOOK_S)
        if redis.answers(at_once=team.has_losses):
            team.make_up()
        else:
            team.ask_to_stop()
        cleaning.look()
    team.ask_to_stop()
    team.join()


class _Team:
    """The processes, one for each name in `roles`."""

    def __init__(self, roles: Sequence[str]) -> None:
        self._roles = {_start(role): role for role in roles}
        self._asked: set[ForkProcess] = set()

    @property
    def has_losses(self) -> bool:
        return any(not process.is_alive() for process in self._roles)

    def make_up(self) -> None:
        """Start again what has ended, by itself or because it was asked to."""
        dead = [process for process in self._roles if not process.is_alive()]
        for process in dead:
            if process not in self._asked:
                extra = {"worker": self._roles[process], "exit": process.exitcode}
                _log.error("a worker died and is started again", extra=extra)
        if any(process not in self._asked for process in dead):
            time.sleep(_RESTART_S)
        for process in dead:
            self._asked.discard(process)
            role = self._roles.pop(process)
            self._roles[_start(role)] = role

    def ask_to_stop(self) -> None:
        """Each ends when it has worked off the message that it has in hand. Asked twice, RQ would drop it."""
        for process in self._roles:
            if process not in self._asked and process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
            self._asked.add(process)

    def join(self) -> None:
        for process in self._roles:
            process.join()


class _RedisWatch:
    """Whether Redis answers: told once when it goes and once when it is back, and asked less often in between."""

    def __init__(self, queue: RedisQueue) -> None:
        self._queue = queue
        self._pause_s = 0.0  # more while it is away
        self._next = time.monotonic() + _PING_S

    def answers(self, *, at_once: bool) -> bool:
        """As it was found lately; `at_once` asks now, except where it is known to be away."""
        away = self._pause_s > 0
        if time.monotonic() < self._next and (away or not at_once):
            return not away
        try:
            self._queue.ping()
        except QueueError as error:
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or 1.0)
            self._next = time.monotonic() + self._pause_s
            if not away:
                extra = {"redis": self._queue.address, "reason": error.for_log}
                _log.error("Redis is away: the workers stop until it is back", extra=extra)
            return False
        self._pause_s, self._next = 0.0, time.monotonic() + _PING_S
        if away:
            _log.info("Redis is back: the workers start", extra={"redis": self._queue.address})
        return True


class _Stop:
    """Set by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _: int, __: FrameType | None) -> None:
        self.asked = True


def _start(role: str) -> ForkProcess:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_run, args=(role, os.getpid()), name=f"worker-{role}")
    # A stop that comes before the fork has its own handler would be lost in this process's.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return process


def _run(role: str, parent: int) -> None:
    """An RQ worker on one queue, or the scheduler, in this process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until RQ has its own handler: not the parent's
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    settings = load_settings()
    configure_logging(settings.log_level, style=settings.log_format, content=settings.log_content)
    logging.getLogger("rq.worker").addFilter(is_news)
    stopping.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes on SIGTERM
    end_with(parent)
    parts = Parts(settings)
    connection = parts.queue.connection
    # RQ tells of every message at INFO, and at DEBUG what is in it.
    rq_level = "DEBUG" if settings.log_level == "DEBUG" and settings.log_content else "WARNING"
    try:
        if role == _SCHEDULER:
            scheduler = Scheduler(
                list(QUEUES.values()),
                connection,
                logging_level=rq_level,
                serializer=JSONSerializer,
                # The lock is on this name: the same one has it at once when it is started again.
                name=f"{socket.gethostname()}:{parent}",
            )
            scheduler.work()  # type: ignore[no-untyped-call]
        elif role == _SWEEPER:
            sweep(parts)
        else:
            worker = FingerprintedWorker(
                [QUEUES[role]],
                connection=connection,
                serializer=JSONSerializer,
                worker_ttl=_WORKER_TTL_S,
                maintenance_interval=_MAINTENANCE_S,
                job_monitoring_interval=HEARTBEAT_S,
            )
            worker.started_with = parts.started_with
            worker.work(logging_level=rq_level)
    except RedisError as error:  # the parent looks at Redis when a process has ended, and tells
        raise SystemExit(1) from error
