"""What faults cost: tasks lost, predictions written twice, replies paid twice, and the seconds until all is well again.

The product's real processes with a real Label Studio, an append-only Redis and a scripted model; each fault is really
done, one after the other, and no command is typed after it.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.fault_cases import FAULTS
from scripts.benchmarks.fault_site import Result, Site
from scripts.benchmarks.report import BenchError, SkippedError, Table

COLUMNS = ("fault", "tasks", "lost", "duplicated", "paid twice", "seconds to recover")


@dataclass(frozen=True, kw_only=True)
class FaultTable(Table):
    results: dict[str, Result] = field(default_factory=dict)

    def verdict(self) -> str:
        longest = max((result.seconds for result in self.results.values()), default=0.0)
        told = f"{len(self.results)} faults, the longest recovery {longest:.0f} s (limit 60 s)"
        return f"ok: {told}" if self.holds else f"falls short: {told}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="WORDS", help="faults whose name has these words")


def run(asked: argparse.Namespace) -> FaultTable:
    chosen = {name: do for name, do in FAULTS.items() if not asked.only or any(words in name for words in asked.only)}
    results: dict[str, Result] = {}
    rows: list[tuple[str, ...]] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder:
        site = Site(Path(folder))
        try:
            site.start()
            for name, do in chosen.items():
                started = time.monotonic()
                try:
                    results[name] = do(site)
                    rows.append(_row(name, results[name]))
                except SkippedError as missing:
                    rows.append((name, f"skipped: {missing}", "", "", "", ""))
                except BenchError as error:
                    failed = True
                    rows.append((name, f"failed: {error}", "", "", "", ""))
                print(f"{' | '.join(rows[-1])} ({time.monotonic() - started:.0f} s in all)", flush=True)
        finally:
            site.close()
    holds = not failed and all(result.holds for result in results.values())
    return FaultTable(columns=COLUMNS, rows=rows, holds=holds, results=results)


def _row(name: str, result: Result) -> tuple[str, ...]:
    counts = (result.tasks, result.lost, result.duplicated, result.paid_twice)
    return (name, *map(str, counts), f"{result.seconds:.1f}")
