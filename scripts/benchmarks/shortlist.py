"""How often the right option is among those that a long list is shortened to, and what ranking costs.

BANKING77: 77 intents, ranked for each of its texts by their names alone. Longer lists are paths of three levels, put
together from the texts' words. The texts come from the folder that PRELABEL_TEST_DATA names.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from backend.learning.similarity import load, ranking
from scripts.benchmarks.report import BenchError, Figure, Report, SkippedError, percentile

DATA = "PRELABEL_TEST_DATA"
FILE = Path("text") / "intent_banking77.jsonl"
WITHIN = (8, 10, 20, 40)
LIST_LENGTHS = (1_000, 10_000)
LIMIT_MS = 100.0  # a task at 99 of 100: a model call takes far longer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--texts", type=int, default=1000, help="how many texts are ranked (default 1000)")
    parser.add_argument("--timed", type=int, default=200, help="texts that the times are taken from (default 200)")


def run(asked: argparse.Namespace) -> Report:
    texts, gold = read(asked.texts)
    importing = milliseconds(load)
    figures = [Figure(name="import of scikit-learn, once a worker host", value=importing / 1000, unit="s")]
    options = sorted(set(gold))
    timed = [
        f for listed in (options, *(paths(texts, n) for n in LIST_LENGTHS)) for f in times(listed, texts[: asked.timed])
    ]
    places = [ranking(text, options).index(options.index(label)) for text, label in zip(texts, gold, strict=True)]
    figures += [
        Figure(
            name=f"right intent among the first {most} of {len(options)}",
            value=100 * sum(place < most for place in places) / len(places),
            unit="%",
        )
        for most in WITHIN
    ]
    return Report(figures=[*figures, *timed])


def read(most: int) -> tuple[list[str], list[str]]:
    """Texts and their intents. Raises `SkippedError` where nobody said where they are."""
    folder = os.environ.get(DATA)
    if not folder:
        raise SkippedError(f"{DATA} is not set: set it to the folder with {FILE}")
    try:
        lines = (Path(folder) / FILE).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BenchError(f"{Path(folder) / FILE} cannot be read ({error.strerror})") from None
    rows = [json.loads(line) for line in lines[:most]]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def paths(texts: Sequence[str], length: int) -> list[str]:
    """Options of a large taxonomy, the same each time."""
    words = sorted({word for text in texts for word in text.split()})
    pick = random.Random(length)  # noqa: S311
    return [" > ".join(" ".join(pick.sample(words, 2)) for _ in range(3)) for _ in range(length)]


def times(options: Sequence[str], texts: Sequence[str]) -> list[Figure]:
    first = milliseconds(partial(ranking, "", options))
    each = [milliseconds(partial(ranking, text, options)) for text in texts]
    name = f"{len(options):,} options"
    return [
        Figure(name=f"{name}: the first task, which fits the weights", value=first / 1000, unit="s"),
        Figure(name=f"{name}: a task after it, median", value=percentile(each, 0.5), unit="ms"),
        Figure(
            name=f"{name}: a task after it, 99th percentile", value=percentile(each, 0.99), unit="ms", limit=LIMIT_MS
        ),
    ]


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
