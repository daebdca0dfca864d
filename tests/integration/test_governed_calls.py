"""The calls of a worker, put together as they are in a worker: each is in the governor's account, as the endpoint
counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis as redis_client

from backend import worker
from backend.adapters.redis_governor import RedisGovernor
from backend.adapters.rq_queue import BULK, INTERACTIVE
from backend.core.errors import LimitFarOff, ModelError, QueueError
from backend.core.values import Message, Reply, Request
from backend.settings import Settings, load_settings
from backend.wiring import Parts
from scripts.processes import free_port
from scripts.services import Redis
from tests.fakes.scripted_model import ScriptedModel

pytestmark = pytest.mark.integration

REQUEST = Request(
    messages=(Message(role="user", content='Data "text":\n~~~\nI love it\n~~~\n\n"mood": one of:\n- good\n- bad'),),
    schema={
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    },
    model="scripted",
    temperature=0.0,
    max_tokens=50,
    seed=0,
    logprobs=False,
)


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def parts(redis: Redis, endpoint: ScriptedModel, tmp_path: Path) -> Iterator[Parts]:
    made = Parts(settings(redis.url, endpoint, tmp_path))
    made.store.migrate()
    yield made
    made.store.close()


def settings(redis_url: str, endpoint: ScriptedModel, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "REDIS_URL": redis_url,
            "DATABASE_URL": f"sqlite:///{folder}/governed.sqlite3",
            "OPENAI_BASE_URL": endpoint.base_url,
            "OPENAI_API_KEY": "sk-secret",
            "PRELABEL_MODEL": "scripted",
            "PRELABEL_CACHE_DAYS": "0",  # each call is to reach the endpoint
        }
    )


def ask(parts: Parts, times: int) -> list[Reply | BaseException]:
    """Find out what the endpoint accepts, then ask so often at once."""

    async def calls() -> list[Reply | BaseException]:
        async with parts.endpoints.caller() as caller:
            caller = replace(caller, sleep=lambda seconds: asyncio.sleep(0))
            await caller.model.capabilities("scripted")
            asked = [caller.ask(replace(REQUEST, seed=n)) for n in range(times)]
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(calls())


def account(redis: Redis, endpoint: ScriptedModel) -> tuple[float, float, int]:
    """Requests and tokens in the ledger, and calls in flight."""
    governor = RedisGovernor(redis.url, endpoint=endpoint.base_url, api_key="sk-secret", interactive=False)
    state, _, leases, reserved = governor.names("scripted")
    asyncio.run(governor.close())
    with redis_client.Redis.from_url(redis.url, decode_responses=True) as connection:
        requests, tokens = connection.hmget(state, ["sum_r", "sum_t"])
        assert connection.zcard(leases) == connection.hlen(reserved)
        return float(requests), float(tokens), int(connection.zcard(leases))


def test_the_account_is_what_the_endpoint_counted(redis: Redis, endpoint: ScriptedModel, parts: Parts) -> None:
    replies = ask(parts, 20)
    used = [reply.usage for reply in replies if isinstance(reply, Reply)]
    assert len(used) == 20
    assert account(redis, endpoint) == (20, sum(u.prompt_tokens + u.completion_tokens for u in used), 0)


def test_refused_calls_use_no_tokens(redis: Redis, endpoint: ScriptedModel, parts: Parts) -> None:
    ask(parts, 0)
    endpoint.change(fail={"status": 400, "count": None})
    assert all(isinstance(reply, ModelError) for reply in ask(parts, 3))
    assert account(redis, endpoint) == (3, 0, 0)


def test_a_long_pause_is_for_every_worker(redis: Redis, endpoint: ScriptedModel, parts: Parts) -> None:
    ask(parts, 1)
    before = endpoint.counts()["calls"]
    endpoint.change(fail={"status": 429, "retry_after": 600})
    assert [type(reply) for reply in ask(parts, 1)] == [LimitFarOff]
    assert [type(reply) for reply in ask(Parts(parts.settings, interactive=True), 4)] == [LimitFarOff] * 4
    assert endpoint.counts()["calls"] == before + 1


def test_without_redis_there_is_no_call(endpoint: ScriptedModel, parts: Parts, tmp_path: Path) -> None:
    ask(parts, 0)
    before = endpoint.counts()["calls"]
    lost = Parts(settings(f"redis://127.0.0.1:{free_port()}/0", endpoint, tmp_path))
    assert [type(reply) for reply in ask(lost, 1)] == [QueueError]
    lost.store.close()
    assert endpoint.counts()["calls"] == before


@pytest.mark.parametrize(("queue", "interactive"), [(INTERACTIVE, True), (BULK, False), (None, False)])
def test_whether_somebody_waits_is_known_from_the_queue(
    monkeypatch: pytest.MonkeyPatch, redis: Redis, queue: str | None, interactive: bool
) -> None:
    monkeypatch.setenv("REDIS_URL", redis.url)
    load_settings.cache_clear()
    message = None if queue is None else SimpleNamespace(id="x", origin=queue)
    monkeypatch.setattr(worker, "get_current_job", lambda: message)
    seen: list[bool] = []

    class Work:
        def work(self, job_id: int, task_ids: list[int], claimant: str) -> None:
            """Nothing: only how it came to be asked is looked at."""

    def chunk_worker(self: Parts) -> Work:
        seen.append(self.interactive)
        return Work()

    monkeypatch.setattr(Parts, "chunk_worker", property(chunk_worker))
    worker.annotate_chunk(1, [])
    load_settings.cache_clear()
    assert seen == [interactive]
