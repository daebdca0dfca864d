"""A whole installation in one process: Label Studio, queue and model in memory, the store in SQLite's memory."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from backend.adapters.sql.store import SqlStore
from backend.adapters.templates import read_template
from backend.core.audit import AuditRule
from backend.core.errors import ModelError, PrelabelError
from backend.core.values import Agent, Prediction, Reply, Request, Usage
from backend.ports.embeddings import Embedder
from backend.ports.governor import Levels
from backend.ports.model import Model
from backend.ports.store import JobRow
from backend.services.annotate import Caller
from backend.services.auditing import Auditing
from backend.services.batch_lane import BatchLane
from backend.services.budgeted_model import Price
from backend.services.budgets import budgeted
from backend.services.cached_model import CachedModel
from backend.services.chunks import ChunkWorker
from backend.services.enlisting import Enlister
from backend.services.golden_making import GoldenMaking
from backend.services.jobs import Jobs
from backend.services.learning import Learning
from backend.services.leaving_out import LeavingOut
from backend.services.predict import Predictor
from backend.services.projects import Projects
from backend.services.rescoring import Rescoring
from backend.services.same_settings import SameSettings, fingerprints
from backend.services.sweeper import Sweeper
from backend.services.truth import Truth
from backend.services.verifying import Verifier
from backend.services.writeback import Writer
from backend.settings import Settings
from backend.wiring import Parts
from tests.fakes.function_model import FunctionModel
from tests.fakes.memory_batches import MemoryBatches
from tests.fakes.memory_governor import MemoryGovernor
from tests.fakes.memory_labels import MemoryLabels
from tests.fakes.memory_media import MemoryMedia
from tests.fakes.memory_meters import MemoryMeters
from tests.fakes.memory_queue import MemoryQueue, Message
from tests.fakes.memory_service import MemoryService

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="positive" hint="praise"/><Choice value="negative" hint="complaint"/></Choices></View>'
)
PROMPTS = Path(__file__).parents[2] / "prompts"
AGENT = Agent(name="tests", model="a-model", template="default.v1", reasks=0, confidence="logprob")
USAGE = Usage(prompt_tokens=10, completion_tokens=3, calls=1)

Answer = Callable[[Request], "Reply | ModelError"]

_ENDPOINT = "http://model/v1"


class HandClock:
    """A clock that only moves when it is told to, or slept on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.slept: list[float] = []
        self.while_sleeping: Callable[[], object] = lambda: None

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.while_sleeping()

    async def sleep_async(self, seconds: float) -> None:
        self.slept.append(seconds)


def replying(text: str, **changes: Any) -> Reply:
    return Reply(**{"text": text, "finish_reason": "stop", "usage": USAGE, "model": "a-model", **changes})


def by_mood(request: Request) -> Reply:
    """ "negative" where the data says "bad", else "positive"."""
    data = request.messages[-1].content.partition("Annotate the data above")[0]
    return replying(json.dumps({"sentiment": "negative" if "bad" in data else "positive"}))


