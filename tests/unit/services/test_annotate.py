"""One chunk: bounded calls, one retry loop, nothing lost and nothing paid for silently."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from backend.core.errors import (
    ContextTooLong,
    LimitFarOff,
    MediaUnreachable,
    ModelBadRequest,
    ModelError,
    ModelQuotaExhausted,
    ModelRateLimited,
    ModelServerError,
    ModelTakesNoImages,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnreachable,
    QueueError,
    StoreError,
)
from backend.core.retry import MAX_ATTEMPTS, MAX_DELAY_S
from backend.core.values import Document, DocumentPage, Media, Picture, Reply, Request, TaskState, TokenLogprob, Usage
from backend.ports.store import Record
from backend.services.annotate import Caller, ChunkRun, annotate_records
from backend.services.keeping import LONGEST_S
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import AGENT, USAGE, Installation, by_mood, replying
from tests.fakes.memory_media import MemoryMedia

GOOD = json.dumps({"sentiment": "positive"})


def enlisted(installation: Installation, *texts: str) -> list[Record]:
    """The claimed records of a new project with these texts."""
    project_id, _ = installation.project(*texts)
    job_id = installation.start_run(project_id)
    ids = [task_id for message in installation.queue.messages for task_id in message.arguments[1]]
    job = installation.store.job(job_id)
    assert job is not None
    return installation.store.claim(job.version, project_id, ids, "test")


def annotate(installation: Installation, records: list[Record], *, concurrency: int = 4) -> ChunkRun:
    row = installation.store.project(records[0].project_id)
    assert row is not None
    question = installation.projects.question(row)

    async def run() -> ChunkRun:
        async with installation.caller() as caller:
            return await annotate_records(
                records,
                question,
                caller,
                installation.store,
                concurrency=concurrency,
                is_halted=lambda: installation.stopping,
            )

    return asyncio.run(run())


def states(installation: Installation, records: list[Record]) -> dict[str, TaskState]:
    """Text -> state."""
    first = records[0]
    found = installation.store.records(first.project_id, first.version, [r.task_id for r in records])
    return {str(r.data["text"]): r.state for r in found.values()}


def in_turn(*answers: Reply | ModelError) -> Callable[[Request], Reply | ModelError]:
    """These answers one after the other, then good ones."""
    waiting = list(answers)
    return lambda request: waiting.pop(0) if waiting else replying(GOOD)


def text_of(request: Request) -> str:
    return request.messages[-1].content.partition("Annotate the data above")[0]


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_calls_in_flight_are_bounded_and_used(concurrency: int) -> None:
    installation = Installation()
    records = enlisted(installation, *(f"text {n}" for n in range(12)))
    in_flight, most = 0, 0

    class Slow(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            in_flight -= 1
            return await super().ask(request)

    installation.model = Slow(by_mood)
    annotate(installation, records, concurrency=concurrency)
    assert most == min(concurrency, len(records))


def test_answers_stay_with_their_tasks_in_whatever_order_they_come() -> None:
    installation = Installation()
    records = enlisted(installation, *(f"{'bad' if n % 3 else 'good'} {n}" for n in range(9)))

    class LastFirst(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            for _ in range(20 - 2 * int(text_of(request).split()[-2])):
                await asyncio.sleep(0)
            return await super().ask(request)

    installation.model = LastFirst(by_mood)
    annotate(installation, records, concurrency=9)
    answered = [int(text_of(request).split()[-2]) for request in installation.model.requests]
    assert answered == sorted(answered, reverse=True)
    found = installation.store.records(records[0].project_id, records[0].version, [r.task_id for r in records])
    for record in found.values():
        expected = "positive" if record.data["text"].startswith("good") else "negative"
        assert record.result[0]["value"] == {"choices": [expected]}


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (ModelUnauthorized("no"), 1),
        (ModelQuotaExhausted("no"), 1),
        (ModelUnreachable("no"), MAX_ATTEMPTS),
    ],
)
def test_an_error_that_all_would_meet_stops_the_chunk_and_loses_nothing(error: ModelError, calls: int) -> None:
    installation = Installation(lambda request: error)
    installation.refusal = error
    records = enlisted(installation, *(f"text {n}" for n in range(8)))
    run = annotate(installation, records, concurrency=1)
    assert run.stopped_by is error
    assert len(installation.model.requests) == calls
    assert set(states(installation, records).values()) == {TaskState.QUEUED}
    again = installation.store.claim(records[0].version, records[0].project_id, [r.task_id for r in records], "other")
    assert [r.id for r in again] == [r.id for r in records]


@pytest.mark.parametrize(
    ("error", "calls"), [(ModelUnauthorized("HTTP 403"), 2), (ModelUnreachable("cut"), MAX_ATTEMPTS + 1)]
)
def test_what_is_refused_alone_fails_by_itself_and_stops_nobody(error: ModelError, calls: int) -> None:
    """A filter before the model, or a request at which the server breaks: tiny questions are answered meanwhile."""
    installation = Installation(lambda request: error if "poison" in text_of(request) else replying(GOOD))
    records = enlisted(installation, "poison", "one", "two")
    run = annotate(installation, records, concurrency=1)
    assert run.stopped_by is None
    assert states(installation, records) == {
        "poison": TaskState.FAILED,
        "one": TaskState.DONE,
        "two": TaskState.DONE,
    }
    assert installation.store.counts(records[0].project_id).errors == {error.kind: 1}
    assert len(installation.model.requests) == calls + 2


def test_a_refusal_that_passes_is_forgotten() -> None:
    installation = Installation(in_turn(ModelUnauthorized("HTTP 403")))
    records = enlisted(installation, "text")
    assert annotate(installation, records).stopped_by is None
    assert states(installation, records) == {"text": TaskState.DONE}


def test_a_connection_that_is_not_made_is_never_the_task_s_fault() -> None:
    error = ModelUnreachable("no connection")
    error.lost = False
    installation = Installation(lambda request: error)
    records = enlisted(installation, "text")
    assert annotate(installation, records).stopped_by is error
    assert states(installation, records) == {"text": TaskState.QUEUED}


def test_what_was_answered_before_the_stop_is_kept() -> None:
    installation = Installation(in_turn(replying(GOOD), replying(GOOD), ModelUnauthorized("no")))
    installation.refusal = ModelUnauthorized("no")
    records = enlisted(installation, "one", "two", "three", "four")
    annotate(installation, records, concurrency=1)
    found = states(installation, records)
    assert found == {
        "one": TaskState.DONE,
        "two": TaskState.DONE,
        "three": TaskState.QUEUED,
        "four": TaskState.QUEUED,
    }


def test_calls_in_flight_when_another_stops_the_chunk_are_kept() -> None:
    installation = Installation()
    installation.refusal = ModelUnauthorized("no")
    records = enlisted(installation, "slow", "stopper")

    class Model(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            if "stopper" in text_of(request):
                raise ModelUnauthorized("no")
            for _ in range(10):
                await asyncio.sleep(0)
            return replying(GOOD)

    installation.model = Model(by_mood)
    run = annotate(installation, records, concurrency=2)
    assert run.stopped_by is not None
    assert states(installation, records) == {"slow": TaskState.DONE, "stopper": TaskState.QUEUED}


def test_retry_after_is_waited_for_and_the_answer_taken() -> None:
    installation = Installation(in_turn(ModelRateLimited("slow down", retry_after_s=7.0)))
    records = enlisted(installation, "text")
    annotate(installation, records)
    assert installation.clock.slept == [7.0]
    assert states(installation, records) == {"text": TaskState.DONE}


def test_a_long_retry_after_is_cut() -> None:
    installation = Installation(in_turn(ModelRateLimited("slow down", retry_after_s=3600.0)))
    annotate(installation, enlisted(installation, "text"))
    assert installation.clock.slept == [MAX_DELAY_S]


@pytest.mark.parametrize("error", [ModelTimeout("t"), ModelServerError("s"), ModelRateLimited("r")])
def test_a_transient_error_is_tried_again_after_growing_waits(error: ModelError) -> None:
    installation = Installation(in_turn(error, error))
    records = enlisted(installation, "text")
    annotate(installation, records)
    first, second = installation.clock.slept
    assert 0 < first < second
    assert states(installation, records) == {"text": TaskState.DONE}


def test_a_lasting_limit_fails_no_task() -> None:
    installation = Installation(lambda request: ModelRateLimited("The endpoint limits the rate."))
    records = enlisted(installation, "one", "two")
    run = annotate(installation, records)
    assert states(installation, records) == {"one": TaskState.QUEUED, "two": TaskState.QUEUED}
    assert isinstance(run.far_off, LimitFarOff)


@pytest.mark.parametrize("error", [ModelTimeout("t"), ModelServerError("s")])
def test_a_lasting_error_fails_its_task_only(error: ModelError) -> None:
    installation = Installation(lambda request: error if "ill" in text_of(request) else by_mood(request))
    records = enlisted(installation, "ill", "well")
    annotate(installation, records)
    assert states(installation, records) == {"ill": TaskState.FAILED, "well": TaskState.DONE}
    assert len(installation.model.requests) == MAX_ATTEMPTS + 1
    counts = installation.store.counts(records[0].project_id)
    assert counts.errors == {error.kind: 1}


def test_a_refused_request_is_not_asked_again() -> None:
    installation = Installation(lambda request: ModelBadRequest("no"))
    records = enlisted(installation, "text")
    annotate(installation, records)
    assert len(installation.model.requests) == 1
    assert states(installation, records) == {"text": TaskState.FAILED}


def test_a_prompt_that_is_too_long_is_skipped_with_score_0() -> None:
    installation = Installation(lambda request: ContextTooLong("too long"))
    records = enlisted(installation, "text")
    annotate(installation, records)
    found = installation.store.records(records[0].project_id, records[0].version, [records[0].task_id])
    record = found[records[0].task_id]
    assert (record.state, record.score, record.error) == (TaskState.SKIPPED, 0.0, "too long")


def test_an_internal_error_in_one_task_voids_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request) -> Reply:
        if "ill" in text_of(request):
            raise ZeroDivisionError("a secret text")
        return by_mood(request)

    installation = Installation(answer)
    records = enlisted(installation, "ill", "well", "also well")
    annotate(installation, records)
    found = states(installation, records)
    assert found == {"ill": TaskState.FAILED, "well": TaskState.DONE, "also well": TaskState.DONE}
    ill = next(r for r in records if r.data["text"] == "ill")
    record = installation.store.records(ill.project_id, ill.version, [ill.task_id])[ill.task_id]
    assert record.error is not None
    assert "ZeroDivisionError" in record.error
    assert "secret" not in record.error
    assert [r.task for r in caplog.records if r.name == "backend.services.annotate"] == [ill.task_id]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error", [ModelUnauthorized("a"), ModelQuotaExhausted("q"), ModelBadRequest("b"), ContextTooLong("c")]
)
def test_what_was_paid_before_a_failure_is_counted(error: ModelError) -> None:
    """The first answer cannot be read; the second call, which asks again, fails."""
    installation = Installation(in_turn(replying("no JSON"), error))
    installation.refusal = error
    installation.projects = type(installation.projects)(
        store=installation.store,
        agent=type(installation.projects.agent)(name="tests", model="m", template="default.v1", reasks=1),
        template_source=installation.projects.template_source,
    )
    installation.jobs = type(installation.jobs)(
        store=installation.store,
        labels=installation.labels,
        queue=installation.queue,
        projects=installation.projects,
        auditing=installation.auditing,
        chunk_size=2,
    )
    records = enlisted(installation, "text")
    run = annotate(installation, records)
    assert run.stopped_by is None
    assert installation.store.counts(records[0].project_id).usage == USAGE
    assert set(states(installation, records).values()) == {TaskState.INVALID}


@pytest.mark.parametrize("keeps_replies", [True, False])
def test_a_conversation_goes_on_in_the_next_message_where_this_one_took_too_long(keeps_replies: bool) -> None:
    """What is paid is kept, and not paid again; where nothing is kept, the task is asked to its end."""

    def slow(request: Request) -> Reply:
        time.sleep(0.1)
        text = "no JSON" if len(request.messages) < 3 else GOOD
        return replying(text, tokens=(TokenLogprob(token=text, logprob=-0.1),))

    installation = Installation(slow, cached=keeps_replies, agent=replace(AGENT, reasks=1))
    records = enlisted(installation, "text")
    row = installation.store.project(records[0].project_id)
    assert row is not None
    question = installation.projects.question(row)

    async def go(longest_s: float) -> ChunkRun:
        async with installation.caller() as caller:
            caller = replace(caller, keeps_replies=keeps_replies)
            return await annotate_records(
                records, question, caller, installation.store, concurrency=1, longest_s=longest_s
            )

    run = asyncio.run(go(0.05))
    if keeps_replies:
        assert (str(run.far_off), run.released) == ("The message took too long.", [records[0].id])
        assert installation.store.counts(records[0].project_id).usage == USAGE
        installation.store.claim(records[0].version, records[0].project_id, [records[0].task_id], "next")
        asyncio.run(go(60.0))
    assert states(installation, records) == {"text": TaskState.DONE}
    assert len(installation.model.requests) == 2


def test_the_usage_of_every_call_is_counted() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two", "three")
    annotate(installation, records)
    assert installation.store.counts(records[0].project_id).usage == USAGE + USAGE + USAGE


def test_a_database_that_fails_is_told_and_not_taken_for_a_bad_task() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two")

    def fail(*_: object) -> None:
        raise StoreError("The database does not answer.")

    installation.store.save_outcomes = fail  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        annotate(installation, records)
    assert sum(installation.clock.slept) >= LONGEST_S


def test_an_answer_waits_until_the_database_takes_it() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two")
    save, refusals = installation.store.save_outcomes, iter([True, True, True])

    def full(*arguments: Any) -> None:
        if next(refusals, False):
            raise StoreError("The disk is full.")
        save(*arguments)

    installation.store.save_outcomes = full  # type: ignore[method-assign]
    annotate(installation, records)
    assert states(installation, records) == {"one": TaskState.DONE, "two": TaskState.DONE}
    assert len(installation.model.requests) == 2


def test_a_stop_gives_back_what_is_not_begun() -> None:
    def answer(request: Request) -> Reply:
        installation.stopping = True
        return by_mood(request)

    installation = Installation(answer)
    records = enlisted(installation, "one", "two", "three")
    annotate(installation, records, concurrency=1)
    assert list(states(installation, records).values()) == [TaskState.DONE, TaskState.QUEUED, TaskState.QUEUED]
    assert len(installation.model.requests) == 1


def test_a_stop_ends_the_retries_too() -> None:
    def answer(request: Request) -> ModelServerError:
        installation.stopping = True
        return ModelServerError("away")

    installation = Installation(answer)
    records = enlisted(installation, "one")
    annotate(installation, records)
    assert states(installation, records) == {"one": TaskState.QUEUED}
    assert len(installation.model.requests) == 1


PHOTOS = (
    '<View><Image name="photo" value="$text"/><Choices name="sentiment" toName="photo">'
    '<Choice value="positive"/><Choice value="negative"/></Choices>{}</View>'
)
CAPTION = '<Text name="words" value="$words"/><Choices name="tone" toName="words"><Choice value="calm"/></Choices>'
PICTURE = Picture(data_uri="data:image/png;base64,AAAA", width=2, height=1)


def photos(installation: Installation, *sources: str, more: str = "", config: str = PHOTOS) -> list[Record]:
    """The claimed records of a project of photos; `text` holds each one's address."""
    number, task_ids = installation.project(*sources, config=config.format(more))
    for task_id in task_ids:
        installation.labels.projects[number].tasks[task_id]["words"] = "hello"
    job = installation.store.job(installation.start_run(number))
    assert job is not None
    return installation.store.claim(job.version, number, task_ids, "test")


