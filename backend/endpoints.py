"""The models' endpoints: how an agent's calls get there, under which limits, and at what price.

With `wiring.py` all that names adapters.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial

from backend.adapters.media import HttpMedia, Limits
from backend.adapters.metered import MeteredStore
from backend.adapters.openai_batches import OpenAIBatches
from backend.adapters.openai_embeddings import OpenAIEmbeddings
from backend.adapters.openai_model import OpenAIModel, SetBy, describe, endpoint_of
from backend.adapters.prices import KnownPrices
from backend.adapters.redis_governor import RedisGovernor
from backend.adapters.redis_meters import RedisMeters
from backend.core.errors import (
    ModelBadRequest,
    ModelError,
    ModelServerError,
    ModelTimeout,
    QueueError,
    SettingsError,
)
from backend.core.values import JSON, Agent, Request, Usage
from backend.ports.embeddings import Embedder
from backend.ports.governor import Governor, GovernorLevel, Levels
from backend.ports.meters import LIMIT_WAIT_SECONDS
from backend.ports.model import Capabilities, Model
from backend.ports.store import JobLimits, JobRow
from backend.services.annotate import Caller
from backend.services.batch_lane import CACHE_IS_OFF
from backend.services.budgets import budgeted, check_limits
from backend.services.cached_model import CachedModel
from backend.services.embedding import GovernedEmbedder, KeptEmbedder
from backend.services.estimated_usage import first_reply_key
from backend.services.governed_model import GovernedModel
from backend.services.message_time import LONGEST_PROBE_S
from backend.services.metered_model import MeteredGovernor, MeteredModel, MeteredReplies
from backend.services.no_model import NoModel
from backend.settings import Settings

_AS_MANY_AS_ASK = 10_000  # calls that wait for a job's pace; how many are in flight is bounded after it
_WAITS_S = 120.0  # more than a call waits for its leaves and its place in a pool


class Endpoints:
    """Those of one process: of the settings, and of agents that have others.

    `interactive`: somebody waits for what this process does; the model's governor lets its calls go first.
    `stopping`: whether nothing more is to be begun in it. `authorization`: the header for Label Studio's own files.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: MeteredStore,
        meters: RedisMeters,
        authorization: Callable[[], str],
        interactive: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._store = store
        self._meters = meters
        self._authorization = authorization
        self._interactive = interactive
        self._stopping = stopping

    def address(self, agent: Agent | None = None) -> str:
        """The address of an agent's model endpoint, without asking it."""
        return endpoint_of((agent.base_url if agent else None) or self._settings.openai_base_url)

    @asynccontextmanager
    async def model(self, timeout_s: float | None = None, *, agent: Agent | None = None) -> AsyncIterator[OpenAIModel]:
        """A model client for one event loop, for an agent's endpoint; without one for that of the settings."""
        base_url = (agent.base_url if agent else None) or self._settings.openai_base_url
        key_variable = agent.key_variable if agent else None
        key = self._settings.endpoint_key(key_variable)
        if not key and not base_url:
            raise SettingsError("There is no model endpoint: set OPENAI_API_KEY, or OPENAI_BASE_URL for another one.")
        model = OpenAIModel(
            base_url=base_url,
            api_key=key or "none",  # the client wants one; local endpoints do not look at it
            timeout_s=timeout_s or self._settings.request_timeout_s,
            memory=self._store,
            set_by=self._set_by(agent) if agent else SetBy(),
        )
        try:
            yield model
        finally:
            await model.close()

    def _set_by(self, agent: Agent) -> SetBy:
        """What to change where an agent's endpoint cannot be used: a registered agent has a model of its own."""
        mine, usual = agent.name == self._settings.agent, SetBy()
        told = f"of the agent {agent.name!r} (`prelabel agents show {agent.name}`)"
        return SetBy(
            key=agent.key_variable or usual.key,
            base_url=usual.base_url if agent.base_url is None else f"`base_url` {told}",
            model=usual.model if mine else f"`model` {told}",
        )

    @asynccontextmanager
    async def caller(self, agent: Agent | None = None, job: JobRow | None = None) -> AsyncIterator[Caller]:
        """Whatever an agent's questions need, for one event loop; without one those of the agent of the settings. A
        job's budget and pace are kept. A student asks nothing: no endpoint is opened for it, and no governor."""
        if agent is not None and agent.is_student:
            async with self.media(agent) as media:
                yield Caller(
                    model=NoModel(), media=media, sleep=asyncio.sleep, random=random.random, stopping=self._stopping
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
            logs = self._settings.log_content
            metered = MeteredModel(model=model, meters=self._meters, price=price, log_content=logs)
            asked: Model = self._governed(metered, MeteredGovernor(governor=governor, meters=self._meters))
            if job is not None and job.per_minute is not None:
                pace = await opened.enter_async_context(self._pace(job.id, job.per_minute))
                asked = GovernedModel(model=asked, governor=pace, slots=asyncio.Semaphore(_AS_MANY_AS_ASK))
            embedder: Embedder | None = None
            if agent is not None and agent.embeddings_model is not None:
                embedder = await opened.enter_async_context(self.embedder(agent))
            lease_s = self._settings.request_timeout_s + _WAITS_S
            asked = budgeted(asked, self._store, job, price=price, lease_s=lease_s)
            yield Caller(
                model=self._cached(asked, model.endpoint),
                media=media,
                sleep=asyncio.sleep,
                random=random.random,
                forget=self._store.forget_replies,
                answers=partial(_answers, model),
                embedder=embedder,
                # Between two calls of a task only where its replies are kept: else it is asked to its end.
                stopping=self._stopping if self._settings.cache_days else lambda: False,
                keeps_replies=self._settings.cache_days > 0,
            )

    def _governed(self, model: Model, governor: Governor) -> GovernedModel:
        return GovernedModel(model=model, governor=governor, slots=asyncio.Semaphore(self._settings.concurrency))

    def _cached(self, model: Model, endpoint: str) -> Model:
        """The outermost wrapper: a reply that is stored takes no leave of anybody to be had."""
        if not self._settings.cache_days:
            return model
        cached = CachedModel(model, self._store, endpoint=endpoint)
        return MeteredReplies(model=cached, meters=self._meters)

    @asynccontextmanager
    async def _pace(self, job_id: int, per_minute: int) -> AsyncIterator[RedisGovernor]:
        """A governor of one job's calls, on an account of its own."""
        governor = RedisGovernor(
            self._settings.redis_url,
            endpoint=f"job {job_id} of {self._store.place}",
            api_key="",
            interactive=False,
            requests_per_minute=per_minute,
        )
        try:
            yield governor
        finally:
            await governor.close()

    @asynccontextmanager
    async def governor(self, endpoint: str, agent: Agent | None = None) -> AsyncIterator[RedisGovernor]:
        """The governor of the calls to an endpoint with an agent's key, for one event loop."""
        settings = self._settings
        governor = RedisGovernor(
            settings.redis_url,
            endpoint=endpoint,
            api_key=settings.endpoint_key(agent.key_variable if agent else None),
            interactive=self._interactive,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        try:
            yield governor
        finally:
            await governor.close()

    @asynccontextmanager
    async def embedder(self, agent: Agent) -> AsyncIterator[KeptEmbedder]:
        """The embeddings endpoint of an agent that has one, for one event loop."""
        async with self._embeddings_at(agent) as model, self.governor(model.endpoint, agent) as governor:
            governed = self._governed(model, MeteredGovernor(governor=governor, meters=self._meters))
            embedder = GovernedEmbedder(embedder=OpenAIEmbeddings(model), governed=governed, meters=self._meters)
            kept = self._store if self._settings.cache_days else None
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

    def media(self, agent: Agent | None = None) -> HttpMedia:
        """A loader of images and documents for one event loop, as an agent is to see them."""
        settings, agent = self._settings, agent or self._settings.to_agent()
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

    @asynccontextmanager
    async def batches(self, agent: Agent) -> AsyncIterator[tuple[Caller, OpenAIBatches]]:
        """An agent's caller and the batch API of its endpoint, for one event loop."""
        async with self.model(agent=agent) as model, self._caller(model, agent, None) as caller:
            yield caller, OpenAIBatches(model)

    def need_batches(self, agent: Agent) -> None:
        """Raises what keeps a job from going through the batch API of an agent's endpoint, before anything is
        submitted."""
        if not self._settings.cache_days:
            raise SettingsError(CACHE_IS_OFF)
        asyncio.run(self._check_batches(agent))

    async def _check_batches(self, agent: Agent) -> None:
        async with self.model(agent=agent) as model:
            await OpenAIBatches(model).check()

    def capabilities(self, agent: Agent) -> Capabilities | None:
        """What an agent's endpoint can do, as far as that was found out."""
        return self._store.capabilities(self.address(agent), agent.model)

    def is_stored(self, agent: Agent, request: Request) -> bool:
        """Whether the reply to a request is, so that nobody would be asked."""
        key = first_reply_key(self.address(agent), request, self.capabilities(agent))
        return self._settings.cache_days > 0 and self._store.has_reply(key)

    @cached_property
    def _prices(self) -> KnownPrices:
        settings = self._settings
        return KnownPrices(
            per_million_input=settings.usd_per_million_input, per_million_output=settings.usd_per_million_output
        )

    def price(self, model: str, prompt_tokens: int, completion_tokens: int, *, endpoint: str) -> float | None:
        """What a call costs in US dollars; None where that is not known."""
        return self._prices.price(model, prompt_tokens, completion_tokens, endpoint)

    def cost(self, model: str, usage: Usage, agent: Agent | None = None) -> float | None:
        """US dollars, by the price of an average call: some prices depend on how long a prompt is."""
        if not usage.calls:
            return 0.0
        prompt, answer = round(usage.prompt_tokens / usage.calls), round(usage.completion_tokens / usage.calls)
        price = self.price(model, prompt, answer, endpoint=self.address(agent))
        return None if price is None else price * usage.calls

    def check_limits(self, limits: JobLimits, agent: Agent) -> None:
        """Raises `InputError` where a limit cannot be kept."""
        if agent.is_student:  # which keeps every one: it costs nothing
            return
        endpoint = self.address(agent)
        check_limits(limits, lambda: self.price(agent.model, 1_000, 1_000, endpoint=endpoint), agent.model)

    async def level(self, agent: Agent) -> GovernorLevel | None:
        """Where an agent's limits stand; None where Redis cannot be asked."""
        try:
            async with self.governor(self.address(agent), agent) as governor:
                return await governor.level(agent.model)
        except QueueError:
            return None

    def limits(self) -> Levels:
        """Where the limits stand of the model that is set and of those that were asked lately, at the endpoint of the
        settings and at those of agents."""
        counted = self._meters.totals()
        asked = {labels[0] for name, *labels in counted if name == LIMIT_WAIT_SECONDS.name}
        agents = [one.version.agent for one in self._store.agents()]
        with_own = [a for a in agents if (a.base_url or a.key_variable) and a.model in asked]
        shared = {a.model for a in agents if not (a.base_url or a.key_variable)}
        usual = asked - ({a.model for a in with_own} - shared)

        async def look() -> Levels:
            found: dict[tuple[str, str], GovernorLevel] = {}
            async with self.governor(self.address()) as governor:
                for model in sorted(usual | {self._settings.model}):
                    found[self.address(), model] = await governor.level(model)
            for agent in with_own:
                place = (self.address(agent), agent.model)
                with suppress(SettingsError):  # its key is set for the workers only
                    async with self.governor(place[0], agent) as governor:
                        level = await governor.level(agent.model)
                    found[place] = max(level, found.get(place, level), key=_busy)  # of several keys the busiest
            return found

        return asyncio.run(look())

    async def unlisted(self, agent: Agent, timeout_s: float | None = None) -> str | None:
        """That the endpoint lists other models than the agent's, in a sentence; None: it lists it, or none. Raises a
        `ModelError` and `SettingsError`."""
        if agent.is_student:
            return None
        async with self.model(timeout_s, agent=agent) as model:
            known = await model.models()
        if not known or agent.model in known:
            return None
        setting = "PRELABEL_MODEL" if agent.name == self._settings.agent else f"`model` of the agent {agent.name!r}"
        return (
            f"The model endpoint does not list {agent.model!r}: set {setting} to one of "
            f"{', '.join(known[:5])}{', ...' if len(known) > 5 else ''}."
        )

    async def need_answers(self, agent: Agent) -> None:
        """One tiny call to each endpoint of an agent. Raises a `ModelError` or a `SettingsError`."""
        if agent.is_student:
            return
        async with self.model(LONGEST_PROBE_S, agent=agent) as model:
            await model.answers(agent.model)
        await self._embeddings_size(agent)

    def describe_model(self, agent: Agent) -> JSON:
        """What an agent's endpoint can do, found out with a real call. Raises a `ModelError` or a `SettingsError`."""
        if agent.is_student:
            return {"model": "none: a student learns from verified labels"}
        return asyncio.run(self._describe_model(agent))

    async def _describe_model(self, agent: Agent) -> JSON:
        unlisted = await self.unlisted(agent)
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
