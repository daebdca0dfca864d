"""How many tasks a second the workers bring through, beside what the bare client of the model endpoint reaches.

A job over the whole way: prompt, call, reading, store and write-back, by real worker processes with a real Redis and
SQLite, between a model that answers after a fixed time and a Label Studio that only records (`tests.fakes`, each in a
process of its own; all of it shares this machine's cores). The bare client is the same asynchronous openai client with
the same messages and parameters, as many calls in flight, and nothing else. Rounds are measured in turn (bare, one
worker, two workers) and the median of each counts. Then the CPU time of each stage by itself, and the memory that ten
times as many tasks take.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from scripts.benchmarks.pipeline import JobRun, lean_model, loop_of, run_job
from scripts.benchmarks.report import Figure, Report
from scripts.benchmarks.stages import stages

OF_BARE, TWO_WORKERS = 0.9, 1.6  # at least
MEMORY_TIMES = 1.3  # of the smaller job's peak, at most
MEMORY_TASKS_TIMES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=5000, help="of each job (default 5000)")
    parser.add_argument("--latency", type=float, default=0.3, help="seconds that the model takes (default 0.3)")
    parser.add_argument("--in-flight", type=int, default=64, help="model calls of a worker at once (default 64)")
    parser.add_argument("--rounds", type=int, default=3, help="of bare, one worker, two workers (default 3)")
    parser.add_argument("--without-memory", action="store_true", help="leave out the job of ten times as many tasks")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as name, lean_model(Path(name), asked.latency) as url:
        folder = Path(name)
        bare: list[dict[str, float]] = []
        jobs: dict[int, list[JobRun]] = {1: [], 2: []}
        for turn in range(asked.rounds):
            bare.append(loop_of("bare", folder, url, tasks=asked.tasks, in_flight=asked.in_flight))
            for workers, runs in jobs.items():
                own = folder / f"{workers}-workers-{turn}"
                runs.append(run_job(own, url, tasks=asked.tasks, workers=workers, in_flight=asked.in_flight))
                print(
                    f"round {turn + 1}: bare {bare[-1]['rate']:.1f}, {workers} worker(s) {runs[-1].rate:.1f} a second"
                )
        figures = [*rates(bare, jobs), *cpu(bare, jobs[1])]
        figures += stages(folder / "stages", url, tasks=min(2000, asked.tasks), in_flight=asked.in_flight)
        if not asked.without_memory:
            figures += memory(folder, url, asked, jobs[2])
    return Report(figures=figures)


def rates(bare: list[dict[str, float]], jobs: dict[int, list[JobRun]]) -> list[Figure]:
    of_bare = [run.rate / loop["rate"] for run, loop in zip(jobs[1], bare, strict=True)]
    two = [both.rate / one.rate for both, one in zip(jobs[2], jobs[1], strict=True)]
    return [
        Figure(name="bare client", value=median(loop["rate"] for loop in bare), unit="a second"),
        Figure(name="one worker", value=median(run.rate for run in jobs[1]), unit="tasks a second"),
        Figure(name="two workers", value=median(run.rate for run in jobs[2]), unit="tasks a second"),
        Figure(name="one worker to the bare client", value=median(of_bare), unit="", at_least=OF_BARE),
        Figure(name="two workers to one", value=median(two), unit="", at_least=TWO_WORKERS),
    ]


def cpu(bare: list[dict[str, float]], runs: list[JobRun]) -> list[Figure]:
    """CPU time of the processes, a task, in the rounds of one worker."""
    tasks = runs[0].tasks
    figures = [
        Figure(name="CPU of the bare client, a call", value=median(1000 * b["cpu_s"] / tasks for b in bare), unit="ms")
    ]
    for process in runs[0].cpu_s:
        value = median(1000 * run.cpu_s[process] / tasks for run in runs)
        name = "the worker and its parent" if process == "workers" else f"the {process}"
        figures.append(Figure(name=f"CPU of {name}, a task", value=value, unit="ms"))
    return figures


def memory(folder: Path, url: str, asked: argparse.Namespace, smaller: list[JobRun]) -> list[Figure]:
    few, many = asked.tasks, MEMORY_TASKS_TIMES * asked.tasks
    large = run_job(folder / "memory", url, tasks=many, workers=2, in_flight=asked.in_flight)
    figures = []
    peaks: dict[str, Callable[[JobRun], float]] = {
        "a worker process": lambda run: run.worker_peak_mb,
        "the enlisting command": lambda run: run.enlisting_peak_mb,
    }
    for what, of in peaks.items():
        before, now = median(map(of, smaller)), of(large)
        figures += [
            Figure(name=f"peak memory of {what}, {few:,} tasks", value=before, unit="MB"),
            Figure(name=f"peak memory of {what}, {many:,} tasks", value=now, unit="MB"),
            Figure(name=f"{what}: {many:,} tasks to {few:,}", value=now / before, unit="", limit=MEMORY_TIMES),
        ]
    return [*figures, Figure(name=f"two workers over {many:,} tasks", value=large.rate, unit="tasks a second")]