def test_what_a_task_refers_to_is_fetched_first_and_sent_along() -> None:
    installation = Installation()
    installation.media.found = {"http://a": PICTURE, "http://b": "its server answers HTTP 404"}
    records = photos(installation, "http://a", "http://b")
    annotate(installation, records)
    assert states(installation, records) == {"http://a": TaskState.DONE, "http://b": TaskState.SKIPPED}
    assert sorted(installation.media.fetched) == [
        (record.task_id, source) for record, source in zip(records, ("http://a", "http://b"), strict=True)
    ]
    (request,) = installation.model.requests
    assert request.messages[-1].images == (PICTURE.data_uri,)
    first = records[0]
    found = installation.store.records(first.project_id, first.version, [r.task_id for r in records])
    assert "HTTP 404" in str(found[records[1].task_id].error)


def test_an_image_that_may_come_later_fails_its_task_and_the_next_run_asks_again() -> None:
    installation = Installation()
    installation.media.found = {"http://a": MediaUnreachable("It did not come in time."), "http://b": PICTURE}
    records = photos(installation, "http://a", "http://b")
    annotate(installation, records)
    assert states(installation, records) == {"http://a": TaskState.FAILED, "http://b": TaskState.DONE}
    project_id = records[0].project_id
    assert installation.store.counts(project_id).errors == {"media_unreachable": 1}
    installation.media.found["http://a"] = PICTURE
    job = installation.store.job(installation.start_run(project_id))
    assert job is not None
    again = installation.store.claim(job.version, project_id, [r.task_id for r in records], "test")
    assert [r.data["text"] for r in again] == ["http://a"]
    annotate(installation, again)
    assert states(installation, again) == {"http://a": TaskState.DONE}


