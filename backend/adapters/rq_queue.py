"""The queue and the locks on Redis, with RQ. A message is ids; the serializer is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from rq import Queue as RqQueue
from rq import Retry, Worker
from rq.serializers import JSONSerializer

from backend.core.errors import QueueError

INTERACTIVE, BULK = "prelabel-interactive", "prelabel-bulk"
STARTED_WITH = "prelabel_started_with"  # field of a worker in Redis, beside those of RQ
QUEUES = {"interactive": INTERACTIVE, "bulk": BULK}
CHUNK_TIMEOUT_S = 600  # the store's lease on a running record is longer
_WRITER_LOCK_S = 180  # longer than the slowest single call of the writer
_RESULT_TTL_S = 60
_FAILURE_TTL_S = 7 * 24 * 3600
_SYNC_S = 30  # a message that was lost keeps no other away for longer
_RETRY_S = (2, 5, 15, 60, 240)  # for a message that failed as a whole: Label Studio or the database was away


class RedisQueue:
    """`backend.ports.queue.Queue`. Without Redis every method raises `QueueError`: stop rather than spend."""

    def __init__(self, url: str) -> None:
        try:
            self.connection = redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5)
        except ValueError as error:
            raise QueueError("REDIS_URL cannot be used: write redis://HOST:PORT/NUMBER.") from error

    def close(self) -> None:
        self.connection.close()

    def ping(self) -> None:
        with self._translated():
            self.connection.ping()

    def enqueue_chunk(self, job_id: int, task_ids: Sequence[int], *, interactive: bool) -> None:
        with self._translated():
            self._queue(INTERACTIVE if interactive else BULK).enqueue(
                "backend.worker.annotate_chunk",
                job_id,
                list(task_ids),
                job_timeout=CHUNK_TIMEOUT_S,
                result_ttl=_RESULT_TTL_S,
                failure_ttl=_FAILURE_TTL_S,
                retry=Retry(max=len(_RETRY_S), interval=list(_RETRY_S)),
                description=f"job {job_id}, {len(task_ids)} tasks",
            )

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

    def workers(self) -> int:
        with self._translated():
            return len(
                [w for w in Worker.all(connection=self.connection) if set(w.queue_names()) & {INTERACTIVE, BULK}]
            )

    def workers_started_with(self) -> list[Mapping[str, str]]:
        with self._translated():
            told = [w.connection.hget(w.key, STARTED_WITH) for w in Worker.all(connection=self.connection)]
        return [json.loads(text) for text in told if text]

    @contextmanager
    def writer_lock(self, project_id: int) -> Iterator[Callable[[], None] | None]:
        with self._translated():
            lock = self.connection.lock(f"prelabel:writer:{project_id}", timeout=_WRITER_LOCK_S)
            got = lock.acquire(blocking=False)
        try:
            yield partial(self._keep, lock) if got else None
        finally:
            if got:
                # It may have run out: then another writer may be at it, which the store's claims allow for.
                with self._translated(), suppress(LockError):
                    lock.release()

    def _queue(self, name: str) -> RqQueue:
        return RqQueue(name, connection=self.connection, serializer=JSONSerializer)

    def _keep(self, lock: Lock) -> None:
        with self._translated():
            try:
                lock.reacquire()
            except LockError:
                raise QueueError("The writer's lock ran out: another worker writes this project back.") from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise QueueError(
                f"Redis cannot be used at {self._place()} ({type(error).__name__}): "
                "check REDIS_URL and that the server is running."
            ) from error

    def _place(self) -> str:
        """Host, port and database; never user or password."""
        known = self.connection.connection_pool.connection_kwargs
        if "path" in known:
            return f"{known['path']}, database {known.get('db', 0)}"
        return f"{known.get('host', 'localhost')}:{known.get('port', 6379)}/{known.get('db', 0)}"
