"""Settings -> parts: with `endpoints.py` all that names adapters. Nothing is built before it is asked for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from secrets import token_hex
from tempfile import TemporaryFile

from backend.adapters.clock import utc_now
from backend.adapters.metered import MeteredLabelStudio, MeteredStore
from backend.adapters.metrics import Metrics
from backend.adapters.redis_meters import RedisMeters
from backend.adapters.rq_queue import RedisQueue
from backend.adapters.service import ServiceApi
from backend.adapters.templates import read_template
from backend.core.errors import (
    AgentUnknown,
    ModelError,
    ModelRateLimited,
    ModelTimeout,
    PrelabelError,
    QueueError,
    SettingsError,
)
from backend.core.values import JSON, Agent, Usage
from backend.endpoints import Endpoints
from backend.ports.store import BATCH, JobLimits, JobRow, ProjectRow
from backend.prompting.template_check import check_template
from backend.services.agent_checks import AgentChecks
from backend.services.agent_trials import Trials
from backend.services.auditing import Auditing
from backend.services.batch_lane import BatchLane, check_agent
from backend.services.calibrating import Calibrated, calibrate
from backend.services.certifying import Certifying
from backend.services.chunks import ChunkWorker
from backend.services.comparing import Comparing
from backend.services.connect import WEBHOOK_HEADER, Connection, connect
from backend.services.doctor import Doctor
from backend.services.enlisting import Enlister
from backend.services.estimate import Circumstances, Estimate
from backend.services.estimating import Estimator
from backend.services.golden_making import GoldenMaking
from backend.services.hand import GO_ON_S
from backend.services.improving import Improving
from backend.services.jobs import Jobs
from backend.services.learning import Learning
from backend.services.leaving_out import LeavingOut
from backend.services.message_time import longest_message_s
from backend.services.operation import Operation
from backend.services.predict import Predictor
from backend.services.projects import Projects, answerable
from backend.services.remaining import Remainders
from backend.services.report import Reports
from backend.services.rescoring import Rescoring, known
from backend.services.same_settings import SameSettings, fingerprints
from backend.services.selection import Selection
from backend.services.steering import Steering
from backend.services.summaries import summary
from backend.services.sweeper import Sweeper
from backend.services.truth import Truth
from backend.services.verifying import Verifier
from backend.services.writeback import Writer
from backend.settings import Settings

_WARNING_TIMEOUT_S = 5.0


class Parts:
    """The parts of one process. Make it after any fork: it holds connections.

    `interactive`: somebody waits for what this process does; the model's governor lets its calls go first.
    `stopping`: whether nothing more is to be begun in it.
    """

    def __init__(
        self, settings: Settings, *, interactive: bool = False, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.settings = settings
        self.interactive = interactive
        self.stopping = stopping

    @cached_property
    def meters(self) -> RedisMeters:
        return RedisMeters(self.settings.redis_url)

    @cached_property
    def store(self) -> MeteredStore:
        return MeteredStore(self.settings.database_url, meters=self.meters)

    @cached_property
    def queue(self) -> RedisQueue:
        longest_s = longest_message_s(self.settings.request_timeout_s)
        return RedisQueue(self.settings.redis_url, chunk_timeout_s=longest_s)

    @cached_property
    def labels(self) -> MeteredLabelStudio:
        key = self.settings.label_studio_api_key.get_secret_value()
        return MeteredLabelStudio(self.settings.label_studio_url, key, meters=self.meters)

    @cached_property
    def endpoints(self) -> Endpoints:
        return Endpoints(
            self.settings,
            store=self.store,
            meters=self.meters,
            authorization=self._authorization,
            interactive=self.interactive,
            stopping=self.stopping,
        )

    @cached_property
    def projects(self) -> Projects:
        source = self.template(self.settings.template)
        return Projects(store=self.store, agent=self.settings.to_agent(), template_source=source)

    def template(self, name: str) -> str:
        """The source of a template of the prompts folder. Raises `TemplateError`, also for what it leaves out."""
        source = read_template(self.settings.prompts_dir, name)
        check_template(source)
        return source

    @cached_property
    def started_with(self) -> dict[str, str]:
        """Fingerprints of the settings, for others to compare."""
        source = self.projects.template_source
        return fingerprints(
            self.projects.agent, template_source=source, database=self.store.place, endpoint=self.endpoints.address()
        )

    @cached_property
    def same_settings(self) -> SameSettings:
        secret = self.settings.effective_webhook_secret
        header = {WEBHOOK_HEADER: secret} if secret else {}
        service = ServiceApi(basic_auth=self.settings.basic_auth, webhook_header=header)
        return SameSettings(queue=self.queue, service=service, here=self.started_with)

    @cached_property
    def jobs(self) -> Jobs:
        self.need_key()
        return Jobs(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            auditing=self.auditing,
            chunk_size=self.settings.chunk_size,
        )

    @cached_property
    def auditing(self) -> Auditing:
        return Auditing(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            rule=self.settings.to_audit_rule(),
            clock=utc_now,
            secret=partial(token_hex, 32),
        )

    @cached_property
    def enlister(self) -> Enlister:
        return Enlister(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            auditing=self.auditing,
            chunk_size=self.settings.chunk_size,
        )

    @cached_property
    def steering(self) -> Steering:
        return Steering(store=self.store, queue=self.queue, chunk_size=self.settings.chunk_size)

    @cached_property
    def chunk_worker(self) -> ChunkWorker:
        return ChunkWorker(
            store=self.store,
            projects=self.projects,
            writer=Writer(store=self.store, labels=self.labels, queue=self.queue),
            queue=self.queue,
            caller=self.endpoints.caller,
            concurrency=self.settings.concurrency,
            interactive=self.interactive,
            go_on_s=GO_ON_S,
            stopping=self.stopping,
        )

    @cached_property
    def truth(self) -> Truth:
        return Truth(store=self.store, labels=self.labels, queue=self.queue, clock=utc_now, jobs=self.jobs)

    @cached_property
    def verifier(self) -> Verifier:
        columns = self.settings.slices
        return Verifier(
            store=self.store,
            labels=self.labels,
            clock=utc_now,
            annotated=self.auditing.release,
            submitted=self.learning.submitted,
            slice_columns=columns,
        )

    @cached_property
    def learning(self) -> Learning:
        return Learning(store=self.store, queue=self.queue, clock=utc_now)

    def calibrate(self, project_id: int) -> Calibrated:
        """Register a project's agent with batch calibration. Raises `InputError` and `ConfigError` that say why not."""
        row, version = known(self.store, project_id)
        return calibrate(self.store, row, version, self.projects.made_by(row), answerable(row.label_config))

    @cached_property
    def rescoring(self) -> Rescoring:
        return Rescoring(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            projects=self.projects,
            writer=Writer(store=self.store, labels=self.labels, queue=self.queue),
            learning=self.learning,
            read=replace(self.verifier, submitted=lambda _: None).catch_up,  # a fit asks for no other
            clock=utc_now,
        )

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            store=self.store, queue=self.queue, well=self._well, clock=utc_now, chunk_size=self.settings.chunk_size
        )

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor(
            store=self.store,
            queue=self.queue,
            projects=self.projects,
            clock=utc_now,
            sleep=time.sleep,
            deadline_s=self.settings.predict_deadline_s,
            chunk_size=self.settings.chunk_size,
            waiting=threading.Semaphore(max(1, self.settings.web_threads // 2)),
        )

    @cached_property
    def doctor(self) -> Doctor:
        return Doctor(
            labels=self.labels,
            store=self.store,
            queue=self.queue,
            projects=self.projects,
            model=self.endpoints.describe_model,
            webhook_secret=self.settings.effective_webhook_secret,
            same_settings=self.same_settings,
            has_key=bool(self.settings.label_studio_api_key.get_secret_value()),
            operation=self.operation.checks,
        )

    @cached_property
    def trials(self) -> Trials:
        self.need_key()
        return Trials(
            labels=self.labels,
            projects=self.projects,
            caller=self.endpoints.caller,
            concurrency=self.settings.concurrency,
        )

    @cached_property
    def agent_checks(self) -> AgentChecks:
        return AgentChecks(trials=lambda: self.trials, describe_model=self.endpoints.describe_model)

    @cached_property
    def comparing(self) -> Comparing:
        return Comparing(store=self.store, trials=self.trials, endpoints=self.endpoints)

    @cached_property
    def improving(self) -> Improving:
        return Improving(comparing=self.comparing)

    @cached_property
    def operation(self) -> Operation:
        return Operation(
            store=self.store,
            queue=self.queue,
            limits=self.endpoints.limits,
            endpoint=self.endpoints.address(),
            requests_are_set=self.settings.requests_per_minute is not None,
            tokens_are_set=self.settings.tokens_per_minute is not None,
            logs_content=self.settings.log_content,
            clock=utc_now,
        )

    @cached_property
    def batch_lane(self) -> BatchLane:
        return BatchLane(
            store=self.store,
            projects=self.projects,
            queue=self.queue,
            endpoint=self.endpoints.batches,
            clock=utc_now,
            scratch=TemporaryFile,
            cache_is_on=self.settings.cache_days > 0,
            rounds=self.settings.batch_rounds,
            poll_s=self.settings.batch_poll_s,
            chunk_size=self.settings.chunk_size,
        )

    def _authorization(self) -> str:
        self.need_key()
        return self.labels.authorization()

    def connect(self, project_id: int, backend_url: str, *, auto_start: bool | None) -> Connection:
        self.need_key()
        self.same_settings.need([backend_url])
        connection = connect(
            self.labels,
            self.projects,
            self.store,
            project_id,
            backend_url,
            basic_auth=self.settings.basic_auth,
            webhook_secret=self.settings.effective_webhook_secret,
            auto_start=auto_start,
        )
        self.auditing.begin(project_id)  # before Label Studio asks for the prediction of a task
        return connection

    def start_run(
        self,
        project_id: int,
        selection: Selection | None = None,
        limits: JobLimits | None = None,
        *,
        agent: str | None = None,
        lane: str = "live",
    ) -> int:
        """Queue a run, unless service or workers would make another version of it; returns the job's id."""
        self.need_key()
        if lane == BATCH:
            chosen = self.agent_of(self.store.project(project_id), agent)
            check_agent(chosen)
            self.endpoints.need_batches(chosen)
        self.same_settings.need([backend.url for backend in self.labels.backends(project_id)])
        if limits is not None:
            row = self.store.project(project_id)
            self.endpoints.check_limits(limits, self.agent_of(row, agent))
        return self.jobs.start_run(project_id, selection=selection, limits=limits, agent=agent, lane=lane)

    def agent_of(self, row: ProjectRow | None, agent: str | None = None) -> Agent:
        """A project's agent, or another one by name; that of the settings for a project that is not known yet."""
        if agent is not None:
            return self.projects.agents.find(agent).agent
        return self.projects.made_by(row).agent if row is not None else self.projects.agent

    def estimate(self, project_id: int, selection: Selection, limits: JobLimits, agent: str | None = None) -> Estimate:
        """What a run would take. Writes nothing and calls no model."""
        self.need_key()
        project = self.labels.project(project_id)
        row = self.projects.look(project_id, project.label_config, project.instructions)
        question = self.projects.question(row, agent)
        self.endpoints.check_limits(limits, question.agent)
        endpoint = self.endpoints.address(question.agent)
        around = Circumstances(
            endpoint=endpoint,
            price=partial(self.endpoints.price, endpoint=endpoint),
            level=None if question.agent.is_student else asyncio.run(self.endpoints.level(question.agent)),
            capabilities=self.endpoints.capabilities(question.agent),
            limits=limits,
            concurrency=self.settings.concurrency,
            workers=self._bulk_workers(),
        )
        row = replace(row, version=question.version)
        return Estimator(labels=self.labels, store=self.store, around=around).estimate(selection, row, question)

    def _bulk_workers(self) -> int:
        try:
            return self.queue.bulk_workers()
        except QueueError:
            return 0

    def summary(self, job: JobRow) -> dict[str, JSON]:
        """A job in numbers, with what it cost."""
        agent = self.agent_of(self.store.project(job.project_id), job.agent)
        return summary(self.store, job, lambda usage: self.endpoints.cost(agent.model, usage, agent))

    @cached_property
    def certifying(self) -> Certifying:
        return Certifying(store=self.store, labels=self.labels)

    @cached_property
    def golden_making(self) -> GoldenMaking:
        self.need_key()
        return GoldenMaking(store=self.store, labels=self.labels, queue=self.queue, clock=utc_now)

    @cached_property
    def leaving_out(self) -> LeavingOut:
        return LeavingOut(store=self.store, queue=self.queue)

    @cached_property
    def remainders(self) -> Remainders:
        return Remainders(store=self.store, labels=self.labels)

    @cached_property
    def reports(self) -> Reports:
        has_key = bool(self.settings.label_studio_api_key.get_secret_value())
        labels = self.labels if has_key else None
        return Reports(store=self.store, labels=labels, cost=self._cost_of_version, clock=utc_now)

    def _cost_of_version(self, project_id: int, version: str, usage: Usage) -> float | None:
        """None where it is not known which agent made it, or at what price."""
        made_by = {one.version: one.agent for one in self.store.project_versions(project_id=project_id)}
        try:
            agent = self.projects.agents.find(made_by.get(version, ""))
        except AgentUnknown:
            return None
        return self.endpoints.cost(agent.agent.model, usage, agent.agent)

    def use_agent(self, project_id: int, agent: str) -> ProjectRow:
        """Make an agent the project's, unless service or workers would make another one of it."""
        self.need_key()
        self.same_settings.need([backend.url for backend in self.labels.backends(project_id)])
        return self.projects.choose(self.labels, project_id, agent)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(
            store=self.store,
            queue=self.queue,
            meters=self.meters,
            limits=self.endpoints.limits,
        )

    def _well(self, job: JobRow) -> PrelabelError | None:
        """Whether the endpoint of a paused job answers again, found out by one tiny call; None if so."""
        try:
            agent = self.agent_of(self.store.project(job.project_id), job.agent)
            asyncio.run(self.endpoints.need_answers(agent))
        except (ModelRateLimited, ModelTimeout):  # it took the question: key and account are good
            return None
        except (AgentUnknown, ModelError, SettingsError) as error:
            return error
        return None

    def need_key(self) -> None:
        if not self.settings.label_studio_api_key.get_secret_value():
            raise SettingsError(
                "LABEL_STUDIO_API_KEY is not set: make a token in Label Studio under Account & Settings."
            )

    def model_warning(self, project_id: int | None = None) -> str | None:
        """That the endpoint does not list the model of the project's agent. It need not be within reach from here:
        then None."""
        row = None if project_id is None else self.store.project(project_id)
        try:
            agent = self.projects.agents.of(row).agent
            return asyncio.run(self.endpoints.unlisted(agent, timeout_s=_WARNING_TIMEOUT_S))
        except (ModelError, SettingsError):
            return None
