"""What a person does to a job: pause, resume, cancel, try again what failed."""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.errors import InputError
from backend.core.values import JobState, TaskState
from backend.ports.queue import Queue
from backend.ports.store import BATCH, JobLimits, JobRow, Store
from backend.services.budgets import raised, what_is_left
from backend.services.jobs import enqueue_job

NO_CHANGE = JobLimits()
_FAILED = (TaskState.FAILED, TaskState.INVALID)


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Raises `InputError` where a job is not in a state for what is wanted."""

    store: Store
    queue: Queue
    chunk_size: int

    def job(self, job_id: int) -> JobRow:
        job = self.store.job(job_id)
        if job is None:
            raise InputError(f"There is no job {job_id}: see `prelabel jobs list`.")
        return job

    def pause(self, job_id: int) -> JobRow:
        """Workers begin no further task of it; calls in flight finish and are kept."""
        if not self.store.pause_job(job_id, "by `prelabel jobs pause`", by="person"):
            raise _cannot(self.job(job_id), "be paused")
        return self.job(job_id)

    def resume(self, job_id: int, limits: JobLimits = NO_CHANGE) -> JobRow:
        """Go on with what is queued; with other limits where they are given. A job that was left while its tasks were
        read goes on with those that were."""
        self.queue.ping()
        job = self.job(job_id)
        if job.state not in (JobState.PAUSED, JobState.ENLISTING):
            raise _cannot(job, "be resumed")
        new = raised(job, limits, self.store.spending(job_id))
        self.store.set_job_limits(job_id, new)
        self.store.resume_job(job_id)
        if job.reading:
            self.queue.enqueue_enlisting(job_id, job.read_to)
        enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=False)
        return self.job(job_id)

    def cancel(self, job_id: int) -> JobRow:
        """For good; what is answered stays, and the rest is left to the next run."""
        job = self.job(job_id)
        if job.state.ended or not self.store.set_job_state(job_id, JobState.CANCELLED, "by `prelabel jobs cancel`"):
            raise _cannot(job, "be cancelled")
        if job.lane == BATCH:  # its next step cancels what is at the endpoint, and keeps what is answered
            self.queue.enqueue_batch_step(job_id)
        return self.job(job_id)

    def retry_failed(self, job_id: int) -> tuple[JobRow, int]:
        """Ask anew what failed or could not be read; also how many tasks that are. Their replies were forgotten.

        Of a job that was cancelled or stopped only these: they become a new job, on what is left of its budget.
        """
        self.queue.ping()
        job = self.job(job_id)
        if job.state is JobState.PAUSED or job.state is JobState.ENLISTING:
            raise InputError(f"Job {job_id} is {job.state}: resume it first.")
        if not self.store.job_task_ids(job_id, _FAILED):
            return job, 0
        again = self._anew(job) if job.state in (JobState.CANCELLED, JobState.STOPPED) else job_id
        queued = self.store.requeue(job_id, _FAILED, into=again if again != job_id else None)
        enqueue_job(self.store, self.queue, again, chunk_size=self.chunk_size, interactive=False)
        return self.job(again), queued

    def _anew(self, job: JobRow) -> int:
        """An empty job like this one, with what is left of its limits; returns its id."""
        limits = what_is_left(job, self.store.spending(job.id))
        return self.store.create_job(job.project_id, job.version, "run", job.agent, lane=job.lane, limits=limits)


def _cannot(job: JobRow, what: str) -> InputError:
    if job.state is JobState.ENLISTING and what == "be paused":
        return InputError(f"Job {job.id} is still being read from Label Studio: cancel it, or wait until it is queued.")
    return InputError(f"Job {job.id} is {job.state} and cannot {what}.")
