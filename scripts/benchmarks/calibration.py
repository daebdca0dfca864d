"""What fitting the scores on verified tasks gains: AUROC, ECE and errors caught, and a whole loop of verification.

GPT-4o's labels of two real sets with its own verbalised confidence and human gold, in the folder that
PRELABEL_TEST_DATA names. First some tasks are verified at random and the others judged. Then the loop: a random audit
is verified, then the lowest scores, refitted and adopted as the product does, with weights for what was not drawn.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from backend.confidence.adoption import Raw, Score, adopt, probability
from backend.confidence.calibration import fit_platt
from backend.confidence.cases import Case, Verified, case_of
from backend.confidence.draw_weights import draw_weights
from backend.confidence.fused import Fused, fit_fused
from backend.confidence.metrics import Judged, auroc, errors_caught, expected_calibration_error
from backend.learning.student import out_of_fold, same_text
from scripts.benchmarks.report import BenchError, Figure, Report, SkippedError, Table

DATA = "PRELABEL_TEST_DATA"
FILE = Path("confidence") / "calib_gpt4o_verbal_stance_misinfo.jsonl"
TIMED_FILE = Path("text") / "intent_banking77.jsonl"
SETS = ("stance", "misinfo")
VERIFIED = (100, 200, 400)
LEAST_AUROC = {"stance": 0.765, "misinfo": 0.755}  # of the fused score with the most verified
LEAST_CAUGHT = {"stance": 54.0, "misinfo": 58.0}  # per cent of the errors, by the loop
AUDIT, REFIT_EVERY, REVIEWED = 60, 50, 0.3  # of the loop: tasks, tasks, share of all with the audit
EARLY, MOST_ECE = 200, 0.06  # tasks that the loop has looked at when its scores are judged
LOWEST = 200  # tasks that are verified lowest first and nothing else, to show what that does
TIMED = 10_000
_COLUMNS = ("tasks", "verified", "score", "AUROC", "ECE", "errors in the lowest 20 %", "in the lowest 30 %")


@dataclass(frozen=True, kw_only=True)
class Known:
    """Predictions of one set and whether each is right."""

    name: str
    verified: Sequence[Verified]  # all of them, as if a person had looked at each

    @property
    def errors(self) -> int:
        return sum(not v.right for v in self.verified)


@dataclass(frozen=True, kw_only=True)
class Measured(Report):
    """A table to be read, above the figures that have limits."""

    read: Table = field(kw_only=True)

    def table(self) -> str:
        return f"{self.read.table()}\n\n{super().table()}"

    def verdict(self) -> str:
        found = ", ".join(f"{f.name} {f.text}" for f in self.figures if f.at_least is not None)
        return f"{super().verdict()} ({found})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=20, help="draws of what is verified (default 20)")
    parser.add_argument("--texts", type=int, default=TIMED, help=f"that a student is timed over (default {TIMED:,})")


def run(asked: argparse.Namespace) -> Measured:
    rows: list[Sequence[str]] = []
    figures: list[Figure] = []
    for name in SETS:
        known = read(name)
        found = {count: at_random(known, count, asked.seeds) for count in VERIFIED}
        rows += [row for count in VERIFIED for row in found[count][0]]
        figures.append(
            Figure(
                name=f"{name}: AUROC of fused, {VERIFIED[-1]} verified",
                value=found[VERIFIED[-1]][1],
                unit="",
                at_least=LEAST_AUROC[name],
            )
        )
        figures += loops(known, asked.seeds)
        figures += biases(known, asked.seeds)
    figures.append(timed(asked.texts))
    return Measured(figures=figures, read=Table(columns=_COLUMNS, rows=rows))


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file. Raises `SkippedError` where nobody said where they are."""
    folder = os.environ.get(DATA)
    if not folder:
        raise SkippedError(f"{DATA} is not set: set it to the folder with {file}")
    try:
        return [json.loads(line) for line in (Path(folder) / file).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise BenchError(f"{Path(folder) / file} cannot be read ({error.strerror})") from None


def read(name: str) -> Known:
    """The cases of a set, with a student that learnt the model's own labels."""
    rows = [row for row in lines(FILE) if row["task"] == name]
    texts = [row["text"] for row in rows]
    student = out_of_fold(texts, [row["pred"] for row in rows], seed=0)
    verified = [
        Verified(
            case=case_of(row["confidence"], row["pred"], shares),
            right=row["correct"],
            group=same_text(text),
            audit=True,
        )
        for row, text, shares in zip(rows, texts, student, strict=True)
    ]
    return Known(name=name, verified=verified)


def at_random(known: Known, count: int, seeds: int) -> tuple[list[Sequence[str]], float]:
    """Of each score the averages over the seeds, over the tasks that were not verified; the AUROC of the fused one."""
    found: dict[str, list[tuple[float, ...]]] = {"random order": [], "raw": [], "platt": [], "fused": []}
    for seed in range(seeds):
        shuffled = random.Random(seed).sample(known.verified, len(known.verified))  # noqa: S311
        fitted_on, rest = shuffled[:count], shuffled[count:]
        scores: dict[str, Score | None] = {
            "raw": Raw(),
            "platt": fit_platt(fitted_on),
            "fused": fit_fused(fitted_on),
        }
        found["random order"].append(figures_of([(0.5, v.right) for v in rest]))
        for name, score in scores.items():
            assert score is not None
            found[name].append(figures_of([(given(score, v.case), v.right) for v in rest]))
    means = {name: [fmean(column) for column in zip(*values, strict=True)] for name, values in found.items()}
    rows: list[Sequence[str]] = [
        (known.name, str(count), name, *_written(name, values)) for name, values in means.items()
    ]
    return rows, means["fused"][0]


def _written(name: str, values: Sequence[float]) -> list[str]:
    separation, ece, *caught = values
    shares = [f"{100 * share:.1f} %" for share in caught]
    return [f"{separation:.3f}", "-" if name == "random order" else f"{ece:.3f}", *shares]


def figures_of(judged: Sequence[Judged]) -> tuple[float, ...]:
    """AUROC, ECE, and the shares of the errors among the lowest 20 and 30 per cent."""
    found = (
        auroc(judged),
        expected_calibration_error(judged),
        errors_caught(judged, 0.2),
        errors_caught(judged, 0.3),
    )
    if None in found:
        raise BenchError("what is judged has only right or only wrong answers")
    return tuple(value for value in found if value is not None)


def loops(known: Known, seeds: int) -> list[Figure]:
    """Errors found with the same number of tasks reviewed, audit included; and what the scores are worth early on."""
    name, percent = known.name, 100 * REVIEWED
    raw = errors_caught([(given(Raw(), v.case), v.right) for v in known.verified], REVIEWED)
    assert raw is not None
    budget = int(REVIEWED * len(known.verified))
    ends = [loop(known, budget, seed) for seed in range(seeds)]
    caught = [sum(not known.verified[task].right for task in looked_at) / known.errors for looked_at, _ in ends]
    fused = sum(isinstance(score, Fused) for _, score in ends)
    errors = [ece_of_others(known, *loop(known, EARLY, seed)) for seed in range(seeds)]
    return [
        Figure(name=f"{name}: errors among {percent:g} % at random", value=percent, unit="%"),
        Figure(name=f"{name}: among the {percent:g} % lowest raw scores", value=100 * raw, unit="%"),
        Figure(
            name=f"{name}: among the {percent:g} % that the loop reviews",
            value=100 * fmean(caught),
            unit="%",
            at_least=LEAST_CAUGHT[name],
        ),
        Figure(name=f"{name}: the same in the worst of {seeds} draws", value=100 * min(caught), unit="%"),
        Figure(name=f"{name}: draws that end with the fused score", value=100 * fused / seeds, unit="%"),
        Figure(name=f"{name}: ECE of all others, {EARLY} looked at", value=fmean(errors), unit="", limit=MOST_ECE),
        Figure(name=f"{name}: the same in the worst of {seeds} draws", value=max(errors), unit=""),
    ]


def loop(known: Known, budget: int, seed: int) -> tuple[set[int], Score]:
    """One project from the first verification on: what was looked at, so many tasks, and the score in use at the
    end."""
    chance = random.Random(seed)  # noqa: S311
    count = len(known.verified)
    audit = set(chance.sample(range(count), AUDIT))
    ties = [chance.random() for _ in range(count)]
    looked_at = set(audit)
    score = refitted(known, Raw(), audit, looked_at, seed)
    while len(looked_at) < budget:
        now = [given(score, v.case) for v in known.verified]
        waiting = sorted((task for task in range(count) if task not in looked_at), key=lambda t: (now[t], ties[t]))
        looked_at.update(waiting[: min(REFIT_EVERY, budget - len(looked_at))])
        score = refitted(known, score, audit, looked_at, seed)
    return looked_at, score


def ece_of_others(known: Known, looked_at: set[int], score: Score) -> float:
    others = [(given(score, v.case), v.right) for task, v in enumerate(known.verified) if task not in looked_at]
    found = expected_calibration_error(others)
    assert found is not None, "most tasks have not been looked at"
    return found


def refitted(known: Known, in_use: Score, audit: set[int], looked_at: set[int], seed: int) -> Score:
    return adopt(weighted(known, in_use, audit, looked_at), in_use=in_use, seed=seed).score


def weighted(known: Known, in_use: Score, audit: set[int], looked_at: set[int]) -> list[Verified]:
    """The rows of what was looked at, each with what it stands for."""
    scores = [probability(in_use, v.case) for v in known.verified]
    weights = draw_weights(scores, [task in looked_at for task in range(len(scores))])
    return [replace(known.verified[task], audit=task in audit, weight=weights[task]) for task in sorted(looked_at)]


def biases(known: Known, seeds: int) -> list[Figure]:
    """By how much a calibration on what was verified lowest first mistakes how often the model is right."""
    alone, mended = [], []
    for seed in range(seeds):
        shuffled = random.Random(seed).sample(range(len(known.verified)), len(known.verified))  # noqa: S311
        audit = set(shuffled[:AUDIT])
        lowest = sorted(shuffled, key=lambda task: given(Raw(), known.verified[task].case))[:LOWEST]
        alone.append(off(known, [known.verified[task] for task in lowest]))
        mended.append(off(known, weighted(known, Raw(), audit, audit.union(lowest))))
    name = f"{known.name}: Platt on the {LOWEST} lowest"
    return [
        Figure(name=f"{name}: estimated less true accuracy", value=fmean(alone), unit="points"),
        Figure(name=f"{name} and {AUDIT} at random, weighted: the same", value=fmean(mended), unit="points"),
    ]


def off(known: Known, verified: Sequence[Verified]) -> float:
    """The mean of the fitted scores less the accuracy, over all tasks, in percentage points."""
    platt = fit_platt(verified)
    assert platt is not None
    estimated = fmean(given(platt, v.case) for v in known.verified)
    return 100 * (estimated - fmean(v.right for v in known.verified))


def given(score: Score, case: Case) -> float:
    found = probability(score, case)
    assert found is not None, "every row of the file has a confidence"
    return found


def timed(count: int) -> Figure:
    """A student's probabilities for many texts of many classes: pairs of real texts, with the class of the first."""
    rows = lines(TIMED_FILE)
    chance = random.Random(0)  # noqa: S311
    pairs = [(chance.choice(rows), chance.choice(rows)) for _ in range(count)]
    texts = [f"{one['text']} {other['text']}" for one, other in pairs]
    labels = [one["label"] for one, _ in pairs]
    took = seconds(lambda: out_of_fold(texts, labels, seed=0))
    return Figure(name=f"student, {count:,} texts of {len(set(labels))} classes, out of fold", value=took, unit="s")


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