class Installation:
    """The parts over memory. `answer` is the model; messages wait in `queue` until `work_off`."""

    def __init__(
        self,
        answer: Answer = by_mood,
        *,
        store: SqlStore | None = None,
        agent: Agent = AGENT,
        concurrency: int = 4,
        chunk_size: int = 2,
        deadline_s: float = 1.0,
        cached: bool = False,
        audit: AuditRule = AuditRule(on=False),  # noqa: B008  - frozen
    ) -> None:
        self.cached = cached
        self.price: Price = lambda model, prompt, answer: None
        self.embedder: Embedder | None = None
        self.stopping = False  # whether the worker is to begin nothing more
        self.clock = HandClock()
        self.store = store or memory_store(self.clock)
        self.labels, self.queue, self.model = MemoryLabels(), MemoryQueue(), FunctionModel(answer)
        self.media, self.meters, self.governor = MemoryMedia(), MemoryMeters(), MemoryGovernor()
        source = read_template(PROMPTS, agent.template)
        self.projects = Projects(store=self.store, agent=agent, template_source=source)
        self.service = MemoryService()
        here = fingerprints(agent, template_source=source, database=self.store.place, endpoint=_ENDPOINT)
        self.same_settings = SameSettings(queue=self.queue, service=self.service, here=here)
        self.auditing = Auditing(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            rule=audit,
            clock=self.clock,
            secret=lambda: "secret",
        )
        self.jobs = Jobs(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            auditing=self.auditing,
            chunk_size=chunk_size,
        )
        self.enlister = Enlister(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            auditing=self.auditing,
            chunk_size=chunk_size,
        )
        self.writer = Writer(store=self.store, labels=self.labels, queue=self.queue)
        self.worker = ChunkWorker(
            store=self.store,
            projects=self.projects,
            writer=self.writer,
            queue=self.queue,
            caller=self.caller,
            concurrency=concurrency,
            stopping=lambda: self.stopping,
        )
        self.truth = Truth(store=self.store, labels=self.labels, queue=self.queue, clock=self.clock, jobs=self.jobs)
        self.learning = Learning(store=self.store, queue=self.queue, clock=self.clock)
        self.golden = GoldenMaking(store=self.store, labels=self.labels, queue=self.queue, clock=self.clock)
        self.leaving_out = LeavingOut(store=self.store, queue=self.queue)
        self.verifier = Verifier(
            store=self.store,
            labels=self.labels,
            clock=self.clock,
            annotated=self.auditing.release,
            submitted=self.learning.submitted,
            slice_columns=("language", "lang"),
        )
        self.rescoring = Rescoring(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            writer=self.writer,
            learning=self.learning,
            read=replace(self.verifier, submitted=lambda _: None).catch_up,
            clock=self.clock,
        )
        self.refusal: PrelabelError | None = None  # why the model's endpoint would not answer a probe
        self.sweeper = Sweeper(
            store=self.store,
            queue=self.queue,
            well=lambda _: self.refusal,
            clock=self.clock,
            chunk_size=chunk_size,
        )
        self.batch_endpoint = MemoryBatches(answer)
        self.batch_lane = BatchLane(
            store=self.store,
            projects=self.projects,
            queue=self.queue,
            endpoint=self.batches,
            clock=self.clock,
            scratch=BytesIO,
            cache_is_on=True,
            rounds=3,
            poll_s=30.0,
            chunk_size=chunk_size,
        )
        self.predictor = Predictor(
            store=self.store,
            queue=self.queue,
            projects=self.projects,
            clock=self.clock,
            sleep=self.clock.sleep,
            deadline_s=deadline_s,
            chunk_size=chunk_size,
            waiting=threading.Semaphore(2),
        )

    @asynccontextmanager
    async def caller(self, agent: Agent | None = None, job: JobRow | None = None) -> AsyncIterator[Caller]:
        model: Model = budgeted(self.model, self.store, job, price=self.price, lease_s=60.0)
        if self.cached:
            model = CachedModel(model, self.store, endpoint="http://model/v1", sleep=self.clock.sleep_async)
        yield Caller(
            model=model,
            media=self.media,
            sleep=self.clock.sleep_async,
            random=lambda: 0.0,
            forget=self.store.forget_replies,
            stopping=lambda: self.stopping,
            answers=self._answers,
            embedder=self.embedder,
        )

    async def _answers(self, model: str) -> bool:
        return self.refusal is None

    @asynccontextmanager
    async def batches(self, agent: Agent) -> AsyncIterator[tuple[Caller, MemoryBatches]]:
        async with self.caller(agent) as caller:
            yield caller, self.batch_endpoint

    def project(self, *texts: str, config: str = CONFIG, instructions: str = "") -> tuple[int, list[int]]:
        """A project with these texts as tasks: its id and theirs."""
        number = self.labels.add_project(config, [{"text": text} for text in texts], instructions=instructions)
        return number, sorted(self.labels.projects[number].tasks)

    def raw_tasks(self, project_id: int, task_ids: Sequence[int]) -> list[dict[str, Any]]:
        """Tasks as Label Studio sends them to `/predict`."""
        found = self.labels.projects[project_id]
        return [
            {
                "id": task_id,
                "data": dict(found.tasks[task_id]),
                "predictions": [
                    {"model_version": p.model_version} for p in found.predictions.values() if p.task_id == task_id
                ],
            }
            for task_id in task_ids
        ]

    def handle(self, message: Message) -> None:
        """What the worker does with a message."""
        if message.work == "annotate_chunk":
            job_id, task_ids = message.arguments
            self.worker.work(job_id, task_ids, claimant=message.id)
        elif message.work == "enlist":
            (job_id,) = message.arguments
            self.enlister.work(job_id, claimant=message.id)
        elif message.work == "sync_project":
            self.projects.sync(self.labels, *message.arguments)
        elif message.work == "batch_step":
            self.batch_lane.step(*message.arguments)
        elif message.work == "write_back":
            self.worker.write_back(*message.arguments)
        elif message.work == "check_project":
            self.truth.check(*message.arguments)
        elif message.work == "look_at_annotations":
            self.verifier.look(*message.arguments)
        elif message.work == "refit":
            self.rescoring.work(*message.arguments)
        elif message.work == "catch_up":
            self.verifier.keep_up(*message.arguments)
        else:
            self.jobs.auto_start(*message.arguments)

    def work_off(self) -> int:
        return self.queue.run_all(self.handle)

    def start_run(self, project_id: int, task_ids: Sequence[int] | None = None) -> int:
        """A run of which nothing but the reading of its tasks is done; returns the job's id."""
        job_id = self.jobs.start_run(project_id, task_ids)
        while readings := [m for m in self.queue.messages if m.work == "enlist"]:
            self.queue.messages.remove(readings[0])
            self.handle(readings[0])
        return job_id

    def run(self, project_id: int, task_ids: Sequence[int] | None = None) -> int:
        """A whole run; returns the job's id."""
        job_id = self.start_run(project_id, task_ids)
        self.work_off()
        return job_id

    def version(self, project_id: int) -> str:
        row = self.store.project(project_id)
        assert row is not None
        assert row.version is not None
        return row.version

    def store_answers(self, project_id: int, task_ids: Sequence[int], answers: Sequence[Any]) -> None:
        """What Label Studio does with the `results` of a `/predict` answer (not an interactive one)."""
        assert len(task_ids) == len(answers)
        for task_id, answer in zip(task_ids, answers, strict=True):
            if isinstance(answer, Mapping):
                self.labels.create_prediction(
                    Prediction(
                        task_id=task_id,
                        model_version=answer["model_version"],
                        result=tuple(answer["result"]),
                        score=answer.get("score"),
                    )
                )

    def choices(self, project_id: int) -> dict[int, list[str]]:
        """Task -> the choices of each of its predictions, whatever their version."""
        found = self.labels.projects[project_id]
        return {
            task_id: [
                choice
                for p in found.predictions.values()
                if p.task_id == task_id
                for choice in (p.result[0]["value"]["choices"] if p.result else ["(nothing)"])
            ]
            for task_id in found.tasks
        }

    def parts(self, **settings: Any) -> Parts:
        """These parts for the web application and the commands, with other settings where given."""
        parts = Parts(Settings(**{"label_studio_api_key": "key", "openai_base_url": _ENDPOINT, **settings}))
        shared = (
            "store",
            "queue",
            "labels",
            "projects",
            "jobs",
            "predictor",
            "same_settings",
            "verifier",
            "rescoring",
        )
        for name in shared:
            setattr(parts, name, getattr(self, name))
        vars(parts).update(golden_making=self.golden, leaving_out=self.leaving_out)
        vars(parts).update(meters=self.meters)
        vars(parts.endpoints).update(caller=self.caller, limits=lambda: asyncio.run(self._limits()))
        return parts

    async def _limits(self) -> Levels:
        return {(_ENDPOINT, "a-model"): await self.governor.level("a-model")}


def memory_store(clock: Callable[[], datetime]) -> SqlStore:
    store = SqlStore("sqlite://", clock=clock)
    store.migrate()
    return store