def test_a_model_that_sees_no_images_stops_the_job_before_anything_is_spent() -> None:
    installation = Installation()
    installation.model.images = False
    records = photos(installation, "http://a", "http://b")
    run = annotate(installation, records, concurrency=1)
    assert isinstance(run.stopped_by, ModelTakesNoImages)
    assert "takes no images" in str(run.stopped_by)
    assert installation.model.requests == []
    assert installation.media.fetched == []
    assert set(states(installation, records).values()) == {TaskState.QUEUED}


def test_a_model_that_sees_no_images_answers_what_is_about_text() -> None:
    def answer(request: Request) -> Reply:
        assert '"sentiment"' not in request.messages[-1].content
        return replying('{"tone": "calm"}')

    installation = Installation(answer)
    installation.model.images = False
    records = photos(installation, "http://a", more=CAPTION)
    annotate(installation, records)
    assert states(installation, records) == {"http://a": TaskState.DONE}
    assert installation.model.requests[0].messages[-1].images == ()
    assert installation.media.fetched == []


def test_a_task_without_images_asks_nothing_about_them() -> None:
    installation = Installation()
    installation.model.images = False
    records = enlisted(installation, "text")
    annotate(installation, records)
    assert states(installation, records) == {"text": TaskState.DONE}


LETTERS = PHOTOS.replace('<Image name="photo"', '<Pdf name="photo"')
LETTER = Document(pages=(DocumentPage(text="I hate it."), DocumentPage(text="", picture=PICTURE)), page_count=2)
TEXT_ONLY = Document(pages=(DocumentPage(text="I hate it."), DocumentPage(text="", partial=True)), page_count=2)


