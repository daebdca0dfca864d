"""The queue and the locks on Redis, with RQ. A message is ids; the serializer is JSON."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from rq import Queue as RqQueue
from rq import Retry, Worker
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import as_text, parse_composite_key
from rq.worker import BaseWorker

from backend.adapters.clock import utc_now
from backend.adapters.queue_levels import ask_server, failure_classes, queue_level
from backend.adapters.redis_signs import SIGN_S, sign_of_life, silent
from backend.core.errors import QueueError
from backend.ports.queue import QueueLevel, QueueServer

INTERACTIVE, BULK = "prelabel-interactive", "prelabel-bulk"
_OF_A_JOB = re.compile(r"(?:job|prelabel-enlist)-(\d+)-")  # how the id of a message begins that is for a job
STARTED_WITH = "prelabel_started_with"  # field of a worker in Redis, beside those of RQ
QUEUES = {"interactive": INTERACTIVE, "bulk": BULK}
WORK_TIMEOUT_S = 600  # of a message that calls no model
HEARTBEAT_S = 5  # how often a worker gives a sign of life
_ALIVE_S = 4 * HEARTBEAT_S
_WRITER_LOCK_S = 15  # renewed while the writer lives: so long does a dead one keep others away
_SWEEPER_LOCK_S = 15  # the same
_WRITE_BACK_S = 15  # how long what a writer had to leave waits for the next try
_RESULT_TTL_S = 60
_FAILURE_TTL_S = 7 * 24 * 3600
_SYNC_S = 30  # a message that was lost keeps no other away for longer
_WRITE_BACK_ONCE_S = 60  # the same
_BATCH_STEP_ONCE_S = 60  # the same, after the time that the message waits
_AHEAD = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.STARTED)  # messages that are still to have an effect
_CHECK_S = 45  # between two comparisons of a project with Label Studio
_REFIT_ONCE_S = 600  # a message that was lost keeps no other away for longer
_CATCH_UP_S = 180  # between two readings of what changed among a project's annotations
_CHECKED_S = 7 * 24 * 3600  # so long it is remembered when that was
_RETRY_S = (2, 5, *[10] * 30)  # for a message that failed as a whole: the database or Redis was away


class RedisQueue:
    """`backend.ports.queue.Queue`. Without Redis every method raises `QueueError`: stop rather than spend."""

    def __init__(self, url: str, *, chunk_timeout_s: float = WORK_TIMEOUT_S) -> None:
        """`chunk_timeout_s`: after so long a message that calls the model is ended (`services/message_time.py`)."""
        self._chunk_timeout_s = math.ceil(chunk_timeout_s)
        try:
            self.connection = redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5)
        except ValueError as error:
            raise QueueError("REDIS_URL cannot be used: write redis://HOST:PORT/NUMBER.") from error

    @property
    def address(self) -> str:
        """Where Redis is, without user and password."""
        return place(self.connection.connection_pool.connection_kwargs)

    def close(self) -> None:
        self.connection.close()

    def ping(self) -> None:
        with self._translated():
            self.connection.ping()

    def enqueue_chunk(self, job_id: int, task_ids: Sequence[int], *, interactive: bool, delay_s: float = 0.0) -> None:
        with self._translated():
            queue = self._queue(INTERACTIVE if interactive else BULK)
            enqueue = partial(queue.enqueue_in, timedelta(seconds=delay_s)) if delay_s else queue.enqueue
            enqueue(
                "backend.worker.annotate_chunk",
                job_id,
                list(task_ids),
                job_timeout=self._chunk_timeout_s,
                result_ttl=_RESULT_TTL_S,
                failure_ttl=_FAILURE_TTL_S,
                retry=Retry(max=len(_RETRY_S), interval=list(_RETRY_S)),
                description=f"job {job_id}, {len(task_ids)} tasks",
                job_id=f"job-{job_id}-{uuid4().hex}",
            )

    def enqueue_enlisting(self, job_id: int, read_to: int | None) -> None:
        with self._translated():
            queue, message_id = self._queue(BULK), f"prelabel-enlist-{job_id}-{read_to or 0}"
            known = queue.fetch_job(message_id)
            if known is not None and known.get_status() in _AHEAD and not self._is_dead(known):
                return
            if known is not None:
                known.delete()  # one that is over takes a new one of its name with it when it expires
            queue.enqueue(
                "backend.worker.enlist",
                job_id,
                job_id=message_id,
                job_timeout=WORK_TIMEOUT_S,
                result_ttl=_RESULT_TTL_S,
                failure_ttl=_FAILURE_TTL_S,
                retry=Retry(max=len(_RETRY_S), interval=list(_RETRY_S)),
                description=f"read tasks of job {job_id}",
            )

    def _is_dead(self, message: Job) -> bool:
        """Whether it was begun a while ago by somebody who gives no sign of life: RQ takes minutes to see that."""
        begun = message.started_at
        if message.get_status(refresh=False) != JobStatus.STARTED or begun is None:
            return False
        return utc_now() - begun > timedelta(seconds=SIGN_S) and bool(silent(self.connection, [message.id]))

    def enqueue_sync(self, project_id: int) -> None:
        with self._translated():
            if self.connection.set(f"prelabel:sync:{project_id}", 1, nx=True, ex=_SYNC_S):
                self._enqueue_small("backend.worker.sync_project", project_id)

    def sync_started(self, project_id: int) -> None:
        with self._translated():
            self.connection.delete(f"prelabel:sync:{project_id}")

    def enqueue_auto_start(self, project_id: int, task_ids: Sequence[int]) -> None:
        with self._translated():
            self._enqueue_small("backend.worker.auto_start", project_id, list(task_ids))

    def enqueue_write_back(self, project_id: int, *, at_once: bool = False) -> None:
        delay_s = 0 if at_once else _WRITE_BACK_S
        with self._translated():
            if self.connection.set(f"prelabel:write-back:{project_id}", 1, nx=True, ex=_WRITE_BACK_ONCE_S):
                self._enqueue_bulk("backend.worker.write_back", project_id, delay_s=delay_s)

    def enqueue_check(self, project_id: int) -> None:
        with self._translated():
            if self.connection.set(f"prelabel:check:{project_id}", 1, nx=True, ex=_CHECK_S):
                self._enqueue_bulk("backend.worker.check_project", project_id, at_front=True)

    def enqueue_annotations(self, project_id: int, task_ids: Sequence[int], annotation_ids: Sequence[int]) -> None:
        with self._translated():
            self._enqueue_small("backend.worker.look_at_annotations", project_id, list(task_ids), list(annotation_ids))

    def enqueue_catch_up(self, project_id: int) -> None:
        with self._translated():
            if self.connection.set(f"prelabel:catch-up:{project_id}", 1, nx=True, ex=_CATCH_UP_S):
                self._enqueue_bulk("backend.worker.catch_up", project_id, at_front=True)

    def enqueue_refit(self, project_id: int) -> None:
        with self._translated():
            if self.connection.set(f"prelabel:refit:{project_id}", 1, nx=True, ex=_REFIT_ONCE_S):
                self._enqueue_bulk("backend.worker.refit", project_id)

    def refit_started(self, project_id: int) -> None:
        with self._translated():
            self.connection.delete(f"prelabel:refit:{project_id}")

    def checked_at(self, project_id: int) -> datetime | None:
        with self._translated():
            known = self.connection.get(f"prelabel:checked:{project_id}")
        return datetime.fromisoformat(as_text(known)) if isinstance(known, bytes) else None

    def set_checked(self, project_id: int, began: datetime) -> None:
        with self._translated():
            self.connection.set(f"prelabel:checked:{project_id}", began.isoformat(), ex=_CHECKED_S)

    def _enqueue_bulk(self, function: str, project_id: int, *, delay_s: float = 0.0, at_front: bool = False) -> None:
        """Work on a whole project. It is not tried again: the sweeper comes back for what is left."""
        queue = self._queue(BULK)
        enqueue = partial(queue.enqueue_in, timedelta(seconds=delay_s)) if delay_s else queue.enqueue
        enqueue(
            function,
            project_id,
            job_timeout=WORK_TIMEOUT_S,
            result_ttl=_RESULT_TTL_S,
            failure_ttl=_FAILURE_TTL_S,
            description=f"{function.rpartition('.')[2]} {project_id}",
            at_front=at_front,
        )

    def write_back_started(self, project_id: int) -> None:
        with self._translated():
            self.connection.delete(f"prelabel:write-back:{project_id}")

    def enqueue_batch_step(self, job_id: int, *, after: int = 0, delay_s: float = 0.0) -> None:
        with self._translated():
            once_s = int(delay_s) + _BATCH_STEP_ONCE_S
            if not self.connection.set(f"prelabel:batch-step:{job_id}", 1, nx=True, ex=once_s):
                return
            queue = self._queue(BULK)
            enqueue = partial(queue.enqueue_in, timedelta(seconds=delay_s)) if delay_s else queue.enqueue
            enqueue(
                "backend.worker.batch_step",
                job_id,
                after,
                job_timeout=self._chunk_timeout_s,
                result_ttl=_RESULT_TTL_S,
                failure_ttl=_FAILURE_TTL_S,
                retry=Retry(max=len(_RETRY_S), interval=list(_RETRY_S)),
                description=f"batches of job {job_id}",
            )

    def batch_step_started(self, job_id: int) -> None:
        with self._translated():
            self.connection.delete(f"prelabel:batch-step:{job_id}")

    def _enqueue_small(self, function: str, *arguments: object) -> None:
        self._queue(INTERACTIVE).enqueue(
            function,
            *arguments,
            job_timeout=120,
            result_ttl=_RESULT_TTL_S,
            failure_ttl=_FAILURE_TTL_S,
            retry=Retry(max=len(_RETRY_S), interval=list(_RETRY_S)),
            description=function.rpartition(".")[2],
        )

    def depth(self) -> dict[str, int]:
        with self._translated():
            return {name: self._queue(queue).count for name, queue in QUEUES.items()}

    def levels(self) -> Mapping[str, QueueLevel]:
        with self._translated():
            alive = [set(worker.queue_names()) for worker in self._alive()]
            return {
                name: queue_level(self._queue(queue), sum(queue in names for names in alive))
                for name, queue in QUEUES.items()
            }

    def failures(self) -> Mapping[str, int]:
        with self._translated():
            return failure_classes([self._queue(queue) for queue in QUEUES.values()])

    def server(self) -> QueueServer:
        with self._translated():
            return ask_server(self.connection)

    def workers(self) -> int:
        return len([w for w in self._alive() if set(w.queue_names()) & {INTERACTIVE, BULK}])

    def bulk_workers(self) -> int:
        return len([w for w in self._alive() if BULK in w.queue_names()])

    def workers_started_with(self) -> list[Mapping[str, str]]:
        found = self._alive()
        with self._translated():
            told = [w.connection.hget(w.key, STARTED_WITH) for w in found]
        return [json.loads(text) for text in told if text]

    def _alive(self) -> list[BaseWorker]:
        """Those with a fresh heartbeat: a killed worker stays listed for minutes."""
        with self._translated():
            found = Worker.all(connection=self.connection)
        lately = utc_now() - timedelta(seconds=_ALIVE_S)
        return [w for w in found if w.last_heartbeat is not None and w.last_heartbeat > lately]

    @contextmanager
    def at_work(self, claimant: str) -> Iterator[None]:
        with self._translated(), sign_of_life(self.connection, claimant):
            yield

    def silent(self, claimants: Collection[str]) -> set[str]:
        with self._translated():
            return silent(self.connection, claimants)

    def jobs_named(self) -> set[int]:
        with self._translated():
            return {job_id for name in QUEUES.values() for job_id in self._jobs_named_in(self._queue(name))}

    def _jobs_named_in(self, queue: RqQueue) -> Iterator[int]:
        """A message that somebody has in hand counts only while he lives: RQ itself takes minutes to see that."""
        started = [parse_composite_key(as_text(entry))[0] for entry in self._range(queue.started_job_registry.key)]
        dead = silent(self.connection, started)
        waiting = [*queue.get_job_ids(), *map(as_text, self._range(queue.scheduled_job_registry.key))]
        for message in [*waiting, *(message for message in started if message not in dead)]:
            if named := _OF_A_JOB.match(message):
                yield int(named[1])

    def _range(self, key: str) -> list[bytes]:
        return list(self.connection.zrange(key, 0, -1))  # type: ignore[arg-type]

    def writer_at(self, project_id: int) -> bool:
        with self._translated():
            return bool(self.connection.exists(_writer_key(project_id)))

    def writer_lock(self, project_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        return self._lock(_writer_key(project_id), _WRITER_LOCK_S, "another worker writes this project back")

    def batch_at(self, job_id: int) -> bool:
        with self._translated():
            return bool(self.connection.exists(_batch_key(job_id)))

    def batch_lock(self, job_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        return self._lock(_batch_key(job_id), _WRITER_LOCK_S, "another worker is at this job's batches")

    def sweeper_lock(self) -> AbstractContextManager[Callable[[], None] | None]:
        return self._lock("prelabel:sweeper", _SWEEPER_LOCK_S, "another machine's sweeper is at work")

    @contextmanager
    def _lock(self, key: str, lasts_s: float, other: str) -> Iterator[Callable[[], None] | None]:
        """`other` tells who may be at it when it has been lost."""
        with self._translated():
            # Not local to a thread: the one that renews it must know its token.
            lock = self.connection.lock(key, timeout=lasts_s, thread_local=False)
            got = lock.acquire(blocking=False)
        if not got:
            yield None
            return
        try:
            with _renewed(lock, lasts_s):
                yield partial(self._keep, lock, other)
        finally:
            # It may have run out: then another worker may be at it, which the store's claims allow for.
            with self._translated(), suppress(LockError):
                lock.release()

    def _queue(self, name: str) -> RqQueue:
        return RqQueue(name, connection=self.connection, serializer=JSONSerializer)

    def _keep(self, lock: Lock, other: str) -> None:
        with self._translated():
            try:
                lock.reacquire()
            except LockError:
                raise QueueError(f"A lock ran out: {other}.") from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise away(self.address, error) from error


def _writer_key(project_id: int) -> str:
    return f"prelabel:writer:{project_id}"


def _batch_key(job_id: int) -> str:
    return f"prelabel:batch:{job_id}"


def place(known: Mapping[str, Any]) -> str:
    """Where Redis is, from the arguments of its connections: without user and password."""
    return str(known.get("path") or f"{known.get('host')}:{known.get('port', 6379)}/{known.get('db', 0)}")


def away(address: str, error: RedisError) -> QueueError:
    if "No space left" in str(error) or "MISCONF" in str(error):
        return QueueError(f"Redis at {address} cannot write to its disk: make room there; the work then goes on.")
    return QueueError(
        f"Redis cannot be used at {address} ({type(error).__name__}): check REDIS_URL and that the server is running."
    )


@contextmanager
def _renewed(lock: Lock, lasts_s: float) -> Iterator[None]:
    """Renew the lock from a thread: however long one call takes, it lasts, and it ends soon after the process."""
    left = threading.Event()

    def renew() -> None:
        while not left.wait(lasts_s / 3):
            with suppress(RedisError):
                lock.reacquire()

    thread = threading.Thread(target=renew, name="writer-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
