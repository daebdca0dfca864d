"""Enlisting: workers read the tasks that a job is about, page by page, and queue them as they come.

Annotation begins with the first page, and no more than a few pages are in memory or ahead in the queue, however large
the project is. A message reads for some seconds and then asks for the next one, which waits behind the tasks that it
has queued. How far the reading is stands in the store: whoever goes on, goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic

from backend.core.errors import ConfigError, LabelStudioError, LabelStudioUnreachable
from backend.core.values import JSON, JobState, Task, TaskState
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import BATCH, READING, JobRow, Store
from backend.services.auditing import Auditing
from backend.services.projects import Projects, answerable
from backend.services.selection import ALL, Selection

_log = logging.getLogger(__name__)

# `jobs.selection` is a selection of the whole project: of the tasks without a prediction of the version, and the
# failed ones, or of all; or it names tasks, {"ids": [[first, last], ...]}: an import's are a range or few.
PAGE = 500  # tasks that are enlisted at once; as many as one request to Label Studio brings
READ_S = 5.0  # of one message; on two cores some thousand tasks


def is_streamed(selection: Selection) -> bool:
    """Whether its tasks come page by page in the order of their ids, so that the reading can go on anywhere."""
    return selection in (Selection(), Selection(keep=ALL))


def named(task_ids: Iterable[int]) -> dict[str, JSON]:
    """What stands in `jobs.selection` for these tasks."""
    ranges: list[list[int]] = []
    for task_id in sorted(set(task_ids)):
        if ranges and task_id == ranges[-1][1] + 1:
            ranges[-1][1] = task_id
        else:
            ranges.append([task_id, task_id])
    return {"ids": ranges}


def still_named(job: JobRow) -> list[int]:
    """Of the tasks that the job's selection names those that were not read yet, ascending."""
    ranges = (job.selection or {}).get("ids", []) if job.reading else []
    after = job.read_to or 0
    return [task_id for first, last in ranges for task_id in range(max(first, after + 1), last + 1)]


def tasks_of(labels: Labels, job: JobRow, variables: Sequence[str], *, shown: str) -> Iterator[Task]:
    """The tasks of the job's selection, in ascending order of their ids, from after `job.read_to` on. `shown`: the
    job's version as Label Studio knows it.

    Raises `ConfigError` for a selection that this release does not read.
    """
    after = job.read_to or 0
    if job.selection == Selection().to_json():
        return labels.tasks(job.project_id, variables, without_version=shown, after=after)
    if job.selection == Selection(keep=ALL).to_json():
        return labels.tasks(job.project_id, variables, after=after)
    if job.selection is not None and set(job.selection) == {"ids"}:
        return labels.tasks(job.project_id, variables, ids=still_named(job))
    raise ConfigError(
        "The job asks for tasks in a way that this worker does not know: run the same release everywhere."
    )


@dataclass(frozen=True, kw_only=True)
class Enlister:
    """What a worker does with a message that asks for a job's tasks to be read. Idempotent."""

    store: Store
    labels: Labels
    queue: Queue
    projects: Projects
    auditing: Auditing
    chunk_size: int
    read_s: float = READ_S

    def work(self, job_id: int, claimant: str) -> None:
        """Read on for a while, giving signs of life under the message's name `claimant`. A job whose tasks cannot be
        read is stopped, with the reason; raises `LabelStudioUnreachable`, `QueueError` and `StoreError`, after which
        it is worth trying again."""
        job = self.store.job(job_id)
        if job is None or job.selection is None or job.state not in READING:
            return
        if not job.reading:  # another try of this message was killed at its very end
            self._enqueue_end(job)
            return
        try:
            with self.queue.at_work(claimant):
                self._read_on(job)
        except LabelStudioUnreachable:
            raise
        except (ConfigError, LabelStudioError) as error:
            _log.error("job stopped", extra={"job": job.id, "reason": error.for_log})
            self.store.set_job_state(job.id, JobState.STOPPED, str(error))

    def _read_on(self, job: JobRow) -> None:
        if job.kind == "webhook" and job.read_to is None:  # who told of the tasks asked Label Studio for nothing
            self.projects.sync(self.labels, job.project_id)
            self.auditing.begin(job.project_id)
        variables, until = self._variables(job), monotonic() + self.read_s
        shown = self.store.shown_version(job.project_id, job.version)
        tasks, after = tasks_of(self.labels, job, variables, shown=shown), job.read_to or 0
        while True:
            page = list(islice(tasks, PAGE))
            read_to = page[-1].id if len(page) == PAGE else None
            task_ids = [task.id for task in page]
            missing = job.selection == Selection().to_json()
            self.store.enlist(job.id, page, absent=missing)
            if missing:
                task_ids += self._enlist_failed(job, variables, after, read_to)
            self._enqueue(job, task_ids)
            if read_to is None:
                self.store.end_reading(job.id)
                self._enqueue_end(job)
                return
            self.store.set_read_to(job.id, read_to)
            after = read_to
            now = self.store.job(job.id)
            if now is None or now.state not in READING:
                return
            if monotonic() >= until:
                self.queue.enqueue_enlisting(job.id, read_to)
                return

    def _enlist_failed(self, job: JobRow, variables: Sequence[str], after: int, read_to: int | None) -> list[int]:
        """Tasks above `after` and up to `read_to` that failed before, whose prediction says so: they are tried again.
        Returns their ids."""
        failed = self.store.failed_task_ids(job.project_id, job.version, after=after, up_to=read_to)
        if failed:
            self.store.enlist(job.id, self.labels.tasks(job.project_id, variables, ids=failed), absent=False)
        return failed

    def _enqueue_end(self, job: JobRow) -> None:
        """A message that writes back what is due and ends the job, or that takes the first step of its batches."""
        if job.lane == BATCH:
            self.store.set_job_state(job.id, JobState.QUEUED)
            self.queue.enqueue_batch_step(job.id)
        else:
            self.queue.enqueue_chunk(job.id, [], interactive=False)

    def _enqueue(self, job: JobRow, task_ids: Sequence[int]) -> None:
        """Messages for those of these tasks that the job has to ask. Batches are made when all are known."""
        if job.lane == BATCH:
            return
        found = self.store.records(job.project_id, job.version, task_ids).values()
        queued = sorted(r.task_id for r in found if r.job_id == job.id and r.state is TaskState.QUEUED)
        self.store.set_job_state(job.id, JobState.QUEUED)
        for start in range(0, len(queued), self.chunk_size):
            self.queue.enqueue_chunk(job.id, queued[start : start + self.chunk_size], interactive=False)

    def _variables(self, job: JobRow) -> Sequence[str]:
        row = self.store.project(job.project_id)
        if row is None:
            raise ConfigError(f"Project {job.project_id} is not known here: run again.")
        return answerable(row.label_config).variables


def revive(store: Store, queue: Queue) -> None:
    """Ask again for the tasks of every job that are still to be read. Where the message is there, nothing is added;
    where it was lost, with Redis or after its last try, the reading goes on."""
    for job in store.reading_jobs():
        queue.enqueue_enlisting(job.id, job.read_to)
