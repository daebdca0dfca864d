"""Jobs: choose tasks, and cut them into messages for the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.core.errors import ConfigError, LabelStudioNotFound, QueueError
from backend.core.values import JSON, JobState, TaskState
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import BATCH, ProjectRow, Store
from backend.services.enlisting import MISSING
from backend.services.projects import Projects, answerable


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs of one installation."""

    store: Store
    labels: Labels
    queue: Queue
    projects: Projects
    chunk_size: int

    def start_run(
        self,
        project_id: int,
        task_ids: Sequence[int] | None = None,
        *,
        agent: str | None = None,
        lane: str = "live",
    ) -> int:
        """Queue just `task_ids`, or have a worker read what the current version lacks; returns the job's id. With
        another `agent` (NAME or NAME@HASH) than the project's, the version is that agent's and does not become the
        current one.

        Truth about what is there lives in Label Studio: it is asked for tasks without a prediction of the version.
        Tasks that failed before are tried again (`services/enlisting.py`). Raises `ConfigError` when nothing can be
        answered, and `AgentUnknown`.
        """
        self.queue.ping()
        row = self.projects.sync(self.labels, project_id)
        variables = answerable(row.label_config).variables
        version, agent = self._version(row, agent)
        if task_ids is None:
            return self._have_read(project_id, version, MISSING, agent=agent, lane=lane)
        job_id = self.store.create_job(project_id, version, "run", agent, lane=lane)
        tasks = list(self.labels.tasks(project_id, variables, ids=task_ids))
        unknown = sorted(set(task_ids) - {t.id for t in tasks})
        if unknown:
            self.store.set_job_state(job_id, JobState.STOPPED, "unknown tasks")
            raise LabelStudioNotFound(f"Project {project_id} has no task {unknown[0]}: check the task ids.")
        self.store.enlist(job_id, tasks, absent=False)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return job_id

    def _have_read(
        self, project_id: int, version: str, selection: Mapping[str, JSON], *, agent: str | None, lane: str
    ) -> int:
        job_id = self.store.create_job(project_id, version, "run", agent, lane=lane, selection=selection)
        try:
            self.queue.enqueue_enlisting(job_id, None)
        except QueueError as error:
            self.store.set_job_state(job_id, JobState.STOPPED, str(error))
            raise
        return job_id

    def _version(self, row: ProjectRow, agent: str | None) -> tuple[str, str | None]:
        """The version of a run, and its agent (name@hash) where that is not the project's own."""
        current = _version(row)
        if agent is None:
            return current, None
        chosen = self.projects.agents.find(agent)
        version = self.projects.note_version(row, chosen.reference)
        return (current, None) if version in (None, current) else (str(version), chosen.reference)

    def auto_start(self, project_id: int, task_ids: Sequence[int]) -> int | None:
        """A job over tasks that were just created; None when the config cannot be answered."""
        row = self.projects.sync(self.labels, project_id)
        if row.version is None or not row.auto_start:
            return None
        variables = answerable(row.label_config).variables
        job_id = self.store.create_job(project_id, row.version, "webhook")
        self.store.enlist(job_id, self.labels.tasks(project_id, variables, ids=task_ids), absent=False)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
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
