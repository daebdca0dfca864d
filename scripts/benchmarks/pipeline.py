"""The whole way of a job between two lean servers: a model with a fixed latency, and a Label Studio that only records.

What the benchmarks of speed share. Every process is the product's own (`prelabel worker`, `prelabel run`), with a real
Redis and a SQLite file; the clocks are the monotonic one, which all processes of a machine share.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts import places
from scripts.benchmarks.report import BenchError
from scripts.demo_project import CONFIG
from scripts.processes import Running, all_processes, free_port, process_env, start_process
from scripts.product import Product
from scripts.services import start_redis
from tests.fakes.recording_sink import PROJECT

IDLE_S = 60  # so long without a further prediction: something is broken
_MEMORY_LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """What one job took."""

    tasks: int
    seconds: float  # from the job's first message (its first call, where that is earlier) to the last prediction
    cpu_s: Mapping[str, float]  # by process: "workers" (all of them together), "model", "sink", "redis"
    most_in_flight: int
    worker_peak_mb: float  # of the largest worker process
    enlisting_peak_mb: float
    enlisting_s: float

    @property
    def rate(self) -> float:
        return self.tasks / self.seconds


@contextmanager
def lean_server(name: str, folder: Path, arguments: list[str]) -> Iterator[str]:
    """A server of `tests.fakes` in its own process; its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return bool(httpx.get(f"{url}/health", trust_env=False).status_code)
        except httpx.HTTPError:
            return False

    argv = [sys.executable, "-m", f"tests.fakes.{name}", f"--port={port}", *arguments]
    with start_process(name, argv, process_env({"PYTHONPATH": str(places.ROOT)}), folder=folder, ready=answers):
        yield url


@contextmanager
def lean_model(folder: Path, latency_s: float) -> Iterator[str]:
    with lean_server("lean_model", folder, [f"--latency={latency_s}"]) as url:
        yield url


@contextmanager
def recording_sink(folder: Path, tasks: int) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.xml").write_text(CONFIG, encoding="utf-8")
    with lean_server("recording_sink", folder, [f"--tasks={tasks}", f"--config={folder / 'config.xml'}"]) as url:
        yield url


def get(url: str) -> dict[str, Any]:
    return dict(httpx.get(url, trust_env=False, timeout=30).raise_for_status().json())


def run_job(folder: Path, model_url: str, *, tasks: int, workers: int, in_flight: int) -> JobRun:
    """A new database, Redis and sink; `workers` processes; one job over all tasks."""
    with ExitStack() as stack:
        redis = stack.enter_context(start_redis(folder / "redis", persist=True))
        sink = stack.enter_context(recording_sink(folder / "sink", tasks))
        product = Product(folder=folder, settings=settings(folder, model_url, sink, redis.url, in_flight))
        worker = stack.enter_context(product.start_worker(arguments=("--interactive", "0", "--bulk", str(workers))))
        wait_for_workers(redis.url, workers)
        memory = stack.enter_context(_Memory.of(worker))
        get(f"{model_url}/reset")
        before = cpu_of_session(worker.process.pid), cpu_of_session(redis.process.process.pid)
        enlisting = enlist(product)
        recorded = wait_for_all(sink, tasks, worker)
        counts = get(f"{model_url}/counts")
        memory.look()
        cpu_s = {
            "workers": cpu_of_session(worker.process.pid) - before[0],
            "redis": cpu_of_session(redis.process.process.pid) - before[1],
            "model": counts["cpu_s"],
            "sink": recorded["cpu_s"],
        }
        if recorded["predictions"] != tasks:
            raise BenchError(f"{recorded['predictions']} predictions were written for {tasks} tasks")
        return JobRun(
            tasks=tasks,
            seconds=recorded["last_at"] - min(enlisting.ended_at, counts["first_at"]),
            cpu_s=cpu_s,
            most_in_flight=counts["most_in_flight"],
            worker_peak_mb=memory.peak_mb,
            enlisting_peak_mb=enlisting.peak_mb,
            enlisting_s=enlisting.seconds,
        )


