"""How long 10,000 tasks of a real Label Studio take from the command to the last prediction, counted there.

A real Label Studio on SQLite, a real Redis, the product's own commands and workers, a model that answers at once. The
job is submitted without waiting for it; then Label Studio is asked which tasks have a prediction of the version.
"""

import argparse
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from backend.adapters.sql.store import SqlStore
from backend.ports.store import Counts, JobRow
from scripts.benchmarks.report import BenchError, Figure, Report
from scripts.demo_project import Project, create_project
from scripts.product import Product, settings
from scripts.services import start_label_studio, start_redis
from tests.fakes.scripted_model import ScriptedModel

SUBMIT_LIMIT_S = 10.0
LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=10_000, help="of the project (default 10,000)")
    parser.add_argument("--workers", type=int, default=2, help="bulk workers (default 2)")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds that the model takes for an answer")
    parser.add_argument("--limit", type=float, default=1800, help="seconds after which it is given up")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        product, project = start(stack, Path(folder), asked)
        started = time.monotonic()
        told = product.command("run", "--project", str(project.id))
        submitted = time.monotonic() - started
        seconds = followed(product, told["job"], started, asked)
        found = Counter(p.task for p in project.predictions() if p.model_version == told["version"])
        per_task = Counter(found.values())
    missing, twice = asked.tasks - len(found), len(found) - per_task[1]
    return Report(
        figures=[
            Figure(name="the job is submitted after", value=submitted, unit="s", limit=SUBMIT_LIMIT_S),
            *(Figure(name=f"{phase} after", value=after, unit="s") for phase, after in seconds.items()),
            Figure(name=f"of {asked.tasks:,} tasks without a prediction", value=missing, unit="", limit=1),
            Figure(name="tasks with more than one", value=twice, unit="", limit=1),
            Figure(name="tasks a second", value=asked.tasks / seconds["everything is written back"], unit=""),
        ]
    )


def start(stack: ExitStack, folder: Path, asked: argparse.Namespace) -> tuple[Product, Project]:
    """Everything up, a project imported and connected."""
    label_studio = stack.enter_context(start_label_studio(folder / "label-studio", wait=False))
    redis = stack.enter_context(start_redis(folder / "redis", persist=True))
    model = stack.enter_context(ScriptedModel(latency_s=asked.latency))
    endpoint = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "scripted", "PRELABEL_MODEL": model.model}
    own = folder / "prelabel"
    product = Product(folder=own, settings=settings(label_studio, redis, own) | endpoint)
    stack.enter_context(product.start_service())
    stack.enter_context(product.start_worker(arguments=("--interactive", "1", "--bulk", str(asked.workers))))
    label_studio.wait_ready()
    project = create_project(label_studio, "Bench")
    project.import_texts([f"Parcel {n} came two days late, but the staff were kind." for n in range(asked.tasks)])
    product.command("connect", "--project", str(project.id), "--backend-url", product.url)
    return product, project


def followed(product: Product, job_id: int, started: float, asked: argparse.Namespace) -> dict[str, float]:
    """Seconds since `started` at which each phase was seen to be over. Looked up in the database: a command a look
    would take a good part of the machine."""
    store = SqlStore(product.settings["DATABASE_URL"])
    reached: dict[str, float] = {}
    while time.monotonic() - started < asked.limit:
        job, counts = store.job(job_id), store.progress(job_id)
        if job is None or job.state == "stopped":
            raise BenchError(f"the job was stopped: {job.reason if job else 'it is gone'}")
        for phase, over in phases(job, counts, asked.tasks).items():
            if over:
                reached.setdefault(phase, time.monotonic() - started)
        if "everything is written back" in reached:
            store.close()
            return reached
        time.sleep(LOOK_S)
    raise BenchError(f"not done within {asked.limit:.0f} s: {counts.states}, {counts.deliveries}")


def phases(job: JobRow, counts: Counts, tasks: int) -> dict[str, bool]:
    done, written = counts.states.get("done", 0), counts.deliveries.get("written", 0)
    return {
        "the first answer is there": done > 0,
        "the first prediction is written": written > 0,
        "all tasks are read": not job.reading,
        "all tasks are answered": done == tasks,
        "everything is written back": job.state == "done" and written == tasks,
    }
