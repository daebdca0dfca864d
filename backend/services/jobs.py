"""Jobs: choose tasks, and cut them into messages for the workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from backend.core.errors import ConfigError, InputError, LabelStudioNotFound, QueueError
from backend.core.values import JobState, Task, TaskState
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import BATCH, JobLimits, ProjectRow, Store
from backend.services.auditing import Auditing
from backend.services.enlisting import is_streamed, named
from backend.services.projects import Projects, answerable
from backend.services.selection import ALL, Selection, selected_tasks


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs of one installation."""

    store: Store
    labels: Labels
    queue: Queue
    projects: Projects
    auditing: Auditing
    chunk_size: int

    def start_run(
        self,
        project_id: int,
        task_ids: Sequence[int] | None = None,
        *,
        selection: Selection | None = None,
        limits: JobLimits | None = None,
        agent: str | None = None,
        lane: str = "live",
    ) -> int:
        """Queue the selected tasks; returns the job's id. `task_ids` is short for a selection of just these.

        By default that is what the current version lacks. Truth about what is there lives in Label Studio: it is asked
        for tasks without a prediction of the version. Tasks that failed before are tried again. Selections of whole
        projects are read by a worker (`services/enlisting.py`), others here. With another `agent` (NAME or NAME@HASH)
        than the project's, the version is that agent's and does not become the current one. Raises `ConfigError` when
        nothing can be answered, `InputError` for limits that the lane cannot keep, and `AgentUnknown`.
        """
        if selection is None:
            selection = Selection() if task_ids is None else Selection(keep=ALL, task_ids=tuple(task_ids))
        self.queue.ping()
        row = self.projects.sync(self.labels, project_id)
        variables = answerable(row.label_config).variables
        if self.projects.made_by(row, agent).agent.is_student:
            self.projects.question(row, agent)  # whether it has learnt enough is told before anything is queued
        version, agent = self._version(row, agent)
        if lane == BATCH and limits is not None:
            raise InputError("The batch lane keeps no budget and no pace: leave out --lane batch or the limit.")
        self._need_tasks(project_id, selection)
        self.auditing.begin(project_id)
        streamed = selection.to_json() if is_streamed(selection) else None
        job_id = self.store.create_job(project_id, version, "run", agent, lane=lane, selection=streamed, limits=limits)
        if streamed is not None:
            self._have_read(job_id)
            return job_id
        row = replace(row, version=version)
        self._enlist(job_id, selected_tasks(selection, self.labels, self.store, row, variables), selection)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return job_id

    def _have_read(self, job_id: int) -> None:
        try:
            self.queue.enqueue_enlisting(job_id, None)
        except QueueError as error:
            self.store.set_job_state(job_id, JobState.STOPPED, str(error))
            raise

    def _version(self, row: ProjectRow, agent: str | None) -> tuple[str, str | None]:
        """The version of a run, and its agent (name@hash) where that is not the project's own."""
        current = _version(row)
        if agent is None:
            return current, None
        chosen = self.projects.agents.find(agent)
        version = self.projects.note_version(row, chosen.reference)
        return (current, None) if version in (None, current) else (str(version), chosen.reference)

    def _need_tasks(self, project_id: int, selection: Selection) -> None:
        """Raises `LabelStudioNotFound` where a task that was named does not exist."""
        named = set(selection.task_ids or ())
        unknown = sorted(named - set(self.labels.task_ids(project_id, ids=sorted(named)))) if named else []
        if unknown:
            raise LabelStudioNotFound(f"Project {project_id} has no task {unknown[0]}: check the task ids.")

    def _enlist(self, job_id: int, tasks: Iterator[tuple[Task, bool]], selection: Selection) -> None:
        for absent, group in groupby(tasks, key=itemgetter(1)):
            self.store.enlist(job_id, (task for task, _ in group), absent=absent, anew=selection.asks_anew)

    def auto_start(self, project_id: int, task_ids: Sequence[int]) -> int | None:
        """`start_created` for the project as it is in Label Studio now."""
        return start_created(self.store, self.queue, self.projects.sync(self.labels, project_id), task_ids)

    def start(self, project_id: int, version: str, kind: str, tasks: Iterable[Task]) -> int:
        """A job over these tasks; returns its id."""
        job_id = self.store.create_job(project_id, version, kind)
        self.store.enlist(job_id, tasks, absent=False)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return job_id


def start_created(store: Store, queue: Queue, row: ProjectRow, task_ids: Sequence[int]) -> int | None:
    """A job over tasks that were just created: a worker reads them, and looks first whether the project is still as it
    is known here. None where nothing begins by itself, or nothing can be answered."""
    if row.version is None or not row.auto_start:
        return None
    job_id = store.create_job(row.id, row.version, "webhook", selection=named(task_ids))
    queue.enqueue_enlisting(job_id, None)  # where that fails, the sweeper does it
    return job_id


def enqueue_job(store: Store, queue: Queue, job_id: int, *, chunk_size: int, interactive: bool) -> None:
    """Cut what a job has queued into messages of `chunk_size` task ids; one of the batch lane gets its next step."""
    store.set_job_state(job_id, JobState.QUEUED)
    if _in_batches(store, job_id):
        queue.enqueue_batch_step(job_id)
        return
    queued = store.job_task_ids(job_id, [TaskState.QUEUED])
    chunks = [queued[i : i + chunk_size] for i in range(0, len(queued), chunk_size)]
    for chunk in chunks or [[]]:  # an empty message still writes back what is due and ends the job
        queue.enqueue_chunk(job_id, chunk, interactive=interactive)


def enqueue_tasks(store: Store, queue: Queue, job_id: int, task_ids: Sequence[int]) -> None:
    """A message for some tasks of a job that no message names; one of the batch lane looks for them itself."""
    if _in_batches(store, job_id):
        queue.enqueue_batch_step(job_id)
    else:
        queue.enqueue_chunk(job_id, task_ids, interactive=False)


def _in_batches(store: Store, job_id: int) -> bool:
    job = store.job(job_id)
    return job is not None and job.lane == BATCH


def _version(row: ProjectRow) -> str:
    if row.version is None:
        raise ConfigError(f"Nothing in the labeling config can be pre-annotated: {'; '.join(row.refusals)}.")
    return row.version
