"""How often a certificate is wrong, and what share of the work it saves, on simulated projects.

Each project has 500 to 5,000 tasks, a model that is right on 60 to 95 % of them, and one of several kinds of
confidence: honest, too sure, too modest, rounded as models write them, unrelated to being right, the same for all. The
audit is drawn by the product's rule: 5 % of the tasks, at least 50 and at most 300. What a person labels is right.
"""

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from backend.confidence.certificate import Audited, Certificate, ErrorOf, Refusal, certify
from backend.confidence.intervals import at_most
from scripts.benchmarks.report import Figure, Report

MAX_ERROR, CONFIDENCE = 0.10, 0.95
KINDS = ("honest", "too sure", "too modest", "rounded", "unrelated", "the same for all")
BANDS = ((0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--projects", type=int, default=500, help="how many are simulated (default 500)")
    parser.add_argument("--seed", type=int, default=20261122, help="of all chance (default 20261122)")


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Scores and truth of one project's tasks; `audit` are the first tasks, which are in an order by lot."""

    accuracy: float  # of the model, expected
    kind: str
    scores: Sequence[float | None]
    right: Sequence[bool]
    audit: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    project: Simulated
    saved: float  # 0 where nothing is certified
    error: float | None  # the true share of wrong labels; None where nothing is certified


def run(asked: argparse.Namespace) -> Report:
    chance = random.Random(asked.seed)  # noqa: S311
    projects = [simulated(chance) for _ in range(asked.projects)]
    figures = [figure for error_of in ErrorOf for figure in certified(projects, error_of)]
    return Report(figures=[*figures, *without_audit(projects)])


def simulated(chance: random.Random) -> Simulated:
    tasks = round(math.exp(chance.uniform(math.log(500), math.log(5000))))
    accuracy, kind = chance.uniform(0.6, 0.95), chance.choice(KINDS)
    spread = chance.choice((1.5, 4, 10))  # the larger, the less tasks differ in how hard they are
    chances = [chance.betavariate(spread * accuracy, spread * (1 - accuracy)) for _ in range(tasks)]
    return Simulated(
        accuracy=accuracy,
        kind=kind,
        scores=[None if chance.random() < 0.02 else confidence(kind, p, chance) for p in chances],
        right=[chance.random() < p for p in chances],
        audit=min(300, max(50, math.ceil(0.05 * tasks))),
    )


def confidence(kind: str, p: float, chance: random.Random) -> float:
    """What the model says of a task that it gets right with probability `p`."""
    p = min(1 - 1e-9, max(1e-9, p))
    logit = math.log(p / (1 - p))
    said = {
        "honest": p,
        "too sure": 1 / (1 + math.exp(-2 * logit - 1)),
        "too modest": 1 / (1 + math.exp(-logit / 2)),
        "rounded": round(20 * max(p, 0.5)) / 20,
        "unrelated": chance.random(),
        "the same for all": 0.9,
    }
    return said[kind]


def certified(projects: Sequence[Simulated], error_of: ErrorOf) -> list[Figure]:
    outcomes = [outcome(project, error_of) for project in projects]
    what = "of all labels" if error_of is ErrorOf.ALL else "of the accepted group"
    n, granted = len(projects), sum(one.error is not None for one in outcomes)
    wrong = sum(one.error is not None and one.error > MAX_ERROR for one in outcomes)
    limit = 100 * (too_many(n) / n)
    figures = [
        Figure(name=f"error {what}: projects certified", value=granted, unit=f"of {n}"),
        Figure(
            name=f"error {what}: certified, with a true error above 10 %", value=100 * wrong / n, unit="%", limit=limit
        ),
        Figure(name=f"error {what}: that, of the certified", value=100 * wrong / max(1, granted), unit="%"),
        Figure(name=f"error {what}: work saved, mean over all projects", value=mean_saved(outcomes), unit="%"),
    ]
    for low, high in BANDS:
        band = [one for one in outcomes if low <= one.project.accuracy < high]
        name = f"error {what}: work saved, model right on {low:.0%} to {high:.0%}".replace("%", " %")
        figures.append(Figure(name=name, value=mean_saved(band), unit="%"))
    if error_of is ErrorOf.ALL:
        for kind in KINDS:
            some = [one for one in outcomes if one.project.kind == kind]
            figures.append(
                Figure(name=f"error {what}: work saved, confidence {kind}", value=mean_saved(some), unit="%")
            )
    return figures


def too_many(n: int) -> int:
    """The fewest broken promises of `n` that are not chance any more (5 %) if each is broken with probability 5 %."""
    return next(count for count in range(n + 2) if 1 - at_most(count - 1, n, 1 - CONFIDENCE) < 0.05)


def mean_saved(outcomes: Sequence[Outcome]) -> float:
    return 100 * sum(one.saved for one in outcomes) / len(outcomes) if outcomes else math.nan


def outcome(project: Simulated, error_of: ErrorOf) -> Outcome:
    audit, unseen = parted(project, range(project.audit))
    verdict = certify(audit, unseen, max_error=MAX_ERROR, confidence=CONFIDENCE, error_of=error_of)
    if not isinstance(verdict, Certificate):
        return Outcome(project=project, saved=0.0, error=None)
    above = [place for place, s in enumerate(project.scores) if s is not None and s >= verdict.threshold]
    wrong = sum(not project.right[place] for place in above if place >= project.audit)
    whole = len(project.scores) if error_of is ErrorOf.ALL else len(above)
    return Outcome(project=project, saved=verdict.saved, error=wrong / whole)


def without_audit(projects: Sequence[Simulated]) -> list[Figure]:
    """As many labels, but of the tasks with the lowest scores: given as what they are, and as if they were random."""
    honest = mistaken = 0
    for project in projects:
        order = sorted(range(len(project.scores)), key=lambda place: project.scores[place] or 0.0)
        labelled, unseen = parted(project, order[: project.audit])
        honest += isinstance(certify([], unseen, checked=[row.score for row in labelled], max_error=MAX_ERROR), Refusal)
        mistaken += isinstance(certify(labelled, unseen, max_error=MAX_ERROR), Refusal)
    n = len(projects)
    return [
        Figure(name="lowest first, no audit: refused", value=100 * honest / n, unit="%", at_least=100),
        Figure(name="lowest first, given as a random audit: refused", value=100 * mistaken / n, unit="%"),
    ]


def parted(project: Simulated, labelled: Sequence[int]) -> tuple[list[Audited], list[float | None]]:
    """The labelled tasks, and the scores of the others."""
    chosen = set(labelled)
    audit = [Audited(score=project.scores[place], right=project.right[place]) for place in labelled]
    return audit, [score for place, score in enumerate(project.scores) if place not in chosen]
