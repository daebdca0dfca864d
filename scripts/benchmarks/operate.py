"""What an installation takes: database size a task, memory of service and workers, and what reading `/metrics` costs.

A database of synthetic tasks (60 words, one Choices, answered and written), a real Redis, the service and one
`prelabel worker` with its processes. No model is asked.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import sqlalchemy as sa

from backend.adapters.clock import utc_now
from backend.adapters.sql.schema import jobs, records
from backend.adapters.sql.store import SqlStore
from backend.ports.store import ProjectRow
from scripts.benchmarks.report import BenchError, Figure, Report, percentile
from scripts.places import ROOT
from scripts.processes import Running, all_processes, free_port, process_env, start_process
from scripts.services import http_answers, start_redis

PROJECTS, JOBS = 5, 20
VERSION = "default@12345678"
TEXT = "the order arrived late and the box was damaged but support answered quickly and sent a new one"
WORDS = TEXT.split()
WORKER_PROCESSES, START_LIMIT_S = 4, 60.0
LIMIT_SCRAPE_MS = 100.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks in the database (default 1000000)")
    parser.add_argument("--scrapes", type=int, default=60, help="how often /metrics is read (default 60)")


def run(asked: argparse.Namespace) -> Report:
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        database = folder / "prelabel.sqlite3"
        fill(database, asked.tasks)
        counting = time_counting(database)
        redis = running.enter_context(start_redis(folder / "redis", persist=True))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        env = process_env(
            {
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": redis.url,
                "DATABASE_URL": f"sqlite:///{database}",
                "LABEL_STUDIO_API_KEY": "a-key",
                "OPENAI_API_KEY": "a-key",
            }
        )
        argv = [sys.executable, "-m", "backend"]
        serve = [*argv, "serve", "--host", "127.0.0.1", "--port", str(port)]
        worker = running.enter_context(start_process("worker", [*argv, "worker"], env, folder=folder))
        ready = http_answers(f"{url}/health")
        service = running.enter_context(start_process("serve", serve, env, folder=folder, ready=ready))
        wait_for_processes(worker)
        scrapes = read_metrics(url, asked.scrapes)
        return Report(
            figures=[
                Figure(
                    name="database, a task (without its stored reply)", value=size(database, asked.tasks), unit="kB"
                ),
                Figure(name="memory of `prelabel worker`, four processes", value=memory_mb(worker), unit="MB"),
                Figure(name="of it, each further worker process", value=least_memory_mb(worker), unit="MB"),
                Figure(name="memory of `prelabel serve`", value=memory_mb(service), unit="MB"),
                Figure(name=f"counting {asked.tasks:,} tasks by state, best of 5", value=counting, unit="ms"),
                Figure(name="/metrics, median", value=percentile(scrapes, 0.5), unit="ms", limit=LIMIT_SCRAPE_MS),
                Figure(name="/metrics, 95 of 100", value=percentile(scrapes, 0.95), unit="ms"),
            ]
        )


def fill(database: Path, tasks: int) -> None:
    """As a run leaves them."""
    store, chance, now = SqlStore(f"sqlite:///{database}"), random.Random(1), utc_now()  # noqa: S311
    store.migrate()
    for project in range(1, PROJECTS + 1):
        store.save_project(ProjectRow(id=project, label_config="", instructions="", version=VERSION, auto_start=False))
    with store.begin() as connection:
        connection.execute(
            sa.insert(jobs),
            [
                {"id": n, "project_id": 1 + n % PROJECTS, "version": VERSION, "kind": "run", "state": "done",
                 "total": tasks // JOBS, "created_at": now}
                for n in range(1, JOBS + 1)
            ],
        )  # fmt: skip
    for start in range(0, tasks, 20_000):
        rows = [
            _record(n, " ".join(chance.choices(WORDS, k=60)), now) for n in range(start, min(tasks, start + 20_000))
        ]
        with store.begin() as connection:
            connection.execute(sa.insert(records), rows)
    store.close()


def _record(number: int, text: str, now: object) -> dict[str, object]:
    value = {"choices": ["positive"]}
    field: dict[str, object] = {
        "control": "sentiment", "step": "strict_json+exact", "problem": None, "rejected": [], "notes": [],
        "confidence": 0.9, "method": "label_logprob", "signals": {"off_label": 0.01}, "usable": 1.0,
        "region_confidences": [], "label_probabilities": {"positive": 0.9, "negative": 0.06, "neutral": 0.04},
        "label_rest": 0.0,
    }  # fmt: skip
    job = 1 + number % JOBS
    return {
        "project_id": 1 + job % PROJECTS, "task_id": number, "version": VERSION, "job_id": job,
        "state": "invalid" if number % 50 == 0 else "done", "data": {"text": text}, "data_hash": f"{number:064x}",
        "result": [{"from_name": "sentiment", "to_name": "text", "type": "choices", "value": value}], "score": 0.9,
        "fields": [field], "notes": [], "reply_text": '{"sentiment": "positive"}', "model": "a-model",
        "request_key": f"{number:064x}", "prompt_tokens": 200, "completion_tokens": 8, "calls": 1, "latency_s": 0.3,
        "delivery": "written", "delivered_at": now, "rewrite": False, "updated_at": now,
    }  # fmt: skip


def size(database: Path, tasks: int) -> float:
    return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*")) / tasks / 1000


def time_counting(database: Path) -> float:
    """Milliseconds of the query behind `prelabel_tasks`, which `/metrics` keeps for a while."""
    store, took = SqlStore(f"sqlite:///{database}"), []
    for _ in range(5):
        started = time.perf_counter()
        store.task_totals()
        took.append(1000 * (time.perf_counter() - started))
    store.close()
    return min(took)


def read_metrics(url: str, times: int) -> list[float]:
    """Milliseconds each; twice a second, so that kept counts run out in between."""
    took = []
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/metrics")  # what is only done once
        for _ in range(times):
            time.sleep(0.5)
            started = time.perf_counter()
            client.get("/metrics").raise_for_status()
            took.append(1000 * (time.perf_counter() - started))
    return took


def wait_for_processes(worker: Running) -> None:
    """Until it has started the others: only then its memory is what it will be."""
    limit = time.monotonic() + START_LIMIT_S
    while len(_each_mb(worker)) < WORKER_PROCESSES:
        if time.monotonic() > limit:
            raise BenchError(f"`prelabel worker` has not started its processes within {START_LIMIT_S:.0f} s")
        time.sleep(0.2)


def memory_mb(process: Running) -> float:
    """Of all its processes; what they share is counted once."""
    return sum(_each_mb(process))


def least_memory_mb(process: Running) -> float:
    return min(_each_mb(process))


def _each_mb(process: Running) -> list[float]:
    found = []
    for pid in all_processes():
        try:
            if os.getsid(pid) != process.process.pid:
                continue
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (ProcessLookupError, PermissionError, FileNotFoundError):
            continue
        found += [int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")]
    return found
