"""The CPU time of each stage of a task's way, each by itself over the same tasks.

Measured apart from the rates: one process, the stages one after the other over all tasks, each between two readings
of the process's CPU clock, with as many tasks at a time as a worker has in flight. Redis, the database and the model
server are real and are other processes' time.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from backend.dialogue import annotate
from backend.ports.governor import CallEnd
from backend.prompting.tokens import estimated_tokens
from backend.services.writeback import Writer
from backend.settings import Settings, load_settings
from backend.wiring import Parts
from scripts import places
from scripts.benchmarks.pipeline import enlist, recording_sink, settings
from scripts.benchmarks.report import BenchError, Figure
from scripts.processes import process_env
from scripts.product import Product
from scripts.services import start_redis
from tests.fakes.recording_sink import PROJECT

T = TypeVar("T")
R = TypeVar("R")


def stages(folder: Path, model_url: str, *, tasks: int, in_flight: int) -> list[Figure]:
    with ExitStack() as stack:
        redis = stack.enter_context(start_redis(folder / "redis", persist=True))
        sink = stack.enter_context(recording_sink(folder / "sink", tasks))
        product = Product(folder=folder, settings=settings(folder, model_url, sink, redis.url, in_flight))
        parts = Parts(Settings.model_validate(product.settings))
        parts.store.migrate()
        parts.store.close()
        enlist(product)
        argv = [sys.executable, "-m", "scripts.benchmarks.stages", str(tasks), str(in_flight)]
        env = process_env({**product.settings, "PYTHONPATH": str(places.ROOT)})
        done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the stages could not be measured: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Figure(name=f"stage: {name}, a task", value=1000 * cpu_s / tasks, unit="ms") for name, cpu_s in found.items()
    ]


class _Clock:
    """CPU seconds of this process by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.spent[name] = time.process_time() - before


async def measured(tasks: int, in_flight: int) -> dict[str, float]:
    """CPU seconds over all tasks, by stage."""
    parts, clock = Parts(load_settings()), _Clock()
    met = 2  # so many replies, about, meet in one turn of a busy worker
    store = parts.store
    row = store.project(PROJECT)
    assert row is not None
    assert row.version is not None
    question = parts.projects.question(row)
    (job,) = store.jobs(PROJECT)  # a worker would read its tasks
    store.enlist(job.id, parts.labels.tasks(PROJECT, question.config.variables), absent=True)
    with clock.stage("claim"):
        records = []
        for first in range(1, tasks + 1, in_flight):
            ids = range(first, min(first + in_flight, tasks + 1))
            records += store.claim(row.version, PROJECT, list(ids), "bench")
    with clock.stage("render"):
        dialogues = [annotate(question, record.task) for record in records]
        requests = [next(dialogue) for dialogue in dialogues]
    estimates = [estimated_tokens(request.messages) for request in requests]  # part of "render"; kept in a worker
    with clock.stage("keys of the reply cache"):
        keys = [request.key for request in requests]
    with clock.stage("cache: look up"):
        for wanted in in_parts(keys, in_flight):
            store.replies(wanted)
    async with parts.endpoints.model() as model, parts.endpoints.governor(model.endpoint) as governor:
        await model.capabilities(question.agent.model)
        with clock.stage("governor"):
            leaves = await at_once(
                estimates, in_flight, lambda n: governor.acquire(question.agent.model, prompt_tokens=n, max_tokens=64)
            )
            end = CallEnd(prompt_tokens=100, completion_tokens=10)
            await at_once(leaves, in_flight, lambda leave: governor.settle(leave, end))
        with clock.stage("call"):
            replies = await at_once(requests, in_flight, model.ask)
    with clock.stage("cache: store"):
        for paid in in_parts(list(zip(keys, keys, replies, strict=True)), met):
            store.save_replies(paid)
    outcomes = []
    with clock.stage("read and check"):
        for record, dialogue, reply in zip(records, dialogues, replies, strict=True):
            try:
                dialogue.send(reply)
            except StopIteration as stop:
                outcomes.append((record.id, record.data_hash, stop.value))
    with clock.stage("store"):
        for made in in_parts(outcomes, met):
            store.save_outcomes(made)
    with clock.stage("write-back"):
        written = Writer(store=store, labels=parts.labels, queue=parts.queue).write_back(PROJECT)
    assert written == tasks, "every task is to pass every stage"
    return clock.spent


def in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[first : first + size] for first in range(0, len(items), size))


async def at_once(items: Sequence[T], most: int, call: Callable[[T], Awaitable[R]]) -> list[R]:
    """The results in the order of the items, `most` at a time."""
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for number, item in waiting:
            results[number] = await call(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(most):
            group.create_task(work())
    return [results[number] for number in range(len(items))]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(int(sys.argv[1]), int(sys.argv[2])))))
