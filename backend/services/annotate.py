"""Annotate the records of one chunk: bounded calls in flight, one retry loop, each answer stored at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import TypeVar

from backend.core.errors import (
    BudgetReached,
    ContextTooLong,
    LimitFarOff,
    MediaUnreachable,
    ModelError,
    ModelTakesNoImages,
    PrelabelError,
    QueueError,
    RefusedAlone,
    SettingsError,
    StoreError,
)
from backend.core.log_fields import add_log_fields
from backend.core.retry import retry_delay
from backend.core.values import Media, Outcome, Picture, Reply, Request, Task, TaskState, Usage
from backend.dialogue import Dialogue, Question, annotate
from backend.ports.embeddings import Embedder, Vector
from backend.ports.media import MediaSource
from backend.ports.model import Model
from backend.ports.store import Record, Store
from backend.services.keeping import Keeping
from backend.services.message_time import LONGEST_CHUNK_S, PATIENCE_S
from backend.services.together import storing
from backend.services.verified_examples import embed_examples

_log = logging.getLogger(__name__)
T = TypeVar("T")


def _nothing_is_kept(request_keys: Collection[str]) -> None:
    """For a model whose replies are not stored."""


def _goes_on() -> bool:
    """For a process that nobody stops, and a job that nobody pauses."""
    return False


async def _nothing_is_known(model: str) -> bool:
    """Where nobody can ask whether the endpoint answers."""
    return False


@dataclass(frozen=True, kw_only=True)
class Caller:
    """How the model is called: the one retry loop, with its sleep and its randomness handed in."""

    model: Model
    media: MediaSource
    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    forget: Callable[[Collection[str]], None] = _nothing_is_kept  # stored replies to the requests with these keys
    stopping: Callable[[], bool] = _goes_on  # whether no further call is to be begun
    answers: Callable[[str], Awaitable[bool]] = _nothing_is_known  # whether the model answers a tiny question just now
    keeps_replies: bool = True  # False: a conversation that is broken off has to be paid again
    late: Callable[[], bool] = _goes_on  # whether no conversation is to go on to a further question
    embedder: Embedder | None = None  # None: the agent needs none

    async def ask(self, request: Request) -> Reply:
        """Ask until there is an answer or no sense in asking. Raises a `ModelError`, and `LimitFarOff` where the
        endpoint goes on refusing because of a limit, or this process is to stop."""
        return await self._until_answered(request.model, lambda: self.model.ask(request))

    async def takes_images(self, model: str) -> bool:
        """Whether the model sees images. Raises a `ModelError`."""
        return await self._until_answered(model, lambda: self.model.takes_images(model))

    async def embed(self, model: str, texts: Sequence[str]) -> Sequence[Vector]:
        """A vector of each text. Raises as `ask` does; no refusal is taken to be about these texts alone, because
        other tasks need the same ones."""
        assert self.embedder is not None  # an agent that names a model of embeddings has one
        embedded = partial(self.embedder.embed, model, texts)
        return (await self._until_answered(model, embedded, others=_nothing_is_known)).vectors

    def until(self, end: float) -> Caller:
        """One for conversations that go on to no further question after `end` (of the monotonic clock), where what
        they have is kept."""
        return replace(self, late=lambda: monotonic() > end) if self.keeps_replies else self

    async def _until_answered(
        self,
        model: str,
        call: Callable[[], Awaitable[T]],
        *,
        others: Callable[[str], Awaitable[bool]] | None = None,
    ) -> T:
        """What may be about this request alone is found out before it stops the job, which it would do again and
        again: it fails by itself when a tiny question is answered, and it is refused once more after that."""
        attempt, answers_others = 0, False
        while True:
            if self.stopping():
                raise LimitFarOff("The worker stops.", wait_s=0.0)
            attempt += 1
            try:
                return await call()
            except ModelError as error:
                if answers_others and error.doubtful:
                    raise RefusedAlone(error) from error
                delay_s = retry_delay(error, attempt, self.random())
                if delay_s is None and error.limited:  # no fault of the task: another time it is answered
                    raise LimitFarOff(str(error), wait_s=error.retry_after_s or 0.0) from error
                if delay_s is None:
                    answers_others = error.doubtful and await (others or self.answers)(model)
                    if not answers_others:
                        raise
                    continue
                _log.info("model call is tried again", extra={"error": error.kind, "attempt": attempt})
                await self.sleep(delay_s)


@dataclass
class ChunkRun:
    """What became of a chunk; filled while it runs."""

    stopped_by: ModelError | None = None  # an error that every other task would meet too
    far_off: LimitFarOff | None = None  # the model's limit leaves no room for a while
    away: QueueError | None = None  # Redis, without which no call is made
    over_budget: BudgetReached | None = None
    broken: StoreError | None = None  # the database, in which nothing can be kept
    halted: bool = False  # the job was paused or cancelled meanwhile
    released: list[int] = field(default_factory=list)  # record ids given back

    @property
    def over(self) -> bool:
        return bool(self.stopped_by or self.far_off or self.away or self.over_budget or self.broken or self.halted)

    def end_with(self, error: Exception) -> None:
        """Note why no further task is to be begun."""
        if isinstance(error, ModelError):
            self.stopped_by = error
        elif isinstance(error, LimitFarOff):
            self.far_off = error
        elif isinstance(error, BudgetReached):
            self.over_budget = error
        elif isinstance(error, QueueError):
            self.away = error


@dataclass
class _Supply:
    """What is still to be annotated, while the chunk goes on.

    A database that is away ends it, and not by an error: that would cut off the calls that are in flight, whose
    answers are paid for and wait for the database.
    """

    run: ChunkRun
    left: deque[Record]
    further: Callable[[], Sequence[Record]]
    is_halted: Callable[[], bool]
    until: float  # of the monotonic clock
    has_more: bool = True

    def next(self) -> Record | None:
        try:
            self.run.halted = self.run.halted or self.is_halted()
            if not self.left and self.has_more and not self.run.over and monotonic() <= self.until:
                self.left.extend(self.further())
                self.has_more = bool(self.left)
        except StoreError as error:
            _log.error("no further task is begun", extra={"reason": error.for_log})
            self.run.halted = True
        if self.run.over or monotonic() > self.until:
            return None
        return self.left.popleft() if self.left else None


async def annotate_records(
    records: Sequence[Record],
    question: Question,
    caller: Caller,
    store: Store,
    *,
    concurrency: int,
    longest_s: float = LONGEST_CHUNK_S,
    further: Callable[[], Sequence[Record]] = tuple,
    is_halted: Callable[[], bool] = _goes_on,
) -> ChunkRun:
    """Annotate `records`, at most `concurrency` at a time, and then what `further` gives, until that is nothing.

    After an error that stops the job, at the end of its budget, when it is halted, where the model's limit is far off,
    or after `longest_s`, the rest is released, and what has been answered of it is kept.

    Raises `QueueError`, with the rest released, and `StoreError`.
    """
    run = ChunkRun()
    supply = _Supply(run, deque(records), further, is_halted, until=monotonic() + longest_s)
    caller = caller.until(supply.until)
    save, keeping = storing(store.save_outcomes), Keeping(caller.sleep)

    async def one_after_another() -> None:
        try:
            await each()
        except StoreError as error:  # the others' calls are paid for, and go on to their end
            run.broken = run.broken or error

    async def each() -> None:
        while (record := supply.next()) is not None:
            add_log_fields(task=record.task_id)
            said = Said()
            try:
                outcome = await annotate_task(question, record.task, caller, take=record.take, said=said)
            except (ModelError, LimitFarOff, BudgetReached, QueueError) as error:
                run.end_with(error)
                run.released.append(record.id)
                if said.usage.calls:  # paid for; the replies are kept, and the task is asked for the rest later
                    store.add_usage(record.id, said.usage, said.latency_s)
                return
            await keeping.keep(partial(save, (record.id, record.data_hash, outcome)))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one_after_another())
    if run.broken is not None:
        raise run.broken
    run.released += [record.id for record in supply.left]
    store.release(run.released)
    if run.away is not None:
        raise run.away
    return run


@dataclass
class Said:
    """What was asked in a conversation and what that took; filled while it goes on."""

    requests: list[Request] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0


async def annotate_task(
    question: Question, task: Task, caller: Caller, *, take: int = 0, said: Said | None = None
) -> Outcome:
    """One task's outcome. Raises only what is no fault of the task: a `ModelError` that stops the job, `LimitFarOff`,
    `BudgetReached`, `QueueError`, `SettingsError` and `StoreError`; anything else becomes a failed outcome. `take`
    counts how often it was asked anew; `said` tells what a conversation took that ended by one of these errors.

    The replies of a conversation that came to nothing usable are forgotten: whoever asks again gets new ones. One
    that a second question has mended is kept whole.
    """
    said = Said() if said is None else said
    try:
        if question.calibration and not take and (known := question.calibration.reread(task)) is not None:
            return known
        media = await load_media(question, task, caller)
        await embed_examples(question, task, caller.embed)
        outcome = await _converse(annotate(question, task, media), caller, said, take)
        if outcome.state is TaskState.INVALID:
            caller.forget([request.key for request in said.requests])
        return question.calibration.applied(task, outcome) if question.calibration else outcome
    except ModelError as error:
        if error.stops_job:
            raise
        state = TaskState.SKIPPED if isinstance(error, ContextTooLong) else TaskState.FAILED
        failed = replace(_failed(error.kind, str(error)), state=state)
        return replace(failed, usage=said.usage, latency_s=said.latency_s)
    except (LimitFarOff, BudgetReached, QueueError, SettingsError, StoreError):  # the task is not at fault
        raise
    except MediaUnreachable as error:
        return _failed("media_unreachable", str(error))
    except PrelabelError as error:
        return _failed("refused", str(error))
    except Exception as error:  # noqa: BLE001  - the unit of work: one bad task never voids its chunk
        _log.exception("annotating a task failed", extra={"task": task.id, "error": type(error).__name__})
        failed = _failed("internal", f"An internal error ({type(error).__name__}): the log has it under this task.")
        return replace(failed, usage=said.usage, latency_s=said.latency_s)


async def _converse(dialogue: Dialogue, caller: Caller, said: Said, take: int) -> Outcome:
    """Let the model answer until the conversation has an outcome. Raises what the dialogue does."""
    try:
        request = next(dialogue)
        while True:
            request = replace(request, take=take) if take else request
            if said.requests and caller.late():
                raise LimitFarOff("The message took too long.", wait_s=0.0)
            said.requests.append(request)
            try:
                reply = await _ask(caller, request, paid=said.usage.calls > 0)
            except ModelError as error:
                request = dialogue.throw(error)
                continue
            said.usage, said.latency_s = said.usage + reply.usage, said.latency_s + reply.latency_s
            request = dialogue.send(reply)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return replace(outcome, request_key=said.requests[0].key) if take and said.requests else outcome


async def _ask(caller: Caller, request: Request, *, paid: bool) -> Reply:
    """One answer. What a task has paid for would be lost with it: its further calls are waited for, up to a limit."""
    patience_s = PATIENCE_S if paid else 0.0
    while True:
        try:
            return await caller.ask(request)
        except LimitFarOff as error:
            if error.wait_s > patience_s:
                raise
            patience_s -= max(error.wait_s, PATIENCE_S / 4)
            await caller.sleep(error.wait_s)


async def load_media(question: Question, task: Task, caller: Caller) -> Media:
    """What the task refers to. A model that sees no images still answers what is not asked about them.

    Raises `ModelTakesNoImages` where that is nothing, and `MediaUnreachable`.
    """
    if question.student is not None:  # who reads text only
        return {}
    sources, documents = question.config.media_sources(task.data), question.config.document_sources(task.data)
    if not sources and not documents:
        return {}
    model = question.agent.model
    sees = await caller.takes_images(model)
    if sources and not sees and question.config.only_about_images:
        raise ModelTakesNoImages(
            f"The model {model!r} takes no images: set PRELABEL_MODEL, or the agent's `model`, to one that does, "
            "or remove the controls about images."
        )
    images: Media = dict.fromkeys(sources, f"the model {model!r} takes no images")
    if sources and sees:
        images = await caller.media.fetch(task.id, sources)
    if not documents:
        return images
    found = await caller.media.fetch_documents(task.id, documents, pictures=sees)
    # One address may be wanted as both, and is at most one of them.
    return {**images, **{source: one for source, one in found.items() if not isinstance(images.get(source), Picture)}}


def _failed(error_class: str, message: str) -> Outcome:
    """Score 0 is Label Studio's sorting asking a person to look first, not a probability."""
    return Outcome(state=TaskState.FAILED, score=0.0, error_class=error_class, error=message)