def test_a_document_is_loaded_with_images_of_its_pages_where_the_model_sees_them() -> None:
    installation = Installation()
    installation.media.found = {"http://a": LETTER}
    records = photos(installation, "http://a", config=LETTERS)
    annotate(installation, records)
    assert states(installation, records) == {"http://a": TaskState.DONE}
    assert installation.media.pictures == [True]
    (message,) = installation.model.requests[0].messages[1:]
    assert message.images == (PICTURE.data_uri,)
    assert "Page 1:\nI hate it.\n\nPage 2 (Image 1)\n" in message.content


def test_a_model_that_sees_no_images_answers_from_a_documents_text() -> None:
    installation = Installation()
    installation.model.images = False
    scan = Document(pages=(DocumentPage(text="", partial=True),), page_count=1)
    installation.media.found = {"http://a": TEXT_ONLY, "http://b": scan}
    records = photos(installation, "http://a", "http://b", config=LETTERS)
    run = annotate(installation, records)
    assert run.stopped_by is None
    assert states(installation, records) == {"http://a": TaskState.DONE, "http://b": TaskState.SKIPPED}
    assert installation.media.pictures == [False, False]
    found = installation.store.records(records[0].project_id, records[0].version, [r.task_id for r in records])
    assert "holds no text, and the model takes no images" in str(found[records[1].task_id].error)


