"""The store: what may not be lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from backend.core.scorings import shown_version
from backend.core.values import JSON, JobState, Outcome, Prediction, Task, TaskState, Usage
from backend.ports.agents import RegisteredAgents
from backend.ports.audits import Audits
from backend.ports.batches import Batches
from backend.ports.embeddings import Vectors
from backend.ports.golden import Golden
from backend.ports.ledger import Ledger
from backend.ports.model import Capabilities
from backend.ports.overview import Overview
from backend.ports.own_tabs import OwnTabs
from backend.ports.replies import Replies
from backend.ports.scorings import Scorings
from backend.ports.upkeep import Upkeep
from backend.ports.verifications import Verifications

READING = (JobState.ENLISTING, JobState.QUEUED, JobState.RUNNING)  # states of a job in which its tasks are read
HALTED = (JobState.PAUSED, JobState.CANCELLED, JobState.STOPPED)  # in which none of its tasks is asked
BATCH = "batch"  # the lane of a job that goes through the endpoint's batch API


@dataclass(frozen=True, kw_only=True)
class ProjectRow:
    """What is remembered of a project, so that `/setup` answers without asking Label Studio."""

    id: int
    label_config: str
    instructions: str
    version: str | None  # the current version string; None: the config cannot be answered
    auto_start: bool  # TASKS_CREATED starts pre-annotation by itself
    refusals: tuple[str, ...] = ()
    agent: str | None = None  # that a user chose; None: the one of the settings
    extra_agent: str | None = None  # that Label Studio's extra params name: goes before the other
    agent_problem: str | None = None  # why what the extra params say of an agent is not followed: one sentence


@dataclass(frozen=True, kw_only=True)
class Record:
    """One task under one version: its state, its answer, and whether Label Studio has it."""

    id: int
    project_id: int
    task_id: int
    version: str
    job_id: int | None
    state: TaskState
    data: Mapping[str, JSON]
    data_hash: str
    result: tuple[Mapping[str, JSON], ...]
    score: float | None
    # "none", "pending", "claimed" (a writer has it), "handed" (in a /predict answer), "written"; or "withheld", which a
    # prediction of the blind audit is
    delivery: str
    delivered_at: datetime | None
    rewrite: bool  # Label Studio may hold an older prediction of this version: replace it
    error: str | None
    take: int = 0  # how often the task was asked anew
    revision: int = 0  # the fit that its score is by; 0: the model's own
    examples: tuple[int, ...] = ()  # verified tasks that stood in its prompt, in their order there

    @property
    def task(self) -> Task:
        return Task(id=self.task_id, project_id=self.project_id, data=self.data)

    @property
    def prediction(self) -> Prediction:
        return Prediction(task_id=self.task_id, model_version=self.shown_version, result=self.result, score=self.score)

    @property
    def shown_version(self) -> str:
        """The version under which Label Studio has it, or is to have it."""
        return shown_version(self.version, self.revision)


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """What a job may spend, and how fast. None: not limited."""

    budget_tokens: int | None = None  # prompts and answers
    budget_usd: float | None = None
    per_minute: int | None = None  # model calls


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job: a set of tasks to be annotated under one version."""

    id: int
    project_id: int
    version: str
    kind: str  # "run", "predict" or "webhook"
    state: JobState
    total: int  # its tasks; once it is done, those that no later job has taken over
    created_at: datetime
    finished_at: datetime | None
    reason: str | None  # why it is paused or stopped, or ended with fewer tasks than it began with
    agent: str | None = None  # name@hash; None: the project's own
    paused_by: str | None = None  # "person", "budget", or "fault": something that may be well again by itself
    lane: str = "live"  # or BATCH: through the endpoint's batch API
    budget_tokens: int | None = None  # most tokens that it may spend, prompts and answers
    budget_usd: float | None = None
    per_minute: int | None = None  # most model calls a minute
    selection: Mapping[str, JSON] | None = None  # which tasks a worker reads for it; None: it was given them
    reading: bool = False  # not all of them have been read yet; those that have been are worked on meanwhile
    read_to: int | None = None  # the highest id of a task that was read; None: none yet
    taken_over_by: tuple[int, ...] = ()  # later jobs that enlisted some of its tasks

    @property
    def has_budget(self) -> bool:
        return self.budget_tokens is not None or self.budget_usd is not None

    @property
    def is_limited(self) -> bool:
        return self.has_budget or self.per_minute is not None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Sums over the records of a project's version or of a job."""

    states: Mapping[str, int] = field(default_factory=dict)
    deliveries: Mapping[str, int] = field(default_factory=dict)  # "outdated": waiting, of a version no longer written
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # control -> label -> n
    rejected: Mapping[str, int] = field(default_factory=dict)  # answer outside the label set -> n
    steps: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)  # what was noted of the tasks -> n, the most frequent
    methods: Mapping[str, int] = field(default_factory=dict)  # confidence method -> controls that it scored
    errors: Mapping[str, int] = field(default_factory=dict)  # error class -> n
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # state -> error class -> n
    scores: tuple[int, ...] = ()  # of answered tasks, in ten equal bins from 0 to 1; empty: none has a score
    latency: Mapping[str, float] = field(default_factory=dict)  # "p50", "p90", "p99" of a call, in s, to within 5 %
    usage: Usage = field(default_factory=Usage)

    @property
    def unfinished(self) -> int:
        return self.states.get("queued", 0) + self.states.get("running", 0)

    @property
    def outdated(self) -> int:
        """Answers that are not written, because the labeling config, the instructions or the agent changed since."""
        return self.deliveries.get("outdated", 0)

    @property
    def undelivered(self) -> int:
        return self.deliveries.get("pending", 0) + self.deliveries.get("claimed", 0)


