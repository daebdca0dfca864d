"""How fast the service answers Label Studio while two workers are busy.

A real Label Studio and Redis, two worker processes in the middle of a job, a model with scripted answers. /health and
/setup are asked by two clients in turn; /predict gets 300 unknown tasks at once, as "Retrieve predictions" sends them.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.benchmarks.report import BenchError, Figure, Report, percentile
from scripts.demo_project import CONFIG, Project, create_project
from scripts.product import Product, settings
from scripts.services import start_label_studio, start_redis
from tests.fakes.scripted_model import ScriptedModel

CLIENTS = 2
PAUSE_S = 0.02  # between the requests of one client: Label Studio asks far less often
TASKS_AT_ONCE = 300
LIMIT_MS = 100.0
PREDICT_LIMIT_MS = 1000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=1000, help="to /health, and as many to /setup (default 1000)")
    parser.add_argument("--predicts", type=int, default=10, help="requests of 300 tasks to /predict (default 10)")
    parser.add_argument("--tasks", type=int, default=4000, help="tasks of the job that keeps the workers busy")
    parser.add_argument("--latency", type=float, default=0.4, help="seconds that the model takes for an answer")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        product, project = start(stack, Path(folder), asked)
        product.command("run", "--project", str(project.id))
        wait_until_busy(product)
        before = finished_tasks(product)
        started = time.monotonic()
        latencies = ask_in_turn(product, project, asked.requests)
        predicts = ask_for_predictions(product, project, asked.predicts)
        seconds = time.monotonic() - started
        worked = finished_tasks(product) - before
        if unfinished_tasks(product) == 0:
            raise BenchError("the workers ran out of work before the last request; give more --tasks")
    figures = [
        Figure(name=f"{path} {name}", value=percentile(values, share), unit="ms", limit=limit)
        for path, values in latencies.items()
        for name, share, limit in (("median", 0.5, None), ("99th percentile", 0.99, LIMIT_MS), ("longest", 1.0, None))
    ]
    figures += [
        Figure(name=f"/predict with {TASKS_AT_ONCE} tasks, median", value=percentile(predicts, 0.5), unit="ms"),
        Figure(
            name=f"/predict with {TASKS_AT_ONCE} tasks, longest", value=max(predicts), unit="ms", limit=PREDICT_LIMIT_MS
        ),
        Figure(name="tasks that the two workers did meanwhile", value=worked / seconds, unit="a second"),
    ]
    return Report(figures=figures)


def start(stack: ExitStack, folder: Path, asked: argparse.Namespace) -> tuple[Product, Project]:
    """Everything up, a project imported and connected."""
    label_studio = stack.enter_context(start_label_studio(folder / "label-studio", wait=False))
    redis = stack.enter_context(start_redis(folder / "redis", persist=True))
    model = stack.enter_context(ScriptedModel(latency_s=asked.latency))
    endpoint = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "scripted", "PRELABEL_MODEL": model.model}
    own = folder / "prelabel"
    product = Product(folder=own, settings=settings(label_studio, redis, own) | endpoint)
    stack.enter_context(product.start_service())
    stack.enter_context(product.start_worker(arguments=("--interactive", "1", "--bulk", "2")))
    label_studio.wait_ready()
    project = create_project(label_studio, "Bench")
    project.import_texts([f"Parcel {n} came two days late, but the staff were kind." for n in range(asked.tasks)])
    product.command("connect", "--project", str(project.id), "--backend-url", product.url)
    return product, project


@contextmanager
def client(product: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=product.url, auth=product.auth, timeout=30, trust_env=False) as opened:
        yield opened


def ask_in_turn(product: Product, project: Project, count: int) -> dict[str, list[float]]:
    """Milliseconds of each request, by path. Each goes over a connection of its own, as Label Studio's do."""
    setup = {"project": f"{project.id}.1732190000", "schema": CONFIG, "hostname": "", "access_token": ""}
    latencies: dict[str, list[float]] = {"/health": [], "/setup": []}
    problems: list[str] = []

    def ask() -> None:
        try:
            for _ in range(count // CLIENTS):
                for method, path, body in (("GET", "/health", None), ("POST", "/setup", setup)):
                    with client(product) as opened:
                        latencies[path].append(timed(opened, method, path, body))
                    time.sleep(PAUSE_S)
        except (httpx.HTTPError, BenchError) as error:
            problems.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise BenchError(problems[0])
    return latencies


def ask_for_predictions(product: Product, project: Project, count: int) -> list[float]:
    """Milliseconds of each /predict. The tasks are new each time, so that none has a stored prediction."""
    milliseconds = []
    for n in range(count):
        first = 10_000_000 + n * TASKS_AT_ONCE
        tasks = [
            {"id": first + i, "data": {"text": f"Order {first + i} has arrived."}, "annotations": [], "predictions": []}
            for i in range(TASKS_AT_ONCE)
        ]
        body = {"tasks": tasks, "project": f"{project.id}.1732190000", "label_config": CONFIG, "params": {}}
        with client(product) as opened:
            milliseconds.append(timed(opened, "POST", "/predict", body))
    return milliseconds


def timed(opened: httpx.Client, method: str, path: str, body: dict[str, Any] | None) -> float:
    """Milliseconds to a good answer."""
    started = time.perf_counter()
    response = opened.request(method, path, json=body)
    taken = (time.perf_counter() - started) * 1000
    if response.status_code != httpx.codes.OK:
        raise BenchError(f"{path} answered {response.status_code}: {response.text[:200]}")
    return taken


def wait_until_busy(product: Product) -> None:
    limit = time.monotonic() + 60
    while finished_tasks(product) == 0:
        if time.monotonic() > limit:
            raise BenchError("the workers did not begin within 60 s")
        time.sleep(0.2)


def finished_tasks(product: Product) -> int:
    states = task_states(product)
    return states.get("done", 0) + states.get("empty", 0)


def unfinished_tasks(product: Product) -> int:
    states = task_states(product)
    return states.get("queued", 0) + states.get("running", 0)


def task_states(product: Product) -> dict[str, int]:
    """Tasks by state, from the service's metrics."""
    with client(product) as opened:
        lines = opened.get("/metrics").raise_for_status().text.splitlines()
    prefix = 'prelabel_tasks{state="'
    found = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {state: int(float(count)) for state, count in found}