@pytest.mark.parametrize(("sees", "asked"), [(True, {"sentiment", "tone"}), (False, {"tone"})])
def test_a_document_beside_an_image(sees: bool, asked: set[str]) -> None:
    more = '<Pdf name="words" value="$words"/><Choices name="tone" toName="words"><Choice value="calm"/></Choices>'
    installation = Installation(lambda request: replying('{"sentiment": "positive", "tone": "calm"}'))
    installation.model.images = sees
    installation.media.found = {"http://a": PICTURE, "hello": LETTER if sees else TEXT_ONLY}
    records = photos(installation, "http://a", more=more)
    annotate(installation, records)
    assert states(installation, records) == {"http://a": TaskState.DONE}
    assert set(installation.model.requests[0].schema["properties"]) == asked
    assert len(installation.model.requests[0].messages[-1].images) == (2 if sees else 0)


@pytest.mark.parametrize(("found", "answered"), [(PICTURE, "sentiment"), (LETTER, "tone")])
def test_an_address_that_is_wanted_as_both_is_what_it_is(found: Picture | Document, answered: str) -> None:
    class Either(MemoryMedia):
        async def fetch(self, task_id: int, sources: Sequence[str]) -> Media:
            return {s: found if isinstance(found, Picture) else "it is no image" for s in sources}

        async def fetch_documents(self, task_id: int, sources: Sequence[str], *, pictures: bool) -> Media:
            return {s: found if isinstance(found, Document) else "it is no PDF document" for s in sources}

    more = '<Pdf name="words" value="$text"/><Choices name="tone" toName="words"><Choice value="calm"/></Choices>'
    installation = Installation(lambda request: replying('{"sentiment": "positive", "tone": "calm"}'))
    installation.media = Either()
    records = photos(installation, "http://a", more=more)
    annotate(installation, records)
    assert set(installation.model.requests[0].schema["properties"]) == {answered}