class Store(
    Replies,
    RegisteredAgents,
    Overview,
    Batches,
    Ledger,
    Upkeep,
    Audits,
    Vectors,
    Verifications,
    Golden,
    Scorings,
    OwnTabs,
    Protocol,
):
    """What may not be lost. Raises `StoreError`."""

    def migrate(self) -> None: ...

    def ping(self) -> str:
        """Which database it is, as a URL without user and password; raises when it does not answer."""
        ...

    def project(self, project_id: int) -> ProjectRow | None: ...

    def save_project(self, row: ProjectRow) -> None: ...

    def versions(self) -> list[str]:
        """The current versions of all projects."""
        ...

    def create_job(
        self,
        project_id: int,
        version: str,
        kind: str,
        agent: str | None = None,
        *,
        lane: str = "live",
        selection: Mapping[str, JSON] | None = None,
        limits: JobLimits | None = None,
    ) -> int:
        """An empty job; returns its id. `agent` (name@hash) where it is not the project's own. With a `selection` its
        tasks are still to be read (`services/enlisting.py`). It is there with its `limits` or not at all."""
        ...

    def set_read_to(self, job_id: int, task_id: int) -> None:
        """All of the job's tasks up to this id have been read, enlisted and queued. It never goes back."""
        ...

    def end_reading(self, job_id: int) -> None:
        """All of the job's tasks have been read: from now on it ends when they are finished."""
        ...

    def reading_jobs(self) -> list[JobRow]:
        """The jobs whose tasks are being read, or should be."""
        ...

    def set_job_limits(self, job_id: int, limits: JobLimits) -> None: ...

    def enlist(
        self, job_id: int, tasks: Iterable[Task], *, absent: bool, hold_s: float = 0.0, anew: bool = False
    ) -> None:
        """Add tasks to a job. Those that it has already stay as they are.

        Queued are the tasks without a record, with other data than before, and with a failed or skipped one. An
        answer that is there is kept and not paid for again; where `absent` says that Label Studio does not hold it,
        it is offered for delivery again. `hold_s` keeps the write-back away that long, because somebody waits for
        the answer in a request. With `anew` what is answered is queued too, to be given a new answer; once a job,
        however often it is enlisted.
        """
        ...

    def renew(self, job_id: int, tasks: Iterable[Task]) -> list[int]:
        """Give those of the job's tasks other data that have other data now: they are queued in it again, whatever was
        answered from the old. Returns their ids; messages for them are the caller's. A job that was done is queued
        again with them; in another state it stays in that."""
        ...

    def failed_task_ids(self, project_id: int, version: str, *, after: int = 0, up_to: int | None = None) -> list[int]:
        """Tasks that another run may do better on: failed, skipped because the model's window was too short, or left
        queued by a job that ended. Of those above the id `after`, up to `up_to` where that is given, ascending."""
        ...

    def task_ids_below(self, project_id: int, version: str, score: float) -> Iterator[int]:
        """Finished tasks whose score under the version is lower, ascending."""
        ...

    def scores(self, project_id: int, version: str) -> Iterator[tuple[int, float | None]]:
        """Task and score of all that the version has finished, ascending; None where there is no answer that could be
        right (failed, skipped, unreadable), and where the answer has no score."""
        ...

    def answered_versions(self, project_id: int) -> list[str]:
        """The versions that answered tasks of the project, the newest first."""
        ...

    def answer_pairs(
        self, project_id: int, first: str, second: str
    ) -> Iterator[tuple[int, Sequence[Mapping[str, JSON]], Sequence[Mapping[str, JSON]]]]:
        """Task id and both results of tasks that both versions answered from the same data. Ascending."""
        ...

    def paid_sample(self, project_id: int, version: str, limit: int) -> list[tuple[Record, Usage, float]]:
        """The newest answered tasks of which every reply was paid for: what that took, and the seconds."""
        ...

    def requeue(self, job_id: int, states: Sequence[TaskState], *, into: int | None = None) -> int:
        """Queue again the job's tasks in these states, which are finished ones; how many that were. A job that has
        ended is queued again with them; or they become tasks of the job `into`, and theirs stays as it is."""
        ...

    def job(self, job_id: int) -> JobRow | None: ...

    def jobs(self, project_id: int | None = None, limit: int = 20) -> list[JobRow]: ...

    def job_task_ids(self, job_id: int, states: Sequence[TaskState]) -> list[int]: ...

    def set_job_state(self, job_id: int, state: str, reason: str | None = None) -> bool:
        """Whether it was a state from which this one is reached: else nothing changes."""
        ...

    def pause_job(self, job_id: int, reason: str, *, by: str) -> bool:
        """Pause a job that is queued or running; `by` is "person", "budget" or "fault". Whether it was."""
        ...

    def resume_job(self, job_id: int) -> bool:
        """A paused job is queued again; whether it was paused. Messages for its tasks are the caller's."""
        ...

    def owners(self, project_id: int, version: str, task_ids: Sequence[int]) -> list[JobRow]:
        """The jobs to which the records of these tasks belong now: a later job takes over what it enlists again."""
        ...

    def finish_job_if_done(self, job_id: int) -> bool:
        """End the job when all its tasks are read and enlisted and every record that is still its own is finished."""
        ...

    def claim(
        self, version: str, project_id: int, task_ids: Sequence[int], claimant: str, *, alike: bool = False
    ) -> list[Record]:
        """Mark the queued records of these tasks as running under `claimant` and return them.

        `alike` adds those of the same jobs that show the same data: only where all of them are in one hand does one
        call answer them all.

        A record that runs under the same claimant, or has run for longer than a chunk may, was left by a worker that
        died: it is claimed again.
        """
        ...

    def claim_further(self, job_id: int, claimant: str, limit: int) -> list[Record]:
        """Claim about `limit` more of the queued records of a job that is running, and those that show the same data.
        Nothing is claimed of a job in another state."""
        ...

    def give_back(self, job_id: int, claimant: str) -> None:
        """What an earlier try of the same message left running, whichever tasks these are, is queued again."""
        ...

    def release(self, record_ids: Sequence[int]) -> None:
        """Give records back unasked: running -> queued."""
        ...

    def save_outcomes(self, outcomes: Sequence[tuple[int, str, Outcome]]) -> None:
        """Store answers the moment they are there: (record id, data hash, outcome). All are stored, or none; but one
        made from data that has changed meanwhile is not taken."""
        ...

    def add_usage(self, record_id: int, usage: Usage, latency_s: float) -> None:
        """What was paid for a task that has no outcome yet."""
        ...

    def records(self, project_id: int, version: str, task_ids: Sequence[int]) -> dict[int, Record]: ...

    def hand_over(self, record_ids: Sequence[int], *, lost_before: datetime) -> set[int]:
        """Claim finished records for a `/predict` answer; returns those that were got.

        These are the unwritten ones, and those delivered before `lost_before`: Label Studio, which asks for them,
        lacks them. Two requests never get the same record.
        """
        ...

    def end_hold(self, record_ids: Sequence[int]) -> None: ...

    def claim_deliveries(self, project_id: int, version: str, limit: int) -> list[Record]:
        """The next finished records that Label Studio does not have; marks them claimed."""
        ...

    def set_delivery(self, record_ids: Sequence[int], delivery: str, *, in_doubt: bool = False) -> None:
        """Of records that are being delivered, or were. `in_doubt`: what an earlier writer sent may still arrive
        beside what was written now, so that `Upkeep.in_doubt` names them."""
        ...

    def doubt_deliveries(self, record_ids: Sequence[int]) -> None:
        """Somebody else may have written these too: pending again, replacing what is there."""
        ...

    def set_deleted(self, record_ids: Sequence[int]) -> None: ...

    def set_refused(self, record_id: int, message: str) -> None:
        """Label Studio takes this prediction in no form: failed, and not offered again until the task is re-run.

        The stored reply that it was made from is forgotten, so that such a run asks the model.
        """
        ...

    def unclaim_deliveries(self, project_id: int) -> int:
        """Claimed but unwritten, left by a writer that died: pending again. Only under the writer's lock."""
        ...

    def due_deliveries(self, project_id: int, version: str) -> int:
        """How many `claim_deliveries` would find now."""
        ...

    def undelivered(self, project_id: int, version: str) -> int:
        """How many finished records Label Studio does not have: due, held back, or with a writer."""
        ...

    def counts(self, project_id: int, *, version: str | None = None, job_id: int | None = None) -> Counts: ...

    def progress(self, job_id: int) -> Counts:
        """Only the states and deliveries of a job: cheap enough to ask every second."""
        ...

    def calls(self, project_id: int) -> int:
        """Model calls that were answered for the project, over all versions."""
        ...

    def add_event(self, project_id: int | None, action: str, task_ids: Sequence[int]) -> None: ...

    def event_counts(self, project_id: int) -> dict[str, int]: ...

    def capabilities(self, endpoint: str, model: str) -> Capabilities | None: ...

    def save_capabilities(self, endpoint: str, model: str, capabilities: Capabilities) -> None: ...
