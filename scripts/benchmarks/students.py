"""What a student of verified labels is worth beside a large model, and how long it learns and answers.

GPT-4o's labels of statements on climate and of headlines, with human gold: people are taken to be right. So many tasks
are verified at random; the student answers each of them without having seen it. PRELABEL_TEST_DATA names the folder.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.confidence.intervals import clopper_pearson
from backend.learning.pupil import Pupil, Taught
from backend.learning.student_report import is_right
from scripts.benchmarks.report import BenchError, Figure, Report, SkippedError, percentile

DATA = "PRELABEL_TEST_DATA"
FILE = Path("confidence") / "calib_gpt4o_verbal_stance_misinfo.jsonl"
VERIFIED = (100, 200, 400, 1_000)
MOST_TO_LEARN_S, LEAST_A_SECOND = 30.0, 100.0  # of processor time


@dataclass(frozen=True, kw_only=True)
class Row:
    """A task with the model's label and people's."""

    text: str
    said: str
    gold: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verified", type=int, default=2_000, help="tasks that are learnt from (default 2000)")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks that are answered (default 10000)")
    parser.add_argument("--seed", type=int, default=20261122, help="of all chance (default 20261122)")


def run(asked: argparse.Namespace) -> Report:
    sets = read()
    figures = [figure for name, rows in sets.items() for figure in worth(name, rows, asked.seed)]
    return Report(figures=[*figures, *times(max(sets.values(), key=len), asked.verified, asked.tasks)])


def read() -> dict[str, list[Row]]:
    """The sets, by name. Raises `SkippedError` where nobody said where they are."""
    folder = os.environ.get(DATA)
    if not folder:
        raise SkippedError(f"{DATA} is not set: set it to the folder with {FILE}")
    try:
        lines = (Path(folder) / FILE).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BenchError(f"{Path(folder) / FILE} cannot be read ({error.strerror})") from None
    found: dict[str, list[Row]] = {}
    for row in map(json.loads, lines):
        found.setdefault(row["task"], []).append(Row(text=row["text"], said=row["pred"], gold=row["gold"]))
    return found


def worth(name: str, rows: list[Row], seed: int) -> list[Figure]:
    """Accuracies in per cent: the model's over the whole set, the student's on the tasks that it learns from."""
    drawn = random.Random(seed).sample(rows, len(rows))  # noqa: S311
    figures = [
        Figure(name=f"{name}: GPT-4o right", value=100 * sum(r.said == r.gold for r in rows) / len(rows), unit="%")
    ]
    for n in VERIFIED:
        pupil = pupil_of(drawn[:n])
        right = sum(is_right(pupil, number, row.gold) for number, row in enumerate(drawn[:n]))
        interval = clopper_pearson(right, n)
        told = f"({100 * interval.low:.1f} to {100 * interval.high:.1f})"
        figures.append(Figure(name=f"{name}: student of {n:,} right, held out {told}", value=100 * right / n, unit="%"))
    return figures


def times(rows: list[Row], verified: int, tasks: int) -> list[Figure]:
    """Seconds of this process's own processor time. Texts beyond the set's are the same with a number."""
    texts = [f"{rows[n % len(rows)].text} {n}" for n in range(verified + tasks)]
    known = [Row(text=t, said="", gold=rows[n % len(rows)].gold) for n, t in enumerate(texts[:verified])]
    pupil_of(known[:100]).probabilities(-1, texts[0])  # what is imported is paid for before
    pupil = pupil_of(known)
    learnt = spent(lambda: pupil.probabilities(-1, texts[0]))
    held_out = spent(lambda: pupil.held_out)
    each = [spent(lambda n=n: pupil.probabilities(n, texts[n])) for n in range(verified, verified + tasks)]  # type: ignore[misc]
    of = f"{verified:,} verified"
    return [
        Figure(name=f"{of}: learnt, processor time", value=learnt, unit="s", limit=MOST_TO_LEARN_S),
        Figure(name=f"{of}: held out, beside that", value=held_out, unit="s", limit=MOST_TO_LEARN_S),
        Figure(
            name=f"of {tasks:,} tasks answered each second", value=tasks / sum(each), unit="", at_least=LEAST_A_SECOND
        ),
        Figure(name="a task, p99", value=1_000 * percentile(each, 0.99), unit="ms"),
    ]


def pupil_of(rows: list[Row]) -> Pupil:
    return Pupil(taught=tuple(Taught(task_id=n, text=r.text, label=r.gold) for n, r in enumerate(rows)), seed=0)


def spent(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
