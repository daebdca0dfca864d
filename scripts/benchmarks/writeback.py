"""How long an annotator's submit takes while 10,000 predictions are written back, and how the calls are paced.

A real Label Studio on SQLite and a real Redis: the product's writer imports the predictions of a whole project while
somebody submits an annotation about once a second. Once with Label Studio's memory-efficient import of predictions,
once without it.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from backend.adapters.label_studio import LabelStudioApi
from backend.adapters.rq_queue import RedisQueue
from backend.adapters.sql.store import SqlStore
from backend.core.values import Outcome, Prediction, Task, TaskState
from backend.ports.store import ProjectRow
from backend.services.writeback import Writer
from scripts.benchmarks.report import BenchError, Figure, Report, percentile
from scripts.demo_project import CONFIG, Project, create_project
from scripts.services import Redis, start_label_studio, start_redis

VERSION = "bench@00000000"
SUBMIT_LIMIT_S = 0.3  # the 95th percentile, with the memory-efficient import
WHOLE_LIMIT_S = 150.0
EACH_S = (0.5, 1.5)  # between two submits
QUIET_SUBMITS = 30
RESULT = tuple(
    {"id": name, "from_name": name, "to_name": "text", "type": "choices", "value": {"choices": [label]}, "score": 0.9}
    for name, label in (("sentiment", "positive"), ("topic", "delivery"))
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=10_000, help="of the project (default 10,000)")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        redis = stack.enter_context(start_redis(Path(folder) / "redis", persist=False))
        figures = [
            figure
            for flag in (True, False)
            for figure in measured(Path(folder) / str(flag), redis, asked.tasks, import_flag=flag)
        ]
    return Report(figures=figures)


def measured(folder: Path, redis: Redis, tasks: int, *, import_flag: bool) -> list[Figure]:
    name = "import flag on" if import_flag else "import flag off"
    with start_label_studio(folder, import_flag=import_flag) as label_studio:
        project = create_project(label_studio, "Bench")
        project.import_texts([f"Parcel {n} came two days late, but the staff were kind." for n in range(tasks)])
        store = answered(folder, project)
        labels = RecordedApi(label_studio.url, label_studio.token)
        writer = Writer(store=store, labels=labels, queue=RedisQueue(redis.url))
        with submitting(project) as quiet:
            while len(quiet) < QUIET_SUBMITS:
                time.sleep(0.1)
        with submitting(project) as busy:
            started = time.monotonic()
            written = writer.write_back(project.id)
            seconds = time.monotonic() - started
        store.close()
        found = len({p.task for p in project.predictions() if p.model_version == VERSION})
        if (written, found) != (tasks, tasks):
            raise BenchError(f"{written} of {tasks} predictions were written, and {found} tasks have one")
    if not busy:
        raise BenchError("nobody submitted while predictions were written; give more --tasks")
    return [
        *submit_figures(f"{name}, no writer: submit", quiet),
        *submit_figures(f"{name}: submit", busy, limit_s=SUBMIT_LIMIT_S if import_flag else None),
        *call_figures(name, labels.calls),
        Figure(
            name=f"{name}: {tasks:,} predictions",
            value=seconds,
            unit="s",
            limit=WHOLE_LIMIT_S if import_flag else None,
        ),
    ]


class RecordedApi(LabelStudioApi):
    """The real API, which notes how many predictions each import held and its seconds."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.calls: list[tuple[int, float]] = []

    def import_predictions(self, project_id: int, predictions: Sequence[Prediction]) -> int:
        started = time.monotonic()
        created = super().import_predictions(project_id, predictions)
        self.calls.append((len(predictions), time.monotonic() - started))
        return created


def answered(folder: Path, project: Project) -> SqlStore:
    """A store in which every task of the project has its answer, to be written back."""
    store = SqlStore(f"sqlite:///{folder / 'prelabel.sqlite3'}")
    store.migrate()
    row = ProjectRow(id=project.id, label_config=CONFIG, instructions="", version=VERSION, auto_start=False)
    store.save_project(row)
    job_id = store.create_job(project.id, VERSION, "run")
    api = LabelStudioApi(project.server.url, project.server.token)
    tasks = [Task(id=task.id, project_id=project.id, data=task.data) for task in api.tasks(project.id, ["text"])]
    store.enlist(job_id, tasks, absent=True)
    outcome = Outcome(state=TaskState.DONE, result=RESULT, score=0.9)
    for record in store.claim(VERSION, project.id, [task.id for task in tasks], "bench"):
        store.save_outcomes([(record.id, record.data_hash, outcome)])
    return store


@contextmanager
def submitting(project: Project) -> Iterator[list[float]]:
    """An annotator who submits about once a second for as long as the context lasts; the seconds of each submit."""
    seconds: list[float] = []
    problems: list[str] = []
    left = threading.Event()
    tasks = [row["id"] for row in project.rows()]

    def submit() -> None:
        headers = {"Authorization": f"Token {project.server.token}"}
        with httpx.Client(base_url=project.server.url, headers=headers, timeout=120, trust_env=False) as client:
            while not left.wait(random.uniform(*EACH_S)):  # noqa: S311  - no secret
                path, body = f"/api/tasks/{random.choice(tasks)}/annotations/", {"result": RESULT, "lead_time": 2.0}  # noqa: S311
                started = time.monotonic()
                response = client.post(path, params={"project": project.id}, json=body)
                seconds.append(time.monotonic() - started)
                if response.is_error:
                    problems.append(f"a submit was answered {response.status_code}: {response.text[:200]}")
                    return

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield seconds
    finally:
        left.set()
        thread.join()
    if problems:
        raise BenchError(problems[0])


def submit_figures(name: str, seconds: Sequence[float], *, limit_s: float | None = None) -> list[Figure]:
    return [
        Figure(name=f"{name}, median of {len(seconds)}", value=percentile(seconds, 0.5), unit="s"),
        Figure(name=f"{name}, 95th percentile", value=percentile(seconds, 0.95), unit="s", limit=limit_s),
        Figure(name=f"{name}, longest", value=max(seconds), unit="s"),
    ]


def call_figures(name: str, calls: Sequence[tuple[int, float]]) -> list[Figure]:
    sizes, seconds = [size for size, _ in calls], [took for _, took in calls]
    return [
        Figure(name=f"{name}: calls", value=len(calls), unit=""),
        Figure(name=f"{name}: predictions in a call, median", value=percentile(sizes, 0.5), unit=""),
        Figure(name=f"{name}: predictions in a call, most", value=max(sizes), unit=""),
        Figure(name=f"{name}: a call, median", value=percentile(seconds, 0.5), unit="s"),
        Figure(name=f"{name}: a call, longest", value=max(seconds), unit="s"),
    ]
