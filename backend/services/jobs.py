"""Jobs: choose tasks, and cut them into messages for the workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.core.errors import ConfigError, LabelStudioNotFound
from backend.core.values import JobState, Task, TaskState
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.projects import Projects, answerable


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs of one installation."""

    store: Store
    labels: Labels
    queue: Queue
    projects: Projects
    chunk_size: int

    def start_run(self, project_id: int, task_ids: Sequence[int] | None = None) -> int:
        """Queue what the current version lacks, or just `task_ids`; returns the job's id.

        Truth about what is there lives in Label Studio: it is asked for tasks without a prediction of the version.
        Tasks that failed before are tried again. Raises `ConfigError` when nothing can be answered.
        """
        self.queue.ping()
        row = self.projects.sync(self.labels, project_id)
        variables = answerable(row.label_config).variables
        version = _version(row)
        job_id = self.store.create_job(project_id, version, "run")
        if task_ids is not None:
            tasks = list(self.labels.tasks(project_id, variables, ids=task_ids))
            unknown = sorted(set(task_ids) - {t.id for t in tasks})
            if unknown:
                self.store.set_job_state(job_id, JobState.STOPPED, "unknown tasks")
                raise LabelStudioNotFound(f"Project {project_id} has no task {unknown[0]}: check the task ids.")
            self.store.enlist(job_id, tasks, absent=False)
        else:
            self.store.enlist(job_id, self.labels.tasks(project_id, variables, without_version=version), absent=True)
            failed = self.store.failed_task_ids(project_id, version)
            self.store.enlist(job_id, self.labels.tasks(project_id, variables, ids=failed), absent=False)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return job_id

    def auto_start(self, project_id: int, task_ids: Sequence[int]) -> int | None:
        """A job over tasks that were just created; None when the config cannot be answered."""
        row = self.projects.sync(self.labels, project_id)
        if row.version is None or not row.auto_start:
            return None
        variables = answerable(row.label_config).variables
        tasks = self.labels.tasks(project_id, variables, ids=task_ids)
        return self.start(project_id, row.version, "webhook", tasks)

    def start(self, project_id: int, version: str, kind: str, tasks: Iterable[Task]) -> int:
        """A job over these tasks; returns its id."""
        job_id = self.store.create_job(project_id, version, kind)
        self.store.enlist(job_id, tasks, absent=False)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return job_id


def enqueue_job(store: Store, queue: Queue, job_id: int, *, chunk_size: int, interactive: bool) -> None:
    """Cut what a job has queued into messages of `chunk_size` task ids."""
    store.set_job_state(job_id, JobState.QUEUED)
    queued = store.job_task_ids(job_id, [TaskState.QUEUED])
    chunks = [queued[i : i + chunk_size] for i in range(0, len(queued), chunk_size)]
    for chunk in chunks or [[]]:  # an empty message still writes back what is due and ends the job
        queue.enqueue_chunk(job_id, chunk, interactive=interactive)


def _version(row: ProjectRow) -> str:
    if row.version is None:
        raise ConfigError(f"Nothing in the labeling config can be pre-annotated: {'; '.join(row.refusals)}.")
    return row.version
