"""How much faster a job is than a plain loop over its rows, one call after the other.

The loop is what label-studio-ml-backend's LLM example does: one row in flight, one call a row, here the synchronous
openai client with the same messages and parameters, and nothing else. The job is the whole way, write-back included,
by one worker. The same tasks, the same model server.
"""

import argparse
import tempfile
from pathlib import Path

from scripts.benchmarks.pipeline import lean_model, loop_of, run_job
from scripts.benchmarks.report import Figure, Report

DEFAULT_IN_FLIGHT = 8  # PRELABEL_CONCURRENCY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=200, help="of the job and of the loop (default 200)")
    parser.add_argument("--latency", type=float, default=0.3, help="seconds that the model takes (default 0.3)")
    parser.add_argument("--in-flight", type=int, default=64, help="model calls of the worker at once (default 64)")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as name, lean_model(Path(name), asked.latency) as url:
        loop = loop_of("sequential", Path(name), url, tasks=asked.tasks, in_flight=1)["rate"]
        rates = {
            in_flight: run_job(Path(name) / str(in_flight), url, tasks=asked.tasks, workers=1, in_flight=in_flight).rate
            for in_flight in (DEFAULT_IN_FLIGHT, asked.in_flight)
        }
    figures = [Figure(name="a loop, one row after the other", value=loop, unit="rows a second")]
    for in_flight, rate in rates.items():
        figures.append(Figure(name=f"one worker, {in_flight} in flight", value=rate, unit="tasks a second"))
    for in_flight, rate in rates.items():
        figures.append(
            Figure(
                name=f"one worker, {in_flight} in flight, to the loop", value=rate / loop, unit="times", at_least=1.0
            )
        )
    return Report(figures=figures)
