"""What verified tasks as examples gain with the local model: none, by lot, and the most similar ones.

Texts of BANKING77 (77 intents) are asked as a worker asks them, the same ones each time; the other texts of the set are
the verified tasks, in the store as people's annotations would be. PRELABEL_TEST_DATA names the folder with the texts.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.adapters.templates import read_template
from backend.confidence.intervals import Comparison, clopper_pearson, compare_paired
from backend.core.values import Agent, Outcome, Task
from backend.dialogue import Question
from backend.learning.example_pool import ExamplePool, PoolTask
from backend.learning.similarity import load
from backend.services.annotate import Caller, annotate_task
from backend.services.verified_examples import VerifiedExamples
from backend.settings import Settings
from backend.wiring import Parts
from scripts import weights
from scripts.benchmarks.fresh_pools import config_of, fresh_pools, verify
from scripts.benchmarks.report import BenchError, Figure, Report, SkippedError, Table, percentile
from scripts.benchmarks.shortlist import read
from scripts.services import LocalModel, start_local_model

COLUMNS = ("examples", "right", "accuracy", "95 %", "unusable", "examples a prompt", "tokens a prompt", "s a task")
WAYS = (
    ("none", None, None),
    ("5 by lot", 5, "random"),
    ("5 most similar", 5, "tfidf"),
    ("10 most similar", 10, "tfidf"),
)
NEAREST = "label of the most similar, no model"
_LARGE, _LIMIT_MS = 10_000, 5.0
_ALL = 1_000_000  # more rows than the set has
_WINDOW = 4_096  # of the estimate, which is high for lists of names; the model's own is 2,048 a task, and it would say


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of choosing examples, and what came of it."""

    name: str
    right: Sequence[bool]  # of each asked text
    outcomes: Sequence[Outcome] = ()
    seconds: float = 0.0

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)

    def row(self) -> Sequence[str]:
        found, n = clopper_pearson(sum(self.right), len(self.right)), len(self.right)
        counted = ("", "", "", "")
        if self.outcomes:
            calls = max(1, sum(one.usage.calls for one in self.outcomes))
            counted = (
                str(sum(not one.result for one in self.outcomes)),
                f"{sum(len(one.examples) for one in self.outcomes) / n:.1f}",
                f"{sum(one.usage.prompt_tokens for one in self.outcomes) / calls:,.0f}",
                f"{self.seconds / n:.2f}",
            )
        interval = f"{found.low:.3f} to {found.high:.3f}"
        return (self.name, f"{sum(self.right)} of {n}", f"{self.accuracy:.3f}", interval, *counted)


def pool_costs(rows: Sequence[tuple[str, str]]) -> Report:
    """What choosing takes of the processor, from a pool of `_LARGE` tasks: the texts of the set, each with numbers."""
    texts = [f"{rows[n % len(rows)][0]} {n}" for n in range(_LARGE)]
    pool = ExamplePool(PoolTask(task_id=n, text=text, answer={}) for n, text in enumerate(texts))
    first = _seconds(lambda: pool.choose(-1, "a first one", 5, selector="tfidf"))
    grown = pool.changed([PoolTask(task_id=_LARGE, text="one more", answer={})])
    growing = _seconds(lambda: grown.choose(-1, "a first one", 5, selector="tfidf"))
    each = [_seconds(lambda text=text: grown.choose(-1, text, 5, selector="tfidf")) for text, _ in rows[:200]]  # type: ignore[misc]
    return Report(
        figures=[
            Figure(name=f"pool of {_LARGE:,} texts, counted and weighted", value=first, unit="s"),
            Figure(name="the same with one task more", value=1000 * growing, unit="ms"),
            Figure(name="5 examples chosen, median", value=1000 * percentile(each, 0.5), unit="ms", limit=_LIMIT_MS),
            Figure(name="5 examples chosen, p99", value=1000 * percentile(each, 0.99), unit="ms"),
            *fresh_pools(rows),
        ]
    )


def _seconds(work: Callable[[], object]) -> float:
    """Of the processor: others may be at work on this machine."""
    started = time.process_time()
    work()
    return time.process_time() - started


