"""How much of a model's limit four workers make use of together, and how often they are refused.

A real Redis, a model in a process of its own that lets through 600 requests and 120,000 tokens in any 60 s, and four
processes that call it through the governor as workers do. Then the same with limits that nobody tells: the model
refuses whatever is above 20 calls in flight.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from scripts import places
from scripts.benchmarks.report import BenchError, Figure, Report
from scripts.processes import Running, free_port, process_env, start_process
from scripts.services import Redis, start_redis

PROCESSES = 4
REQUESTS_A_MINUTE, TOKENS_A_MINUTE = 600, 120_000
MOST_IN_FLIGHT = 20
TASKS_IN_HAND = 32  # of one process: more than may be in flight, so that the governor is what bounds the calls
HELD, HELD_UNKNOWN, REFUSED = 95.0, 85.0, 1.0  # percent
START_S = 60
LAST_CALL_S = 60
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["negative", "positive"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
SENTENCE = "Parcel {n} came two days late and nobody at the desk knew why, but the staff were kind about it. "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=300, help="of measuring, for each of the two (default 300)")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds that the model takes for an answer")
    parser.add_argument("--sentences", type=int, default=8, help="of a prompt, on average (default 8)")
    parser.add_argument("--learnt", action="store_true", help="the limits are learnt from headers, not set")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        redis = stack.enter_context(start_redis(Path(folder) / "redis", persist=False))
        return Report(figures=[*known(Path(folder), redis, asked), *unknown(Path(folder), redis, asked)])


def known(folder: Path, redis: Redis, asked: argparse.Namespace) -> list[Figure]:
    limits = {"requests-per-minute": REQUESTS_A_MINUTE, "tokens-per-minute": TOKENS_A_MINUTE}
    told = {} if asked.learnt else {f"PRELABEL_{k.upper().replace('-', '_')}": str(v) for k, v in limits.items()}
    arguments = [f"--{name}={value}" for name, value in limits.items()]
    seconds, through, outcomes = measured(folder / "known", redis, asked, arguments, told)
    shares = {
        "requests": 100 * through["requests"] / (REQUESTS_A_MINUTE * seconds / 60),
        "tokens": 100 * through["tokens"] / (TOKENS_A_MINUTE * seconds / 60),
    }
    binding = max(shares, key=lambda what: shares[what])
    limit = REQUESTS_A_MINUTE if binding == "requests" else TOKENS_A_MINUTE
    return [
        Figure(name=f"{limit:,} {binding} a minute: unused", value=100 - shares[binding], unit="%", limit=100 - HELD),
        refused("known limits", outcomes),
        Figure(name="known limits: calls let through", value=60 * through["requests"] / seconds, unit="a minute"),
    ]


def unknown(folder: Path, redis: Redis, asked: argparse.Namespace) -> list[Figure]:
    arguments = [f"--max-in-flight={MOST_IN_FLIGHT}", "--no-limit-headers"]
    seconds, _, outcomes = measured(folder / "unknown", redis, asked, arguments, {})
    answered = sum(outcomes.values()) - outcomes.get("429", 0)
    share = 100 * answered / (seconds * MOST_IN_FLIGHT / asked.latency)
    return [
        Figure(
            name=f"{MOST_IN_FLIGHT} in flight, not told: unused", value=100 - share, unit="%", limit=100 - HELD_UNKNOWN
        ),
        refused("limits not told", outcomes, held_to_limit=False),
    ]


def refused(name: str, outcomes: dict[str, int], *, held_to_limit: bool = True) -> Figure:
    share = 100 * outcomes.get("429", 0) / max(1, sum(outcomes.values()))
    return Figure(name=f"{name}: answered 429", value=share, unit="%", limit=REFUSED if held_to_limit else None)


def measured(
    folder: Path, redis: Redis, asked: argparse.Namespace, arguments: list[str], told: dict[str, str]
) -> tuple[float, dict[str, int], dict[str, int]]:
    """Seconds, what was let through in them, and the outcomes of the calls, all as the model counts them."""
    with model(folder, asked.latency, arguments) as url, ExitStack() as stack, httpx.Client(trust_env=False) as client:
        own = {
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "scripted",
            "PRELABEL_MODEL": "scripted",
            "REDIS_URL": redis.url,
            "PRELABEL_CACHE_DAYS": "0",  # the prompts repeat, and each is to be a call
            "PRELABEL_CONCURRENCY": str(TASKS_IN_HAND),
            "PYTHONPATH": str(places.ROOT),
            **told,
        }
        argv = [sys.executable, "-m", "scripts.benchmarks.limits", str(asked.seconds), str(asked.sentences)]
        workers = [
            stack.enter_context(
                start_process(
                    f"worker-{number}",
                    argv,
                    process_env({**own, "DATABASE_URL": f"sqlite:///{folder}/worker-{number}.sqlite3"}),
                    folder=folder,
                    wait=False,
                )
            )
            for number in range(PROCESSES)
        ]
        wait_for(workers, lambda: all("ready" in worker.log.read_text() for worker in workers), START_S)
        client.post(f"{url}/script", json={"reset": True}).raise_for_status()
        (folder / "go").touch()
        started = time.monotonic()
        wait_for(workers, lambda: time.monotonic() - started >= asked.seconds, asked.seconds + 10)
        counts = client.get(f"{url}/counts").raise_for_status().json()
        seconds = time.monotonic() - started
        limit = time.monotonic() + LAST_CALL_S
        while any(worker.alive for worker in workers) and time.monotonic() < limit:
            time.sleep(0.2)
        failed = [worker for worker in workers if worker.process.poll() != 0]
        if failed:
            raise BenchError(f"{failed[0].name} failed; {failed[0].log_tail()}")
    return seconds, counts["let_through"], counts["outcomes"]


def wait_for(workers: list[Running], ready: Callable[[], bool], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        dead = [worker for worker in workers if not worker.alive]
        if dead or time.monotonic() > limit:
            late = (dead or workers)[0]
            raise BenchError(f"{late.name} {'ended early' if dead else 'was not ready in time'}; {late.log_tail()}")
        time.sleep(0.1)


@contextmanager
def model(folder: Path, latency_s: float, arguments: list[str]) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    argv = [sys.executable, "-m", "tests.fakes.scripted_model", f"--port={port}", f"--latency={latency_s}", *arguments]
    env = process_env({"PYTHONPATH": str(places.ROOT)})
    with start_process("model", argv, env, folder=folder, ready=answers):
        yield url


async def work(seconds: float, sentences: int) -> None:
    """One worker: tasks in hand, each asked through the one retry loop; a limit that is far off is waited for."""
    from backend.core.errors import LimitFarOff, ModelRateLimited
    from backend.core.values import Message, Request
    from backend.settings import load_settings
    from backend.wiring import Parts

    settings = load_settings()
    parts = Parts(settings)
    parts.store.migrate()
    base = Request(
        messages=(), schema=SCHEMA, model=settings.model, temperature=0.0, max_tokens=64, seed=0, logprobs=False
    )
    async with parts.endpoints.caller() as caller:
        await caller.model.capabilities(settings.model)  # found out before the clock starts
        print("ready", flush=True)
        while not Path("go").exists():
            await asyncio.sleep(0.02)
        until = time.monotonic() + seconds

        async def task(number: int) -> None:
            while time.monotonic() < until:
                number += TASKS_IN_HAND
                text = "".join(SENTENCE.format(n=n) for n in range(1 + number * 7 % (2 * sentences - 1)))
                try:
                    await caller.ask(replace(base, messages=(Message(role="user", content=text),)))
                except LimitFarOff as error:  # the chunk would be given back until then
                    await asyncio.sleep(min(error.wait_s, max(0.0, until - time.monotonic())))
                except ModelRateLimited:  # after the last attempt: counted where it was refused
                    continue

        async with asyncio.TaskGroup() as group:
            for number in range(TASKS_IN_HAND):
                group.create_task(task(number + 1_000 * os.getpid()))
    parts.store.close()


if __name__ == "__main__":
    asyncio.run(work(float(sys.argv[1]), int(sys.argv[2])))
