"""How often golden questions tell a diligent annotator from a lazy one and from one who accepts everything.

1,000 simulated panels of three annotators: one is right on 97 % of all questions, whatever prediction is shown; one on
60 %; one accepts what is shown, which is right but for the traps. Each answers all golden questions in an order by lot.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass

from backend.learning.golden import Exam, GoldenAnswer, exam, mark
from backend.learning.golden_choice import traps_among
from scripts.benchmarks.report import Figure, Report, percentile

QUESTIONS = (23, 30, 59)  # the second is what the limits hold for: `golden make -n 30`
HELD = 30
Annotator = Callable[[bool, random.Random], bool]  # (is it a trap, chance) -> right
ANNOTATORS: dict[str, tuple[Annotator, str]] = {
    "diligent, 97 % right": (lambda trap, chance: chance.random() < 0.97, "pass"),
    "lazy, 60 % right": (lambda trap, chance: chance.random() < 0.60, "fail"),
    "accepts everything": (lambda trap, chance: not trap, "fail"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--panels", type=int, default=1000, help="how many are simulated (default 1000)")
    parser.add_argument("--seed", type=int, default=20261122, help="of all chance (default 20261122)")


@dataclass(frozen=True, kw_only=True)
class Sat:
    """One annotator's way through the golden questions."""

    verdict: str
    after: int  # the question at which it was clear, 1 for the first


def run(asked: argparse.Namespace) -> Report:
    chance = random.Random(asked.seed)  # noqa: S311
    return Report(figures=[figure for n in QUESTIONS for figure in figures(n, asked.panels, chance)])


def figures(questions: int, panels: int, chance: random.Random) -> list[Figure]:
    traps = traps_among(questions)
    marks = exam(questions, traps)
    least = 95.0 if questions == HELD else None
    name = f"{questions} questions, {traps} of them traps"
    sat = {who: [sit(answers, marks, traps, chance) for _ in range(panels)] for who, (answers, _) in ANNOTATORS.items()}
    right = {who: [one.verdict == ANNOTATORS[who][1] for one in several] for who, several in sat.items()}
    shown = []
    for who, several in sat.items():
        failed = [one.after for one in several if one.verdict == "fail"]
        shown.append(Figure(name=f"{name}: {who}: flagged", value=100 * len(failed) / panels, unit="%"))
        if ANNOTATORS[who][1] == "fail":
            middle = percentile(failed, 0.5)
            shown.append(Figure(name=f"{name}: {who}: flagged after, median", value=middle, unit="questions"))
    verdicts = 100 * sum(map(sum, right.values())) / (panels * len(right))
    whole = 100 * sum(map(all, zip(*right.values(), strict=True))) / panels
    shown.append(Figure(name=f"{name}: right verdicts", value=verdicts, unit="%", at_least=least))
    shown.append(Figure(name=f"{name}: panels with three right verdicts", value=whole, unit="%", at_least=least))
    return shown


def sit(answers: Annotator, marks: Exam, traps: int, chance: random.Random) -> Sat:
    """Answer one question after the other, and stop at the verdict."""
    questions = [place < traps for place in range(marks.overall.questions)]
    chance.shuffle(questions)
    given: list[GoldenAnswer] = []
    for trap in questions:
        given.append(GoldenAnswer(right=answers(trap, chance), trap=trap))
        marked = mark(given, marks)
        if marked.verdict != "not enough yet":
            break
    return Sat(verdict=marked.verdict, after=len(given))