@dataclass(frozen=True, kw_only=True)
class ExamplesTable(Table):
    ways: Sequence[Way]
    costs: Report

    @property
    def pairs(self) -> list[tuple[str, str, Comparison]]:
        none, by_lot, similar, more = self.ways[:4]
        pairs = ((none, by_lot), (by_lot, similar), (none, similar), (similar, more))
        found = ((old.name, new.name, compare_paired(old.right, new.right, seed=0)) for old, new in pairs)
        return [(old, new, comparison) for old, new, comparison in found if comparison is not None]

    def table(self) -> str:
        lines = ["| paired | gain in points | 95 % |", "|---|---|---|"]
        for old, new, found in self.pairs:
            interval = f"{100 * found.interval.low:+.1f} to {100 * found.interval.high:+.1f}"
            lines.append(f"| {new} over {old} | {100 * found.gain:+.1f} | {interval} |")
        return "\n".join([super().table(), "", *lines, "", self.costs.table()])

    def verdict(self) -> str:
        none, by_lot, similar, more = (way.accuracy for way in self.ways[:4])
        said = "ok: similar ones above those by lot above none" if self.holds else "falls short: not in this order"
        said += "" if self.costs.holds else f" ({self.costs.verdict()})"
        return (
            f"{said}: accuracy none {none:.3f}, 5 by lot {by_lot:.3f}, 5 similar {similar:.3f}, 10 similar {more:.3f}"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=300, help="texts that are asked (default 300); 0: no model at all")
    parser.add_argument("--template", default="options-first.v2", help="prompt template (default options-first.v2)")
    parser.add_argument("--concurrency", type=int, default=4, help="tasks at a time (default 4)")
    parser.add_argument("--size", default="1.5B", help="of the local model: 1.5B or 0.5B")
    parser.add_argument("--threads", type=int, help="of the local model (default: half of the processors)")


def run(asked: argparse.Namespace) -> ExamplesTable | Report:
    texts, gold = read(_ALL)
    if not 0 <= asked.tasks < len(texts):
        raise BenchError(f"there are {len(texts)} texts: give --tasks fewer than that")
    load()
    costs = pool_costs(list(zip(texts, gold, strict=True)))
    if not asked.tasks:
        return costs
    if weights.at_hand(asked.size) is None:
        raise SkippedError(f"there are no weights: run scripts/setup --demo --weights {asked.size}")
    rows = list(zip(texts, gold, strict=True))
    with (
        tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder,
        start_local_model(Path(folder) / "model", asked.size, threads=asked.threads) as model,
    ):
        parts = Parts(
            Settings(
                openai_base_url=model.base_url,
                openai_api_key="local",
                database_url=f"sqlite:///{folder}/bench.sqlite3",
                request_timeout_s=600,
            )
        )
        parts.store.migrate()
        ways = [*measured(parts, model, rows, asked), nearest(parts, rows, asked.tasks)]
        parts.store.close()
    none, by_lot, similar = (way.accuracy for way in ways[:3])
    return ExamplesTable(
        columns=COLUMNS,
        rows=[way.row() for way in ways],
        holds=similar > by_lot > none and costs.holds,
        ways=ways,
        costs=costs,
    )


def measured(parts: Parts, model: LocalModel, rows: Sequence[tuple[str, str]], asked: argparse.Namespace) -> list[Way]:
    """Each way over the same texts."""
    config = config_of(rows)
    verify(parts.store, config, rows, asked.tasks)
    examples = VerifiedExamples(store=parts.store)
    agent = Agent(
        name="bench",
        model=model.model,
        template=asked.template,
        confidence="logprob",
        context_tokens=_WINDOW,
        max_tokens=32,
    )
    question = Question(
        config=config,
        agent=agent,
        template_source=read_template(parts.settings.prompts_dir, asked.template),
        instructions="",
        version="bench@00000000",
    )
    ways = []
    for name, count, selector in WAYS:
        chosen = replace(question, agent=replace(agent, retrieved=count, selector=selector))
        started = time.monotonic()
        outcomes = asyncio.run(answers(parts, examples.beside(1, chosen), rows[: asked.tasks], asked.concurrency))
        right = [label_of(one) == gold for one, (_, gold) in zip(outcomes, rows, strict=False)]
        ways.append(Way(name=name, right=right, outcomes=outcomes, seconds=time.monotonic() - started))
        print(f"| {' | '.join(ways[-1].row())} |", flush=True)
    return ways


async def answers(parts: Parts, question: Question, rows: Sequence[tuple[str, str]], concurrency: int) -> list[Outcome]:
    slots = asyncio.Semaphore(concurrency)
    async with parts.endpoints.model() as endpoint:
        caller = Caller(model=endpoint, media=parts.endpoints.media(), sleep=asyncio.sleep, random=random.random)

        async def one(number: int, text: str) -> Outcome:
            async with slots:
                return await annotate_task(question, Task(id=number, project_id=1, data={"text": text}), caller)

        return list(await asyncio.gather(*(one(number, text) for number, (text, _) in enumerate(rows))))


def nearest(parts: Parts, rows: Sequence[tuple[str, str]], first: int) -> Way:
    """What the most similar verified task says, without asking any model."""
    pool = VerifiedExamples(store=parts.store).pool(1, config_of(rows))
    right = []
    for number, (text, gold) in enumerate(rows[:first]):
        found = pool.choose(number, text, 1, selector="tfidf")
        right.append(bool(found) and found[0].label == gold)
    return Way(name=NEAREST, right=right)


def label_of(outcome: Outcome) -> str | None:
    return next((str(region["value"]["choices"][0]) for region in outcome.result), None)
