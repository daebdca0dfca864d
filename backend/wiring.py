"""Settings -> parts: the only place that names adapters. Nothing is built before it is asked for."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property

from backend.adapters.clock import utc_now
from backend.adapters.label_studio import LabelStudioApi
from backend.adapters.media import HttpMedia, Limits
from backend.adapters.metrics import render_metrics
from backend.adapters.openai_model import OpenAIModel, describe
from backend.adapters.redis_governor import RedisGovernor
from backend.adapters.rq_queue import RedisQueue
from backend.adapters.service import ServiceApi
from backend.adapters.sql.store import SqlStore
from backend.adapters.templates import read_template
from backend.core.errors import (
    ModelBadRequest,
    ModelError,
    ModelRateLimited,
    ModelServerError,
    ModelTimeout,
    PrelabelError,
    SettingsError,
)
from backend.core.values import JSON
from backend.ports.model import Model
from backend.ports.store import JobRow
from backend.services.annotate import Caller
from backend.services.cached_model import CachedModel
from backend.services.chunks import ChunkWorker
from backend.services.connect import WEBHOOK_HEADER, Connection, connect
from backend.services.doctor import Doctor
from backend.services.governed_model import GovernedModel
from backend.services.jobs import Jobs
from backend.services.predict import Predictor
from backend.services.projects import Projects
from backend.services.same_settings import SameSettings, fingerprints
from backend.services.sweeper import Sweeper
from backend.services.truth import Truth
from backend.services.writeback import Writer
from backend.settings import Settings

_WARNING_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 20.0


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
    def store(self) -> SqlStore:
        return SqlStore(self.settings.database_url)

    @cached_property
    def queue(self) -> RedisQueue:
        return RedisQueue(self.settings.redis_url)

    @cached_property
    def labels(self) -> LabelStudioApi:
        key = self.settings.label_studio_api_key.get_secret_value()
        return LabelStudioApi(self.settings.label_studio_url, key)

    @cached_property
    def projects(self) -> Projects:
        source = read_template(self.settings.prompts_dir, self.settings.template)
        return Projects(store=self.store, agent=self.settings.to_agent(), template_source=source)

    @cached_property
    def started_with(self) -> dict[str, str]:
        """Fingerprints of the settings, for others to compare."""
        source = self.projects.template_source
        return fingerprints(self.projects.agent, template_source=source, database=self.store.place)

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
            chunk_size=self.settings.chunk_size,
        )

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
            stopping=self.stopping,
        )

    @cached_property
    def truth(self) -> Truth:
        return Truth(store=self.store, labels=self.labels, queue=self.queue, clock=utc_now, jobs=self.jobs)

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
            model=lambda: asyncio.run(self._describe_model()),
            webhook_secret=self.settings.effective_webhook_secret,
            same_settings=self.same_settings,
            has_key=bool(self.settings.label_studio_api_key.get_secret_value()),
        )

    @asynccontextmanager
    async def model(self, timeout_s: float | None = None) -> AsyncIterator[OpenAIModel]:
        """A model client for one event loop."""
        key = self.settings.openai_api_key.get_secret_value()
        if not key and not self.settings.openai_base_url:
            raise SettingsError("There is no model endpoint: set OPENAI_API_KEY, or OPENAI_BASE_URL for another one.")
        model = OpenAIModel(
            base_url=self.settings.openai_base_url,
            api_key=key or "none",  # the client wants one; local endpoints do not look at it
            timeout_s=timeout_s or self.settings.request_timeout_s,
            memory=self.store,
        )
        try:
            yield model
        finally:
            await model.close()

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        async with self.model() as model, self.governor(model.endpoint) as governor, self.media() as media:
            cached = self._cached(GovernedModel(model=model, governor=governor), model.endpoint)
            yield Caller(
                model=cached,
                media=media,
                sleep=asyncio.sleep,
                random=random.random,
                forget=self.store.forget_replies,
                # Between two calls of a task only where its replies are kept: else it is asked to its end.
                stopping=self.stopping if self.settings.cache_days else lambda: False,
            )

    def _cached(self, model: Model, endpoint: str) -> Model:
        """The outermost wrapper: a reply that is stored takes no leave of anybody to be had."""
        return CachedModel(model, self.store, endpoint=endpoint) if self.settings.cache_days else model

    @asynccontextmanager
    async def governor(self, endpoint: str) -> AsyncIterator[RedisGovernor]:
        """The governor of the calls to an endpoint, for one event loop."""
        settings = self.settings
        governor = RedisGovernor(
            settings.redis_url,
            endpoint=endpoint,
            api_key=settings.openai_api_key.get_secret_value(),
            interactive=self.interactive,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        try:
            yield governor
        finally:
            await governor.close()

    def media(self) -> HttpMedia:
        """A loader of images and documents for one event loop."""
        settings = self.settings
        return HttpMedia(
            label_studio_url=settings.label_studio_url,
            authorization=self._authorization,
            limits=Limits(
                max_bytes=settings.media_max_bytes,
                max_pixels=settings.media_max_pixels,
                max_side=settings.media_max_side,
                max_pages=settings.media_max_pages,
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
        return connect(
            self.labels,
            self.projects,
            self.store,
            project_id,
            backend_url,
            basic_auth=self.settings.basic_auth,
            webhook_secret=self.settings.effective_webhook_secret,
            auto_start=auto_start,
        )

    def start_run(self, project_id: int, task_ids: Sequence[int] | None) -> int:
        """Queue a run, unless service or workers would make another version of it; returns the job's id."""
        self.need_key()
        self.same_settings.need([backend.url for backend in self.labels.backends(project_id)])
        return self.jobs.start_run(project_id, task_ids)

    def _well(self, job: JobRow) -> PrelabelError | None:
        """Whether the endpoint of a paused job answers again, found out by one tiny call; None if so."""

        async def ask() -> None:
            async with self.model(_PROBE_TIMEOUT_S) as model:
                await model.answers(self.settings.model)

        try:
            asyncio.run(ask())
        except (ModelRateLimited, ModelTimeout):  # it took the question: key and account are good
            return None
        except (ModelError, SettingsError) as error:
            return error
        return None

    def metrics(self) -> bytes:
        return render_metrics(self.store, self.queue)

    def need_key(self) -> None:
        if not self.settings.label_studio_api_key.get_secret_value():
            raise SettingsError(
                "LABEL_STUDIO_API_KEY is not set: make a token in Label Studio under Account & Settings."
            )

    def model_warning(self) -> str | None:
        """That the endpoint does not list the model. It need not be within reach from here: then None."""
        try:
            return asyncio.run(self._unlisted(timeout_s=_WARNING_TIMEOUT_S))
        except (ModelError, SettingsError):
            return None

    async def _unlisted(self, timeout_s: float | None = None) -> str | None:
        async with self.model(timeout_s) as model:
            known = await model.models()
        if not known or self.settings.model in known:
            return None
        return (
            f"The model endpoint does not list {self.settings.model!r}: set PRELABEL_MODEL to one of "
            f"{', '.join(known[:5])}{', ...' if len(known) > 5 else ''}."
        )

    async def _describe_model(self) -> JSON:
        unlisted = await self._unlisted()
        if unlisted is not None:
            raise ModelBadRequest(unlisted)
        async with self.model() as model:
            found, usage = await model.probe(self.settings.model)
            with suppress(ModelServerError, ModelTimeout):  # of an image; that text is answered is known
                found = replace(found, images=await model.takes_images(self.settings.model))
        asked = f"asked one short question ({usage.prompt_tokens} tokens in, {usage.completion_tokens} out)"
        return {"model": f"{self.settings.model}, {asked}", **describe(found)}
