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
from backend.core.log_fields import only_log_fields
from backend.ports.meters import MESSAGE_SECONDS, MESSAGES
from backend.services.summaries import chunk_in_numbers
from backend.settings import load_settings
from backend.wiring import Parts

_log = logging.getLogger(__name__)


def annotate_chunk(job_id: int, task_ids: list[int]) -> None:
    """Annotate these tasks of a job. Safe to run twice."""
    message = get_current_job()
    started = time.monotonic()
    with _parts(
        "annotate_chunk", interactive=message is not None and message.origin == INTERACTIVE, job=job_id
    ) as parts:
        parts.chunk_worker.work(job_id, task_ids, claimant=message.id if message else "direct")
        extra = {"tasks": len(task_ids), "seconds": round(time.monotonic() - started, 2)}
        _log.info("chunk done", extra={**extra, **chunk_in_numbers(parts.meters.here())})


def enlist(job_id: int) -> None:
    """Read the job's next tasks and queue them."""
    message = get_current_job()
    with _parts("enlist", job=job_id) as parts:
        parts.need_key()
        parts.enlister.work(job_id, claimant=message.id if message else "direct")


def write_back(project_id: int) -> None:
    """Write back what the chunks had to leave."""
    with _parts("write_back", project=project_id) as parts:
        parts.queue.write_back_started(project_id)
        parts.chunk_worker.write_back(project_id)


def batch_step(job_id: int, after: int = 0) -> None:
    """Look at the batches of a job, and do what there is to do. Safe to run twice."""
    with _parts("batch_step", job=job_id) as parts:
        parts.batch_lane.step(job_id, after)


def check_project(project_id: int) -> None:
    """Compare a project with Label Studio."""
    with _parts("check_project", project=project_id) as parts:
        parts.truth.check(project_id)


def look_at_annotations(project_id: int, task_ids: list[int], annotation_ids: list[int]) -> None:
    """Compare what was submitted for these tasks. Safe to run twice."""
    with _parts("look_at_annotations", project=project_id) as parts:
        parts.need_key()
        parts.verifier.look(project_id, task_ids, annotation_ids)


def catch_up(project_id: int) -> None:
    """Read what changed among a project's annotations. Safe to run twice."""
    with _parts("catch_up", project=project_id) as parts:
        parts.need_key()
        parts.verifier.keep_up(project_id)


def refit(project_id: int) -> None:
    """Fit a project's scores again, and bring better ones into use. Safe to run twice."""
    with _parts("refit", project=project_id) as parts:
        parts.need_key()
        parts.queue.refit_started(project_id)
        parts.rescoring.work(project_id)


def sync_project(project_id: int) -> None:
    """Read a project again and align its version everywhere."""
    with _parts("sync_project", project=project_id) as parts:
        parts.need_key()
        parts.queue.sync_started(project_id)
        parts.projects.sync(parts.labels, project_id)


def auto_start(project_id: int, task_ids: list[int]) -> None:
    """Pre-annotate tasks that were just created."""
    with _parts("auto_start", project=project_id) as parts:
        parts.jobs.auto_start(project_id, task_ids)


class MessageFailed(Exception):
    """A message failed. What is told of it is the class of the error: RQ keeps the text in Redis and logs it."""


@contextmanager
def _parts(work: str, *, interactive: bool = False, **ids: int) -> Iterator[Parts]:
    """The parts for one message. An error is logged as one line here, and RQ tries again later."""
    message = get_current_job()
    parts, started = Parts(load_settings(), interactive=interactive, stopping=stopping.asked), time.monotonic()
    with only_log_fields(message=message.id if message else "direct", **ids):
        result = "failed"
        try:
            yield parts
            result = "done"
        except PrelabelError as error:
            _log.error("a queue message failed", extra={"reason": error.for_log, "error": type(error).__name__})
            raise MessageFailed(type(error).__name__) from None
        except Exception as error:  # noqa: BLE001  - the worker's unit of work
            _log.exception("a queue message failed by an internal error", extra={"error": type(error).__name__})
            raise MessageFailed(type(error).__name__) from None
        finally:
            parts.meters.add(MESSAGES, work, result)
            parts.meters.add(MESSAGE_SECONDS, work, by=time.monotonic() - started)
            parts.meters.flush()
