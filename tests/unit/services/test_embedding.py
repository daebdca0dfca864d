"""Each vector is made once, in calls that are governed and counted."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.errors import ModelBadRequest, ModelError, ModelServerError, StoreError
from backend.ports.embeddings import Embedded, Vector
from backend.ports.governor import CallEnd
from backend.services.embedding import CALLS_AT_ONCE, TEXTS_A_CALL, GovernedEmbedder, KeptEmbedder
from backend.services.governed_model import GovernedModel
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import HandClock, memory_store, replying
from tests.fakes.memory_governor import MemoryGovernor
from tests.fakes.memory_meters import MemoryMeters


class Counting:
    """A vector is a text's length; the calls are kept."""

    def __init__(self, error: ModelError | None = None, *, after: int = 0) -> None:
        self.calls: list[list[str]] = []
        self.error, self.after = error, after

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        self.calls.append(list(texts))
        if self.error is not None and len(self.calls) > self.after:
            raise self.error
        return Embedded(vectors=tuple(array("f", [len(text), 1.0]) for text in texts), prompt_tokens=5)


@pytest.fixture
def store() -> SqlStore:
    return memory_store(HandClock())


def kept(counting: Counting, store: SqlStore | None, endpoint: str = "http://model/v1") -> KeptEmbedder:
    return KeptEmbedder(embedder=counting, endpoint=endpoint, vectors=store)


def made(embedder: KeptEmbedder, *texts: str, model: str = "small") -> list[Vector]:
    return list(asyncio.run(embedder.embed(model, texts)).vectors)


def test_of_each_text_one_vector_is_made(store: SqlStore) -> None:
    counting = Counting()
    assert made(kept(counting, store), "a", "bb", "a") == [array("f", [n, 1.0]) for n in (1, 2, 1)]
    assert made(kept(counting, store), "bb", "ccc") == [array("f", [n, 1.0]) for n in (2, 3)]
    assert counting.calls == [["a", "bb"], ["ccc"]]


def test_another_model_or_endpoint_makes_its_own(store: SqlStore) -> None:
    counting = Counting()
    made(kept(counting, store), "a")
    made(kept(counting, store), "a", model="large")
    made(kept(counting, store, "http://other/v1"), "a")
    assert counting.calls == [["a"]] * 3


def test_without_a_store_they_last_as_long_as_the_loop() -> None:
    counting = Counting()
    embedder = kept(counting, None)

    async def both() -> None:
        await embedder.embed("small", ["a"])
        await embedder.embed("small", ["a", "b"])

    asyncio.run(both())
    assert counting.calls == [["a"], ["b"]]


def test_tasks_that_begin_together_share_a_call(store: SqlStore) -> None:
    counting = Counting()
    embedder = kept(counting, store)

    async def all_at_once() -> None:
        await asyncio.gather(*(embedder.embed("small", ["a", "b"]) for _ in range(5)))

    asyncio.run(all_at_once())
    assert counting.calls == [["a", "b"]]


class Slow(Counting):
    """Each call takes a turn of the loop or two, and what holds "bad" is refused."""

    def __init__(self, refusal: ModelError | None = None) -> None:
        super().__init__()
        self.refusal, self.under_way, self.most = refusal, 0, 0

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            if self.refusal is not None and any("bad" in text for text in texts):
                self.calls.append(list(texts))
                raise self.refusal
            return await super().embed(model, texts)
        finally:
            self.under_way -= 1


async def at_once(embedder: KeptEmbedder, texts: Sequence[str]) -> list[Embedded | BaseException]:
    return await asyncio.gather(*(embedder.embed("small", [text]) for text in texts), return_exceptions=True)


def test_what_tasks_want_at_the_same_time_goes_into_few_calls_side_by_side(store: SqlStore) -> None:
    slow = Slow()
    texts = [f"text {n}" for n in range(200)]
    found = asyncio.run(at_once(kept(slow, store), texts))
    assert found == [Embedded(vectors=(array("f", [len(text), 1.0]),)) for text in texts]
    assert [len(call) for call in slow.calls] == [32] * 6 + [8]
    assert slow.most == CALLS_AT_ONCE