def test_a_caller_sleeps_as_its_randomness_says() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    model = FunctionModel(in_turn(ModelTimeout("t")))
    request = Request(messages=(), schema={}, model="m", temperature=0, max_tokens=1, seed=None, logprobs=False)
    reply = asyncio.run(Caller(model=model, media=MemoryMedia(), sleep=sleep, random=lambda: 0.5).ask(request))
    assert reply.usage == Usage(prompt_tokens=10, completion_tokens=3, calls=1)
    assert slept == [pytest.approx(0.75)]


class Limited(FunctionModel):
    """A model whose limit is far off for the calls of these numbers, from 1."""

    def __init__(self, far_off: Callable[[int], float | None], **kwargs: bool) -> None:
        super().__init__(by_mood, **kwargs)
        self._far_off = far_off
        self.asked = 0

    async def ask(self, request: Request) -> Reply:
        self.asked += 1
        wait_s = self._far_off(self.asked)
        if wait_s is not None:
            raise LimitFarOff("not now", wait_s=wait_s)
        return await super().ask(request)


def test_where_the_limit_is_far_off_the_rest_is_given_back_and_nothing_fails() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two", "three", "four")
    installation.model = Limited(lambda number: 300.0 if number == 3 else None)
    run = annotate(installation, records, concurrency=1)
    assert run.far_off is not None
    assert run.far_off.wait_s == 300.0
    assert run.stopped_by is None
    assert sorted(states(installation, records).values()) == [TaskState.DONE] * 2 + [TaskState.QUEUED] * 2
    assert installation.model.asked == 3
    assert installation.clock.slept == []


def test_a_task_that_has_paid_for_an_answer_waits_for_its_further_ones() -> None:
    agent = replace(AGENT, confidence="agreement", samples=3)
    installation = Installation(agent=agent)
    records = enlisted(installation, "one")
    installation.model = Limited(lambda number: 40.0 if number == 2 else None)
    run = annotate(installation, records)
    assert run.far_off is None
    assert installation.clock.slept == [40.0]
    assert states(installation, records) == {"one": TaskState.DONE}


@pytest.mark.parametrize(("wait_s", "asked"), [(3_600.0, 2), (1.0, 6)])
def test_it_does_not_wait_for_ever(wait_s: float, asked: int) -> None:
    agent = replace(AGENT, confidence="agreement", samples=3)
    installation = Installation(agent=agent)
    records = enlisted(installation, "one")
    installation.model = Limited(lambda number: wait_s if number >= 2 else None)
    assert annotate(installation, records).far_off is not None
    assert installation.model.asked == asked
    assert states(installation, records) == {"one": TaskState.QUEUED}


def test_what_is_not_begun_in_time_is_given_back() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two")
    row = installation.store.project(records[0].project_id)
    assert row is not None
    question = installation.projects.question(row)

    async def run() -> ChunkRun:
        async with installation.caller() as caller:
            return await annotate_records(records, question, caller, installation.store, concurrency=2, longest_s=-1.0)

    assert sorted(asyncio.run(run()).released) == sorted(record.id for record in records)
    assert set(states(installation, records).values()) == {TaskState.QUEUED}
    assert installation.model.requests == []


def test_without_redis_nothing_fails_and_all_is_given_back() -> None:
    installation = Installation()
    records = enlisted(installation, "one", "two", "three")

    class Away(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            raise QueueError("Redis cannot be used")

    installation.model = Away(by_mood)
    with pytest.raises(QueueError):
        annotate(installation, records, concurrency=2)
    assert set(states(installation, records).values()) == {TaskState.QUEUED}