def settings(folder: Path, model_url: str, sink: str, redis_url: str, in_flight: int) -> dict[str, str]:
    return {
        "LABEL_STUDIO_URL": sink,
        "LABEL_STUDIO_API_KEY": "recorded",
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "scripted",
        "PRELABEL_MODEL": "scripted",
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{folder / 'prelabel.sqlite3'}",
        "PRELABEL_CONCURRENCY": str(in_flight),
        "PRELABEL_AUDIT": "false",
        # Neither limit binds: 64 in flight at 300 ms are 13,000 requests a minute.
        "PRELABEL_REQUESTS_PER_MINUTE": "1000000",
        "PRELABEL_TOKENS_PER_MINUTE": "1000000000",
    }


@dataclass(frozen=True, kw_only=True)
class Enlisting:
    seconds: float
    ended_at: float
    peak_mb: float


def enlist(product: Product) -> Enlisting:
    """`prelabel run`, with the memory that it took."""
    argv = [str(Path(sys.executable).parent / "prelabel"), "run", "--project", str(PROJECT), "--json"]
    started = time.monotonic()
    with (product.folder / "run.log").open("wb") as log:
        process = subprocess.Popen(argv, env=product.env, cwd=product.folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"`prelabel run` failed: {(product.folder / 'run.log').read_text()[-2000:]}")
    ended = time.monotonic()
    return Enlisting(seconds=ended - started, ended_at=ended, peak_mb=usage.ru_maxrss / 1024)


def wait_for_workers(redis_url: str, workers: int) -> None:
    from backend.adapters.rq_queue import RedisQueue

    queue, limit = RedisQueue(redis_url), time.monotonic() + 60
    while queue.workers() < workers:
        if time.monotonic() > limit:
            raise BenchError("the workers did not start within 60 s")
        time.sleep(0.1)
    queue.close()


def wait_for_all(sink: str, tasks: int, worker: Running) -> dict[str, Any]:
    """Until every task has its prediction. Asked seldom, so as not to disturb."""
    so_far, since = 0, time.monotonic()
    while True:
        recorded = get(f"{sink}/recorded")
        if recorded["tasks"] == tasks:
            return recorded
        if recorded["tasks"] > so_far:
            so_far, since = recorded["tasks"], time.monotonic()
        if time.monotonic() - since > IDLE_S or not worker.alive:
            raise BenchError(f"{tasks - so_far} tasks have no prediction, and none comes; {worker.log_tail()}")
        time.sleep(0.5)


def cpu_of_session(leader: int) -> float:
    """CPU seconds of the processes in a session, and of their children that have ended."""
    total = 0
    for pid in _session(leader):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended: its parent has its time
        total += sum(int(n) for n in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def _session(leader: int) -> list[int]:
    found = []
    for pid in all_processes():
        try:
            if os.getsid(pid) == leader:
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


class _Memory:
    """The peak of the largest process of a session, looked at now and then: the kernel keeps each one's own peak."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.peak_mb = 0.0

    @classmethod
    @contextmanager
    def of(cls, worker: Running) -> Iterator["_Memory"]:
        memory, left = cls(worker.process.pid), threading.Event()

        def watch() -> None:
            while not left.wait(_MEMORY_LOOK_S):
                memory.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield memory
        finally:
            left.set()
            thread.join()

    def look(self) -> None:
        for pid in _session(self._leader):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
            self.peak_mb = max(self.peak_mb, peak / 1024)


def loop_of(kind: str, folder: Path, model_url: str, *, tasks: int, in_flight: int) -> dict[str, float]:
    """The openai client and nothing else, in a process of its own (`client_loops`): "rate" and "cpu_s"."""
    argv = [
        sys.executable,
        "-m",
        "scripts.benchmarks.client_loops",
        kind,
        f"{model_url}/v1",
        str(tasks),
        str(in_flight),
    ]
    env = process_env({"PYTHONPATH": str(places.ROOT)})
    done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the loop of the client failed: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))