def test_while_a_call_hangs_others_are_made() -> None:
    class Hanging(Counting):
        async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
            if texts == ["hangs"]:
                await asyncio.Event().wait()
            return await super().embed(model, texts)

    hanging = Hanging()
    embedder = kept(hanging, None)

    async def run() -> Embedded:
        first = asyncio.create_task(embedder.embed("small", ["hangs"]))
        await asyncio.sleep(0.01)
        second = await asyncio.wait_for(embedder.embed("small", ["a"]), 1)
        first.cancel()
        await embedder.close()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return second

    assert len(asyncio.run(run()).vectors) == 1


@pytest.mark.parametrize("turns", range(12))
def test_what_is_asked_the_moment_that_all_callers_end_is_made(turns: int) -> None:
    async def run() -> None:
        embedder = kept(Slow(), None)
        texts = [f"text {n}" for n in range(CALLS_AT_ONCE * TEXTS_A_CALL)]
        others = asyncio.create_task(at_once(embedder, texts))
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(embedder.embed("small", ["another"]), 1)
        await others

    asyncio.run(run())


def test_a_text_that_is_refused_fails_its_own_task_alone(store: SqlStore) -> None:
    slow = Slow(ModelBadRequest("refused"))
    found = asyncio.run(at_once(kept(slow, store), ["a", "bad", "ccc"]))
    assert [isinstance(one, ModelBadRequest) for one in found] == [False, True, False]
    assert slow.calls == [["a", "bad", "ccc"], ["a"], ["bad"], ["ccc"]]


def test_an_endpoint_that_is_away_is_asked_once_for_all() -> None:
    slow = Slow(ModelServerError("down"))
    found = asyncio.run(at_once(kept(slow, None), ["a", "bad", "ccc"]))
    assert [type(one) for one in found] == [ModelServerError] * 3
    assert len(slow.calls) == 1


def test_a_task_that_is_cancelled_takes_nothing_from_the_others() -> None:
    embedder = kept(Slow(), None)

    async def run() -> Embedded:
        first, second = (asyncio.create_task(embedder.embed("small", ["same"])) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert len(asyncio.run(run()).vectors) == 1


def test_what_cannot_be_looked_up_is_told_to_all_who_asked(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(keys: Sequence[str]) -> dict[str, Vector]:
        raise StoreError("away")

    monkeypatch.setattr(store, "vectors", away)
    found = asyncio.run(at_once(kept(Counting(), store), ["a", "b"]))
    assert [type(one) for one in found] == [StoreError] * 2


def test_what_was_made_before_an_error_is_kept(store: SqlStore) -> None:
    counting = Counting(ModelServerError("down"), after=1)
    texts = ["x" * n for n in range(1, TEXTS_A_CALL + 2)]
    with pytest.raises(ModelServerError):
        made(kept(counting, store), *texts)
    counting.error = None
    assert len(made(kept(counting, store), *texts)) == TEXTS_A_CALL + 1
    assert [len(call) for call in counting.calls] == [TEXTS_A_CALL, 1, 1]


def test_what_no_database_takes_is_replaced(store: SqlStore) -> None:
    counting = Counting()
    made(kept(counting, store), "a\x00b\ud800")
    assert counting.calls == [["a\ufffdb\ufffd"]]


def governed(counting: Counting) -> tuple[GovernedEmbedder, MemoryGovernor, MemoryMeters]:
    governor, meters = MemoryGovernor(), MemoryMeters()
    model = FunctionModel(lambda _: replying(""))
    leave = GovernedModel(model=model, governor=governor, slots=asyncio.Semaphore(1))
    return GovernedEmbedder(embedder=counting, governed=leave, meters=meters), governor, meters


def test_a_call_has_leave_and_is_counted() -> None:
    embedder, governor, meters = governed(Counting())
    asyncio.run(embedder.embed("small", ["a few words"]))
    assert governor.ends == [CallEnd(prompt_tokens=5, completion_tokens=0)]
    assert meters.counted["model_calls", "small", "answered"] == 1


def test_a_failed_call_is_settled_and_counted() -> None:
    embedder, governor, meters = governed(Counting(ModelServerError("down")))
    with pytest.raises(ModelServerError):
        asyncio.run(embedder.embed("small", ["a few words"]))
    assert len(governor.ends) == 1
    assert meters.counted["model_calls", "small", "server_error"] == 1
