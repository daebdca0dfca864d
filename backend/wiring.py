"""Settings -> parts: the only place that names adapters. Nothing is built before it is asked for."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from secrets import token_hex
from tempfile import TemporaryFile

from backend.adapters.clock import utc_now
from backend.adapters.media import HttpMedia, Limits
from backend.adapters.metered import MeteredLabelStudio, MeteredStore
from backend.adapters.metrics import Metrics
from backend.adapters.openai_batches import OpenAIBatches
from backend.adapters.openai_embeddings import OpenAIEmbeddings
from backend.adapters.openai_model import OpenAIModel, SetBy, describe, endpoint_of
from backend.adapters.prices import KnownPrices
from backend.adapters.redis_governor import RedisGovernor
from backend.adapters.redis_meters import RedisMeters
from backend.adapters.rq_queue import RedisQueue
from backend.adapters.service import ServiceApi
from backend.adapters.templates import read_template
from backend.core.errors import (
    AgentUnknown,
    ModelBadRequest,
    ModelError,
    ModelRateLimited,
    ModelServerError,
    ModelTimeout,
    PrelabelError,
    QueueError,
    SettingsError,
)
from backend.core.values import JSON, Agent, Usage
from backend.ports.embeddings import Embedder
from backend.ports.governor import Governor, GovernorLevel, Levels
from backend.ports.meters import LIMIT_WAIT_SECONDS
from backend.ports.model import Capabilities, Model
from backend.ports.store import BATCH, JobLimits, JobRow, ProjectRow
from backend.prompting.template_check import check_template
from backend.services.agent_checks import AgentChecks
from backend.services.agent_trials import Trials
from backend.services.annotate import Caller
from backend.services.auditing import Auditing
from backend.services.batch_lane import CACHE_IS_OFF, BatchLane, check_agent
from backend.services.budgets import budgeted, check_limits
from backend.services.cached_model import CachedModel
from backend.services.calibrating import Calibrated, calibrate
from backend.services.certifying import Certifying
from backend.services.chunks import ChunkWorker
from backend.services.comparing import Comparing
from backend.services.connect import WEBHOOK_HEADER, Connection, connect
from backend.services.doctor import Doctor
from backend.services.embedding import GovernedEmbedder, KeptEmbedder
from backend.services.enlisting import Enlister
from backend.services.estimate import Circumstances, Estimate
from backend.services.estimating import Estimator
from backend.services.golden_making import GoldenMaking
from backend.services.governed_model import GovernedModel
from backend.services.hand import GO_ON_S
from backend.services.improving import Improving
from backend.services.jobs import Jobs
from backend.services.learning import Learning
from backend.services.leaving_out import LeavingOut
from backend.services.message_time import LONGEST_PROBE_S, longest_message_s
from backend.services.metered_model import MeteredGovernor, MeteredModel, MeteredReplies
from backend.services.no_model import NoModel
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
_AS_MANY_AS_ASK = 10_000  # calls that wait for a job's pace; how many are in flight is bounded after it
_WAITS_S = 120.0  # more than a call waits for its leaves and its place in a pool


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
            self.projects.agent, template_source=source, database=self.store.place, endpoint=self.endpoint()
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
            caller=self.caller,
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
            model=self.describe_model,
            webhook_secret=self.settings.effective_webhook_secret,
            same_settings=self.same_settings,
            has_key=bool(self.settings.label_studio_api_key.get_secret_value()),
            operation=self.operation.checks,
        )

    @cached_property
    def trials(self) -> Trials:
        self.need_key()
        return Trials(
            labels=self.labels, projects=self.projects, caller=self.caller, concurrency=self.settings.concurrency
        )

    @cached_property
    def agent_checks(self) -> AgentChecks:
        return AgentChecks(trials=lambda: self.trials, describe_model=self.describe_model)

    @cached_property
    def comparing(self) -> Comparing:
        def known(agent: Agent) -> Capabilities | None:
            return self.store.capabilities(self.endpoint(agent), agent.model)

        return Comparing(store=self.store, trials=self.trials, cost=self.cost, capabilities=known)

    @cached_property
    def improving(self) -> Improving:
        return Improving(comparing=self.comparing)

    @cached_property
    def operation(self) -> Operation:
        return Operation(
            store=self.store,
            queue=self.queue,
            limits=self.limits,
            endpoint=self.endpoint(),
            requests_are_set=self.settings.requests_per_minute is not None,
            tokens_are_set=self.settings.tokens_per_minute is not None,
            logs_content=self.settings.log_content,
            clock=utc_now,
        )

    def limits(self) -> Levels:
        """Where the limits stand of the model that is set and of those that were asked lately, at the endpoint of the
        settings and at those of agents."""
        counted = self.meters.totals()
        asked = {labels[0] for name, *labels in counted if name == LIMIT_WAIT_SECONDS.name}
        agents = [one.version.agent for one in self.store.agents()]
        with_own = [a for a in agents if (a.base_url or a.key_variable) and a.model in asked]
        shared = {a.model for a in agents if not (a.base_url or a.key_variable)}
        usual = asked - ({a.model for a in with_own} - shared)

        async def look() -> Levels:
            found: dict[tuple[str, str], GovernorLevel] = {}
            async with self.governor(self.endpoint()) as governor:
                for model in sorted(usual | {self.settings.model}):
                    found[self.endpoint(), model] = await governor.level(model)
            for agent in with_own:
                place = (self.endpoint(agent), agent.model)
                with suppress(SettingsError):  # its key is set for the workers only
                    async with self.governor(place[0], agent) as governor:
                        level = await governor.level(agent.model)
                    found[place] = max(level, found.get(place, level), key=_busy)  # of several keys the busiest
            return found

        return asyncio.run(look())

    @asynccontextmanager
    async def model(self, timeout_s: float | None = None, *, agent: Agent | None = None) -> AsyncIterator[OpenAIModel]:
        """A model client for one event loop, for an agent's endpoint; without one for that of the settings."""
        base_url = (agent.base_url if agent else None) or self.settings.openai_base_url
        key_variable = agent.key_variable if agent else None
        key = self.settings.endpoint_key(key_variable)
        if not key and not base_url:
            raise SettingsError("There is no model endpoint: set OPENAI_API_KEY, or OPENAI_BASE_URL for another one.")
        model = OpenAIModel(
            base_url=base_url,
            api_key=key or "none",  # the client wants one; local endpoints do not look at it
            timeout_s=timeout_s or self.settings.request_timeout_s,
            memory=self.store,
            set_by=self._set_by(agent) if agent else SetBy(),
        )
        try:
            yield model
        finally:
            await model.close()

    def _set_by(self, agent: Agent) -> SetBy:
        """What to change where an agent's endpoint cannot be used: a registered agent has a model of its own."""
        mine, usual = agent.name == self.settings.agent, SetBy()
        told = f"of the agent {agent.name!r} (`prelabel agents show {agent.name}`)"
        return SetBy(
            key=agent.key_variable or usual.key,
            base_url=usual.base_url if agent.base_url is None else f"`base_url` {told}",
            model=usual.model if mine else f"`model` {told}",
        )

    @cached_property
    def batch_lane(self) -> BatchLane:
        return BatchLane(
            store=self.store,
            projects=self.projects,
            queue=self.queue,
            endpoint=self._batches,
            clock=utc_now,
            scratch=TemporaryFile,
            cache_is_on=self.settings.cache_days > 0,
            rounds=self.settings.batch_rounds,
            poll_s=self.settings.batch_poll_s,
            chunk_size=self.settings.chunk_size,
        )

    @asynccontextmanager
    async def _batches(self, agent: Agent) -> AsyncIterator[tuple[Caller, OpenAIBatches]]:
        async with self.model(agent=agent) as model, self._caller(model, agent, None) as caller:
            yield caller, OpenAIBatches(model)

    @asynccontextmanager
    async def caller(self, agent: Agent | None = None, job: JobRow | None = None) -> AsyncIterator[Caller]:
        """Whatever an agent's questions need, for one event loop; without one those of the agent of the settings. A
        job's budget and pace are kept. A student asks nothing: no endpoint is opened for it, and no governor."""
        if agent is not None and agent.is_student:
            async with self.media(agent) as media:
                yield Caller(
                    model=NoModel(), media=media, sleep=asyncio.sleep, random=random.random, stopping=self.stopping
                )
            return
        async with self.model(agent=agent) as model, self._caller(model, agent, job) as caller:
            yield caller

    @asynccontextmanager
    async def _caller(self, model: OpenAIModel, agent: Agent | None, job: JobRow | None) -> AsyncIterator[Caller]:
        async with AsyncExitStack() as opened:
            governor = await opened.enter_async_context(self.governor(model.endpoint, agent))
            media = await opened.enter_async_context(self.media(agent))
            price = partial(self.price, endpoint=model.endpoint)
            metered = MeteredModel(model=model, meters=self.meters, price=price, log_content=self.settings.log_content)
            asked: Model = self._governed(metered, MeteredGovernor(governor=governor, meters=self.meters))
            if job is not None and job.per_minute is not None:
                pace = await opened.enter_async_context(self._pace(job.id, job.per_minute))
                asked = GovernedModel(model=asked, governor=pace, slots=asyncio.Semaphore(_AS_MANY_AS_ASK))
            embedder: Embedder | None = None
            if agent is not None and agent.embeddings_model is not None:
                embedder = await opened.enter_async_context(self.embedder(agent))
            lease_s = self.settings.request_timeout_s + _WAITS_S
            asked = budgeted(asked, self.store, job, price=price, lease_s=lease_s)
            yield Caller(
                model=self._cached(asked, model.endpoint),
                media=media,
                sleep=asyncio.sleep,
                random=random.random,
                forget=self.store.forget_replies,
                answers=partial(_answers, model),
                embedder=embedder,
                # Between two calls of a task only where its replies are kept: else it is asked to its end.
                stopping=self.stopping if self.settings.cache_days else lambda: False,
                keeps_replies=self.settings.cache_days > 0,
            )

    @asynccontextmanager
    async def embedder(self, agent: Agent) -> AsyncIterator[KeptEmbedder]:
        """The embeddings endpoint of an agent that has one, for one event loop."""
        async with self._embeddings_at(agent) as model, self.governor(model.endpoint, agent) as governor:
            governed = self._governed(model, MeteredGovernor(governor=governor, meters=self.meters))
            embedder = GovernedEmbedder(embedder=OpenAIEmbeddings(model), governed=governed, meters=self.meters)
            kept = self.store if self.settings.cache_days else None
            keeping = KeptEmbedder(embedder=embedder, endpoint=model.endpoint, vectors=kept)
            try:
                yield keeping
            finally:
                await keeping.close()

    @asynccontextmanager
    async def _embeddings_at(self, agent: Agent, timeout_s: float | None = None) -> AsyncIterator[OpenAIModel]:
        there = replace(agent, base_url=agent.embeddings_url or agent.base_url)
        async with self.model(timeout_s, agent=there) as model:
            told = f"of the agent {agent.name!r}"
            if agent.embeddings_url is not None:
                model.set_by = replace(model.set_by, base_url=f"`embeddings_url` {told}")
            model.set_by = replace(model.set_by, model=f"`embeddings_model` {told}")
            yield model

    def _governed(self, model: Model, governor: Governor) -> GovernedModel:
        return GovernedModel(model=model, governor=governor, slots=asyncio.Semaphore(self.settings.concurrency))

    def price(self, model: str, prompt_tokens: int, completion_tokens: int, *, endpoint: str) -> float | None:
        """What a call costs in US dollars; None where that is not known."""
        return self.prices.price(model, prompt_tokens, completion_tokens, endpoint)

    @cached_property
    def prices(self) -> KnownPrices:
        settings = self.settings
        return KnownPrices(
            per_million_input=settings.usd_per_million_input, per_million_output=settings.usd_per_million_output
        )

    def endpoint(self, agent: Agent | None = None) -> str:
        """The address of an agent's model endpoint, without asking it."""
        return endpoint_of((agent.base_url if agent else None) or self.settings.openai_base_url)

    @asynccontextmanager
    async def _pace(self, job_id: int, per_minute: int) -> AsyncIterator[RedisGovernor]:
        """A governor of one job's calls, on an account of its own."""
        governor = RedisGovernor(
            self.settings.redis_url,
            endpoint=f"job {job_id} of {self.store.place}",
            api_key="",
            interactive=False,
            requests_per_minute=per_minute,
        )
        try:
            yield governor
        finally:
            await governor.close()

    def _cached(self, model: Model, endpoint: str) -> Model:
        """The outermost wrapper: a reply that is stored takes no leave of anybody to be had."""
        if not self.settings.cache_days:
            return model
        cached = CachedModel(model, self.store, endpoint=endpoint)
        return MeteredReplies(model=cached, meters=self.meters)

    @asynccontextmanager
    async def governor(self, endpoint: str, agent: Agent | None = None) -> AsyncIterator[RedisGovernor]:
        """The governor of the calls to an endpoint with an agent's key, for one event loop."""
        settings = self.settings
        governor = RedisGovernor(
            settings.redis_url,
            endpoint=endpoint,
            api_key=settings.endpoint_key(agent.key_variable if agent else None),
            interactive=self.interactive,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        try:
            yield governor
        finally:
            await governor.close()

    def media(self, agent: Agent | None = None) -> HttpMedia:
        """A loader of images and documents for one event loop, as an agent is to see them."""
        settings, agent = self.settings, agent or self.settings.to_agent()
        return HttpMedia(
            label_studio_url=settings.label_studio_url,
            authorization=self._authorization,
            limits=Limits(
                max_bytes=settings.media_max_bytes,
                max_pixels=settings.media_max_pixels,
                max_side=agent.image_side,
                max_pages=agent.document_pages,
                timeout_s=settings.media_timeout_s,
            ),
            root=settings.media_root,
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
            self.need_batches(chosen)
        self.same_settings.need([backend.url for backend in self.labels.backends(project_id)])
        if limits is not None:
            row = self.store.project(project_id)
            self.check_limits(limits, self.agent_of(row, agent))
        return self.jobs.start_run(project_id, selection=selection, limits=limits, agent=agent, lane=lane)

    def agent_of(self, row: ProjectRow | None, agent: str | None = None) -> Agent:
        """A project's agent, or another one by name; that of the settings for a project that is not known yet."""
        if agent is not None:
            return self.projects.agents.find(agent).agent
        return self.projects.made_by(row).agent if row is not None else self.projects.agent

    def check_limits(self, limits: JobLimits, agent: Agent) -> None:
        """Raises `InputError` where a limit cannot be kept."""
        if agent.is_student:  # which keeps every one: it costs nothing
            return
        endpoint = self.endpoint(agent)
        check_limits(limits, lambda: self.price(agent.model, 1_000, 1_000, endpoint=endpoint), agent.model)

    def estimate(self, project_id: int, selection: Selection, limits: JobLimits, agent: str | None = None) -> Estimate:
        """What a run would take. Writes nothing and calls no model."""
        self.need_key()
        project = self.labels.project(project_id)
        row = self.projects.look(project_id, project.label_config, project.instructions)
        question = self.projects.question(row, agent)
        self.check_limits(limits, question.agent)
        endpoint, model = self.endpoint(question.agent), question.agent.model
        around = Circumstances(
            endpoint=endpoint,
            price=partial(self.price, endpoint=endpoint),
            level=None if question.agent.is_student else asyncio.run(self._level(question.agent)),
            capabilities=self.store.capabilities(endpoint, model),
            limits=limits,
            concurrency=self.settings.concurrency,
            workers=self._bulk_workers(),
        )
        row = replace(row, version=question.version)
        return Estimator(labels=self.labels, store=self.store, around=around).estimate(selection, row, question)

    async def _level(self, agent: Agent) -> GovernorLevel | None:
        try:
            async with self.governor(self.endpoint(agent), agent) as governor:
                return await governor.level(agent.model)
        except QueueError:
            return None

    def _bulk_workers(self) -> int:
        try:
            return self.queue.bulk_workers()
        except QueueError:
            return 0

    def summary(self, job: JobRow) -> dict[str, JSON]:
        """A job in numbers, with what it cost."""
        agent = self.agent_of(self.store.project(job.project_id), job.agent)
        return summary(self.store, job, lambda usage: self.cost(agent.model, usage, agent))

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
        return self.cost(agent.agent.model, usage, agent.agent)

    def cost(self, model: str, usage: Usage, agent: Agent | None = None) -> float | None:
        """US dollars, by the price of an average call: some prices depend on how long a prompt is."""
        if not usage.calls:
            return 0.0
        prompt, answer = round(usage.prompt_tokens / usage.calls), round(usage.completion_tokens / usage.calls)
        price = self.price(model, prompt, answer, endpoint=self.endpoint(agent))
        return None if price is None else price * usage.calls

    def need_batches(self, agent: Agent) -> None:
        """Raises what keeps a job from going through the batch API of an agent's endpoint, before anything is
        submitted."""
        if not self.settings.cache_days:
            raise SettingsError(CACHE_IS_OFF)
        asyncio.run(self._check_batches(agent))

    async def _check_batches(self, agent: Agent) -> None:
        async with self.model(agent=agent) as model:
            await OpenAIBatches(model).check()

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
            limits=self.limits,
        )

    def _well(self, job: JobRow) -> PrelabelError | None:
        """Whether the endpoint of a paused job answers again, found out by one tiny call; None if so."""

        async def ask() -> None:
            agent = self.agent_of(self.store.project(job.project_id), job.agent)
            if agent.is_student:
                return
            async with self.model(LONGEST_PROBE_S, agent=agent) as model:
                await model.answers(agent.model)
            await self._embeddings_size(agent)

        try:
            asyncio.run(ask())
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
            return asyncio.run(self._unlisted(self.projects.agents.of(row).agent, timeout_s=_WARNING_TIMEOUT_S))
        except (ModelError, SettingsError):
            return None

    async def _unlisted(self, agent: Agent, timeout_s: float | None = None) -> str | None:
        if agent.is_student:
            return None
        async with self.model(timeout_s, agent=agent) as model:
            known = await model.models()
        if not known or agent.model in known:
            return None
        setting = "PRELABEL_MODEL" if agent.name == self.settings.agent else f"`model` of the agent {agent.name!r}"
        return (
            f"The model endpoint does not list {agent.model!r}: set {setting} to one of "
            f"{', '.join(known[:5])}{', ...' if len(known) > 5 else ''}."
        )

    def describe_model(self, agent: Agent) -> JSON:
        """What an agent's endpoint can do, found out with a real call. Raises a `ModelError` or a `SettingsError`."""
        if agent.is_student:
            return {"model": "none: a student learns from verified labels"}
        return asyncio.run(self._describe_model(agent))

    async def _describe_model(self, agent: Agent) -> JSON:
        unlisted = await self._unlisted(agent)
        if unlisted is not None:
            raise ModelBadRequest(unlisted)
        async with self.model(agent=agent) as model:
            found, usage = await model.probe(agent.model, reasoning_effort=agent.reasoning_effort)
            with suppress(ModelServerError, ModelTimeout):  # of an image; that text is answered is known
                found = replace(found, images=await model.takes_images(agent.model))
        asked = f"asked one short question ({usage.prompt_tokens} tokens in, {usage.completion_tokens} out)"
        described = {"model": f"{agent.model}, {asked}", **describe(found)}
        if agent.reasoning_effort is not None and not found.reasoning:
            described["reasoning effort"] = "refused, and not sent"
        size = await self._embeddings_size(agent)
        if size is not None:
            described["embeddings"] = f"{agent.embeddings_model}, {size:,} numbers a text"
        return described

    async def _embeddings_size(self, agent: Agent) -> int | None:
        """How long a vector is, found out with a tiny call; None: the agent needs none. Raises a `ModelError`."""
        if agent.embeddings_model is None:
            return None
        async with self._embeddings_at(agent, LONGEST_PROBE_S) as model:
            found = await OpenAIEmbeddings(model).embed(agent.embeddings_model, ["sky"])
        return len(found.vectors[0])


def _busy(level: GovernorLevel) -> tuple[int, int]:
    return level.requests_used, level.in_flight


async def _answers(model: OpenAIModel, name: str) -> bool:
    """Whether the endpoint answers a tiny question, now and soon."""
    try:
        await asyncio.wait_for(model.answers(name), LONGEST_PROBE_S)
    except (ModelError, TimeoutError):
        return False
    return True
