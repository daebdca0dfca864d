"""What runs on the RQ workers. The processes are in `supervisor.py`.

A queue message is ids. The work functions build their parts anew because each message runs in a fork of the worker,
and connections do not survive one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rq import get_current_job

from backend import stopping
from backend.adapters.rq_queue import INTERACTIVE
from backend.core.errors import PrelabelError
from backend.settings import load_settings
from backend.wiring import Parts

_log = logging.getLogger(__name__)


def annotate_chunk(job_id: int, task_ids: list[int]) -> None:
    """Annotate these tasks of a job. Safe to run twice."""
    message = get_current_job()
    started = time.monotonic()
    with _parts(interactive=message is not None and message.origin == INTERACTIVE) as parts:
        parts.chunk_worker.work(job_id, task_ids, claimant=message.id if message else "direct")
    _log.info(
        "chunk done",
        extra={"job": job_id, "tasks": len(task_ids), "seconds": round(time.monotonic() - started, 2)},
    )


def write_back(project_id: int) -> None:
    """Write back what the chunks had to leave."""
    with _parts() as parts:
        parts.queue.write_back_started(project_id)
        parts.chunk_worker.write_back(project_id)


def check_project(project_id: int) -> None:
    """Compare a project with Label Studio."""
    with _parts() as parts:
        parts.truth.check(project_id)


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
def _parts(*, interactive: bool = False) -> Iterator[Parts]:
    """The parts for one message. An error is logged as one line here and raised, so that RQ tries again later."""
    try:
        yield Parts(load_settings(), interactive=interactive, stopping=stopping.asked)
    except PrelabelError as error:
        _log.error("a queue message failed", extra={"reason": str(error)})
        raise
