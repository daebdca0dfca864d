"""No call that could take a job above its budget, whoever makes it; and what is paid is counted."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.errors import (
    BudgetReached,
    LimitFarOff,
    ModelBadRequest,
    ModelServerError,
    ModelTimeout,
    ModelUnreachable,
    SettingsError,
)
from backend.core.values import Message, Reply, Request, Usage
from backend.ports.store import JobLimits
from backend.services.budgeted_model import BudgetedModel, most_prompt_tokens
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import replying

MILLION = 1_000_000


def request(text: str = "Is it good?", max_tokens: int = 40) -> Request:
    return Request(
        messages=(Message(role="user", content=text),),
        schema={},
        model="m",
        temperature=0.0,
        max_tokens=max_tokens,
        seed=None,
        logprobs=False,
    )


MOST = most_prompt_tokens(request()) + 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    store.migrate()
    yield store
    store.close()


def job(store: SqlStore, **limits: float) -> int:
    job_id = store.create_job(1, "v", "run")
    store.set_job_limits(job_id, JobLimits(**limits))  # type: ignore[arg-type]
    return job_id


def model(store: SqlStore, job_id: int, answer: object = None, **changes: object) -> BudgetedModel:
    found = FunctionModel(answer or (lambda _: replying("yes")))  # type: ignore[arg-type]
    return BudgetedModel(**{"model": found, "ledger": store, "job_id": job_id, "price": None, "lease_s": 60, **changes})  # type: ignore[arg-type]


def test_a_call_costs_what_it_used(store: SqlStore) -> None:
    job_id = job(store, budget_tokens=MOST)
    asyncio.run(model(store, job_id).ask(request()))
    spent = store.spending(job_id)
    assert (spent.tokens, spent.in_flight) == (13, 0)
    with pytest.raises(BudgetReached):
        asyncio.run(model(store, job_id).ask(request()))
    assert store.spending(job_id).tokens == 13


def unsent() -> ModelUnreachable:
    error = ModelUnreachable("no connection")
    error.lost = False
    return error


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (ModelTimeout("no answer"), MOST),
        (ModelServerError("500"), MOST),
        (ModelUnreachable("cut"), MOST),
        (unsent(), 0),
        (ModelBadRequest("400"), 0),
    ],
)
def test_a_call_that_was_lost_counts_in_full_and_a_refused_one_not_at_all(
    store: SqlStore, error: Exception, counted: int
) -> None:
    job_id = job(store, budget_tokens=10_000)
    with pytest.raises(type(error)):
        asyncio.run(model(store, job_id, lambda _: error).ask(request()))
    spent = store.spending(job_id)
    assert (spent.tokens, spent.in_flight) == (counted, 0)


def test_a_call_that_was_not_made_costs_nothing(store: SqlStore) -> None:
    class FarOff(FunctionModel):
        async def ask(self, request: Request) -> Reply:
            raise LimitFarOff("later", wait_s=60)

    job_id = job(store, budget_tokens=10_000)
    with pytest.raises(LimitFarOff):
        asyncio.run(model(store, job_id, model=FarOff(lambda _: replying("yes"))).ask(request()))
    assert (store.spending(job_id).tokens, store.spending(job_id).in_flight) == (0, 0)


def test_an_answer_without_usage_counts_in_full(store: SqlStore) -> None:
    job_id = job(store, budget_tokens=10_000)
    asyncio.run(model(store, job_id, lambda _: replying("yes", usage=Usage(calls=1))).ask(request()))
    assert store.spending(job_id).tokens == MOST


def test_dollars(store: SqlStore) -> None:
    job_id = job(store, budget_usd=1.5 * MOST / MILLION)
    dear = model(store, job_id, price=lambda _, prompt, answer: (prompt + answer) / MILLION)
    asyncio.run(dear.ask(request()))
    assert store.spending(job_id).usd == pytest.approx(13 / MILLION)
    unknown = model(store, job_id, price=lambda *_: None)
    with pytest.raises(SettingsError, match="PRELABEL_USD_PER_MILLION_INPUT"):
        asyncio.run(unknown.ask(request()))


def test_it_waits_for_those_in_flight_that_may_leave_room(store: SqlStore) -> None:
    job_id = job(store, budget_tokens=MOST + 20)
    other = store.reserve_spending(job_id, tokens=MOST, usd=0, lease_s=60)
    assert other is not None
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        store.settle_spending(other, tokens=10, usd=0)

    asyncio.run(model(store, job_id, sleep=sleep).ask(request()))
    assert len(waited) == 1
    assert store.spending(job_id).tokens == 23


@pytest.mark.parametrize("text", ["नमस्ते 👋🏽", "x" * 500, "a\ud800b", ""])
def test_a_token_has_at_least_a_byte(text: str) -> None:
    assert most_prompt_tokens(request(text)) >= len(text.encode("utf-8", "surrogatepass")) + 8


def test_several_workers_never_spend_more_than_the_budget(store: SqlStore, tmp_path: Path) -> None:
    """Each has connections of its own; the model answers at its length, and counts what it was asked to do."""
    budget, lock, used = 4_000, threading.Lock(), [0]
    job_id = job(store, budget_tokens=budget)

    def answer(asked: Request) -> Reply:
        tokens = random.randrange(1, asked.max_tokens + 1)
        with lock:
            used[0] += 12 + tokens
        usage = Usage(prompt_tokens=12, completion_tokens=tokens, calls=1)
        return replying("yes", usage=usage)

    def work(_: int) -> None:
        own = SqlStore(f"sqlite:///{tmp_path / 'store.sqlite3'}")

        async def one(budgeted: BudgetedModel) -> None:
            while True:
                await budgeted.ask(request())

        async def several() -> list[BaseException | None]:
            asked = [one(model(own, job_id, answer)) for _ in range(4)]
            return await asyncio.gather(*asked, return_exceptions=True)

        assert {type(error) for error in asyncio.run(several())} == {BudgetReached}
        own.close()

    with ThreadPoolExecutor(3) as workers:
        list(workers.map(work, range(3)))
    assert budget - MOST < used[0] <= budget
    assert (store.spending(job_id).tokens, store.spending(job_id).in_flight) == (used[0], 0)
