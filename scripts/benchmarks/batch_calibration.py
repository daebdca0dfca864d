"""What batch calibration changes in the labels of a small local model: accuracy and AUROC with and without it.

Texts of GoEmotions that have one label, each asked as a worker asks it, with the label probabilities that the product
stores of each task. PRELABEL_TEST_DATA names the folder with the texts.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.adapters.templates import read_template
from backend.confidence.batch_calibration import Gain, batch_means, gain
from backend.confidence.metrics import Quality
from backend.core.values import Agent, FieldReading, Task
from backend.dialogue import Question
from backend.labeling.parsing import parse_config
from backend.services.annotate import Caller, annotate_task
from backend.settings import Settings
from backend.wiring import Parts
from scripts import weights
from scripts.benchmarks.report import BenchError, SkippedError, Table
from scripts.services import LocalModel, start_local_model

DATA = "PRELABEL_TEST_DATA"
FILE = Path("text") / "emotion_multilabel_goemotions.jsonl"
COLUMNS = ("labels", "tasks", "accuracy", "AUROC", "mean confidence", "ECE", "errors in the lowest 20 %")


@dataclass(frozen=True, kw_only=True)
class GainTable(Table):
    gain: Gain
    unscored: int
    seconds: float

    def verdict(self) -> str:
        found = self.gain
        return (
            f"ok: accuracy {found.before.accuracy:.3f} -> {found.after.accuracy:.3f}, "
            f"AUROC {_figure(found.before.auroc)} -> {_figure(found.after.auroc)}; {found.mended} labels mended, "
            f"{found.spoiled} spoiled; {self.unscored} tasks without label probabilities; {self.seconds:.0f} s of calls"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=300, help="texts with one label (default 300)")
    parser.add_argument("--template", default="options-first.v1", help="prompt template (default options-first.v1)")
    parser.add_argument("--concurrency", type=int, default=4, help="tasks at a time (default 4)")
    parser.add_argument("--size", default="1.5B", help="of the local model: 1.5B or 0.5B")
    parser.add_argument("--threads", type=int, help="of the local model (default: half of the processors)")
    parser.add_argument("--out", type=Path, help="append each answer to this file, one JSON object a line")


def run(asked: argparse.Namespace) -> GainTable:
    rows, labels = read(asked.tasks)
    if weights.at_hand(asked.size) is None:
        raise SkippedError(f"there are no weights: run scripts/setup --demo --weights {asked.size}")
    with (
        tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder,
        start_local_model(Path(folder) / "model", asked.size, threads=asked.threads) as model,
    ):
        started = time.monotonic()
        fields = asyncio.run(answers(Path(folder), model, question(model, labels, asked.template), rows, asked))
        took = time.monotonic() - started
    return judged(rows, fields, took)


def read(count: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Texts with their one label, and all labels of the set. Raises `SkippedError` where nobody said where they are."""
    folder = os.environ.get(DATA)
    if not folder:
        raise SkippedError(f"{DATA} is not set: set it to the folder with {FILE}")
    try:
        rows = [json.loads(line) for line in (Path(folder) / FILE).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise BenchError(f"{Path(folder) / FILE} cannot be read ({error.strerror})") from None
    single = [(row["text"], row["label"][0]) for row in rows if len(row["label"]) == 1]
    return single[:count], sorted({label for row in rows for label in row["label"]})


def question(model: LocalModel, labels: Sequence[str], template: str) -> Question:
    options = "".join(f'<Choice value="{label}"/>' for label in labels)
    config = parse_config(
        '<View><Text name="text" value="$text"/><Header value="Which emotion does the writer show most?"/>'
        f'<Choices name="emotion" toName="text" required="true">{options}</Choices></View>'
    )
    agent = Agent(
        name="bench", model=model.model, template=template, confidence="logprob", context_tokens=2048, max_tokens=64
    )
    source = read_template(Settings().prompts_dir, template)
    return Question(config=config, agent=agent, template_source=source, instructions="", version="bench@00000000")


async def answers(
    folder: Path, model: LocalModel, asked_of_each: Question, rows: Sequence[tuple[str, str]], asked: argparse.Namespace
) -> list[FieldReading | None]:
    """What was read of each text, with its label probabilities; None for a text without an answer."""
    parts = Parts(
        Settings(
            openai_base_url=model.base_url,
            openai_api_key="local",
            database_url=f"sqlite:///{folder}/bench.sqlite3",
            request_timeout_s=600,
        )
    )
    parts.store.migrate()
    slots = asyncio.Semaphore(asked.concurrency)
    async with parts.endpoints.model() as endpoint:
        caller = Caller(model=endpoint, media=parts.endpoints.media(), sleep=asyncio.sleep, random=random.random)

        async def one(number: int, text: str, gold: str) -> FieldReading | None:
            async with slots:
                task = Task(id=number, project_id=1, data={"text": text})
                field = next(iter((await annotate_task(asked_of_each, task, caller)).fields), None)
            if asked.out is not None and field is not None:
                append(asked.out, gold, field)
            return field

        found = await asyncio.gather(*(one(number, *row) for number, row in enumerate(rows)))
    parts.store.close()
    return list(found)


def judged(rows: Sequence[tuple[str, str]], fields: Sequence[FieldReading | None], took: float) -> GainTable:
    known = [
        (field, gold) for field, (_, gold) in zip(fields, rows, strict=True) if field and field.label_probabilities
    ]
    means = batch_means([field.label_probabilities for field, _ in known])
    if means is None:
        raise BenchError(f"only {len(known)} answers came with label probabilities")
    found = gain([(means.apply(f.label_probabilities, said=_label(f)), gold) for f, gold in known])
    table = (("as the model says", found.before), ("batch-calibrated", found.after))
    return GainTable(
        columns=COLUMNS,
        rows=[(name, str(one.n), *_figures(one)) for name, one in table],
        gain=found,
        unscored=len(rows) - len(known),
        seconds=took,
    )


def _label(field: FieldReading) -> str:
    """Of a choice of one."""
    assert field.value is not None
    return str(field.value[0])


def _figures(found: Quality) -> list[str]:
    return [_figure(v) for v in (found.accuracy, found.auroc, found.mean_confidence, found.ece, found.errors_caught)]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def append(out: Path, gold: str, field: FieldReading) -> None:
    answer = {"label": field.value, "confidence": field.confidence, "labels": dict(field.label_probabilities)}
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"gold": gold, **answer}) + "\n")
