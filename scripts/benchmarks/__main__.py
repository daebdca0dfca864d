"""Run one benchmark; exit 0 when all its limits hold or it is skipped aloud, 1 when a limit does not hold."""

import argparse
import sys

import httpx

from scripts.benchmarks import (
    batch_calibration,
    calibration,
    certificate,
    examples,
    faults,
    labels,
    limits,
    loop,
    operate,
    panels,
    peers,
    service,
    shortlist,
    students,
    tasks,
    throughput,
    writeback,
)
from scripts.benchmarks.report import BenchError, SkippedError
from scripts.demo_project import LabelStudioError
from scripts.processes import ServiceError, stop_like_ctrl_c
from scripts.product import CommandError

BENCHMARKS = {
    "batch-calibration": batch_calibration,
    "calibration": calibration,
    "certificate": certificate,
    "examples": examples,
    "faults": faults,
    "labels": labels,
    "limits": limits,
    "loop": loop,
    "operate": operate,
    "panels": panels,
    "peers": peers,
    "service": service,
    "shortlist": shortlist,
    "students": students,
    "tasks": tasks,
    "throughput": throughput,
    "writeback": writeback,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the product on this machine.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in BENCHMARKS.items():
        about = (module.__doc__ or "").partition("\n")[0]
        module.add_arguments(commands.add_parser(name, help=about, description=about))
    asked = parser.parse_args()
    try:
        report = BENCHMARKS[asked.name].run(asked)
    except SkippedError as missing:
        print(f"bench {asked.name}: skipped: {missing}", flush=True)
        return 0
    except (BenchError, CommandError, LabelStudioError, ServiceError, httpx.HTTPError) as error:
        print(f"bench: failed: {error}", flush=True)
        return 1
    print(report.table())
    print(f"bench {asked.name}: {report.verdict()}", flush=True)
    return 0 if report.holds else 1


if __name__ == "__main__":
    stop_like_ctrl_c()
    try:
        code = main()
    except KeyboardInterrupt:
        print("bench: stopped, nothing is left running", flush=True)
        code = 130
    sys.exit(code)
