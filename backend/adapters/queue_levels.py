"""How RQ's queues and the server under them stand. Nothing here changes anything: RQ's own counts clean up."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

import redis
from redis.exceptions import ResponseError
from rq import Queue as RqQueue
from rq.job import Job

from backend.adapters.clock import utc_now
from backend.ports.queue import QueueLevel, QueueServer

_MOST_FAILURES = 50  # of a queue, the newest
# The last line of a traceback. Where a worker failed, the message is the class of the error (`backend/worker.py`).
_ERROR = re.compile(r"^(?:\w+\.)*(?P<name>[A-Za-z_]\w{0,79})(?:: (?P<message>.*))?$")
_FAILED = "MessageFailed"


def queue_level(queue: RqQueue, workers: int) -> QueueLevel:
    return QueueLevel(
        waiting=queue.count,
        started=queue.started_job_registry.get_job_count(cleanup=False),
        scheduled=queue.scheduled_job_registry.get_job_count(cleanup=False),
        failed=queue.failed_job_registry.get_job_count(cleanup=False),
        oldest_s=_oldest_s(queue),
        workers=workers,
    )


def _oldest_s(queue: RqQueue) -> float | None:
    first = queue.get_jobs(0, 1)
    if not first or first[0].enqueued_at is None:  # taken meanwhile
        return None
    since = first[0].enqueued_at
    return max(0.0, (utc_now() - (since if since.tzinfo else since.replace(tzinfo=UTC))).total_seconds())


def failure_classes(queues: Sequence[RqQueue]) -> Mapping[str, int]:
    """Only classes: the messages of foreign errors may quote what they were about."""
    found: Counter[str] = Counter()
    for queue in queues:
        ids = queue.failed_job_registry.get_job_ids(end=_MOST_FAILURES - 1, desc=True, cleanup=False)
        jobs = Job.fetch_many(ids, connection=queue.connection, serializer=queue.serializer)
        found.update(_class_of(job) for job in jobs if job is not None)
    return dict(found.most_common())


def _class_of(job: Job) -> str:
    result = job.latest_result()
    lines = (result.exc_string or "").strip().splitlines() if result is not None else []
    if not lines:
        return "unknown"
    matched = next((m for line in reversed(lines) if (m := _ERROR.match(line))), None)
    if matched is None:
        return "unknown"
    inner = matched["message"] or ""
    return inner[:80] if matched["name"] == _FAILED and inner.isidentifier() else matched["name"]


def ask_server(connection: redis.Redis) -> QueueServer:
    before = time.time()
    seconds, micros = _pair(connection.time())
    here = (before + time.time()) / 2
    told = _info(connection, "persistence"), _info(connection, "memory")
    appends, policy, most = told[0].get("aof_enabled"), told[1].get("maxmemory_policy"), told[1].get("maxmemory")
    return QueueServer(
        keeps=None if appends is None else bool(appends),
        evicts=None if policy is None else policy != "noeviction" and bool(most),
        ahead_s=seconds + micros / 1e6 - here,
    )


def _info(connection: redis.Redis, section: str) -> Mapping[str, Any]:
    """Empty where a provider does not allow the question."""
    try:
        found = connection.info(section)
    except ResponseError:
        return {}
    assert isinstance(found, dict)  # redis types the answer of both its clients
    return found


def _pair(answer: Any) -> tuple[int, int]:
    seconds, micros = answer
    return int(seconds), int(micros)
