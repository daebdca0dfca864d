"""How right the labels are, and how well each score tells right from wrong, with the local model.

Texts with known labels go through the whole line: imported into a real Label Studio, annotated by a worker, written
back as predictions, and read from there. PRELABEL_TEST_DATA names the folder with the texts.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from backend.confidence.metrics import quality
from scripts.benchmarks.report import BenchError, SkippedError, Table
from scripts.demo_project import Prediction, Project, create_project
from scripts.product import Product, settings
from scripts.services import LabelStudio, Redis, start_label_studio, start_local_model, start_redis

METHODS = ("logprob", "agreement", "prompt_variants", "self_reported")
COLUMNS = (
    *("texts", "score from", "accuracy or F1", "wholly right", "invalid", "scored", "mean score", "ECE", "AUROC"),
    *("errors in the lowest 20 %", "calls", "tokens in", "tokens out", "seconds"),
)
_ENTITIES = {  # as the data's authors describe them
    "person": "names of people, also invented ones",
    "location": "places, also planets and buildings",
    "corporation": "companies",
    "group": "bands, teams, parties, other groups that are no company",
    "product": "things that are made and sold, also apps and devices",
    "creative-work": "titles of films, songs, books, games",
}

Labels = frozenset[tuple[Any, ...]]  # what an answer says: one element a label or passage


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Texts with gold labels, and the labeling config that asks for them."""

    name: str
    config: str
    gold: Mapping[str, Labels]  # text -> what is right


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=200, help="texts of each set (default 200)")
    parser.add_argument("--sets", default="banking77,wnut17", help="which sets, with commas (default both)")
    parser.add_argument("--methods", default="logprob,agreement,self_reported", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--template", default="options-first.v1", help="prompt template (default options-first.v1)")
    parser.add_argument("--concurrency", type=int, default=4, help="tasks at a time (default 4)")
    parser.add_argument("--out", type=Path, help="append each answer to this file, one JSON object a line")
    parser.add_argument("--size", default="1.5B", help="of the local model: 1.5B or 0.5B")


def run(asked: argparse.Namespace) -> Table:
    given = os.environ.get("PRELABEL_TEST_DATA")
    if not given:
        raise SkippedError("PRELABEL_TEST_DATA is not set: set it to the folder with text/intent_banking77.jsonl")
    methods = asked.methods.split(",")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise BenchError(f"there is no method {unknown[0]!r}: give --methods of {', '.join(METHODS)}")
    sets = [_READERS[name](Path(given) / "text", asked.tasks) for name in asked.sets.split(",") if name in _READERS]
    rows: list[Sequence[str]] = []
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        label_studio = stack.enter_context(start_label_studio(Path(folder) / "label-studio", wait=False))
        redis = stack.enter_context(start_redis(Path(folder) / "redis", persist=True))
        model = stack.enter_context(start_local_model(Path(folder) / "model", asked.size))
        label_studio.wait_ready()
        endpoint = {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "local",
            "PRELABEL_MODEL": model.model,
            "PRELABEL_CONTEXT_TOKENS": "2048",
            "PRELABEL_CONCURRENCY": str(asked.concurrency),
            "PRELABEL_REQUEST_TIMEOUT_S": "600",
            "PRELABEL_TEMPLATE": asked.template,
        }
        for dataset in sets:
            for method in methods:
                row = measure(Path(folder), label_studio, redis, endpoint, dataset, method, asked.out)
                print(f"| {' | '.join(row)} |", flush=True)
                rows.append(row)
    return Table(columns=COLUMNS, rows=rows)


def measure(
    folder: Path,
    label_studio: LabelStudio,
    redis: Redis,
    endpoint: Mapping[str, str],
    dataset: Dataset,
    method: str,
    out: Path | None,
) -> Sequence[str]:
    """One row: the texts of a set with scores from one method."""
    own = folder / f"{dataset.name}-{method}"
    known = settings(label_studio, redis, own)
    product = Product(folder=own, settings={**known, **endpoint, "PRELABEL_CONFIDENCE": method})
    project = create_project(label_studio, f"{dataset.name} {method}", dataset.config)
    project.import_texts(list(dataset.gold))
    with product.start_worker(arguments=("--interactive", "1", "--bulk", "1")):
        told = product.command("run", "--project", str(project.id), "--wait", limit_s=4 * 3600)
    answers = judged(project, dataset)
    if out is not None:
        with out.open("a", encoding="utf-8") as lines:
            for (score, labels, right), gold in zip(answers, dataset.gold.values(), strict=True):
                row = {"set": dataset.name, "method": method, "score": score, "right": right}
                lines.write(json.dumps({**row, "labels": sorted(labels), "gold": sorted(gold)}) + "\n")
    found = quality([(score, right) for score, _, right in answers])
    said = [labels for _, labels, _ in answers]
    return (
        f"{len(answers)} of {dataset.name}",
        method,
        f"{f1(said, list(dataset.gold.values())):.3f}",
        f"{sum(right for _, _, right in answers) / len(answers):.3f}",
        str(told["invalid_replies"]),
        f"{found.scored}",
        *(_figure(value) for value in (found.mean_confidence, found.ece, found.auroc, found.errors_caught)),
        *(f"{told[key]:,}" for key in ("model_calls", "prompt_tokens", "completion_tokens")),
        f"{told['seconds']:.0f}",
    )


def judged(project: Project, dataset: Dataset) -> list[tuple[float | None, Labels, bool]]:
    """Of each text, in the set's order: the score, what was labelled, and whether just that is right.

    A reply that could not be read has no labels and, though it is written with 0 to come first, no score.
    """
    text_of = {row["id"]: row["data"]["text"] for row in project.rows()}
    by_text = {text_of[prediction.task]: prediction for prediction in project.predictions()}
    answers: list[tuple[float | None, Labels, bool]] = []
    for text, gold in dataset.gold.items():
        prediction = by_text.get(text)
        labels = labels_of(prediction) if prediction else frozenset()
        invalid = prediction is None or (prediction.score == 0 and not prediction.result)
        answers.append((None if invalid or prediction is None else prediction.score, labels, labels == gold))
    return answers


def labels_of(prediction: Prediction) -> Labels:
    found: set[tuple[Any, ...]] = set()
    for region in prediction.result:
        value = region["value"]
        if "choices" in value:
            found.update((choice,) for choice in value["choices"])
        else:
            found.update((value["start"], value["end"], label) for label in value["labels"])
    return frozenset(found)


def f1(said: Sequence[Labels], gold: Sequence[Labels]) -> float:
    """Micro-averaged over all labels or passages; with one label a text it is the accuracy of what was answered."""
    both = sum(len(a & b) for a, b in zip(said, gold, strict=True))
    total = sum(map(len, said)) + sum(map(len, gold))
    return 2 * both / total if total else 1.0


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _banking77(folder: Path, count: int) -> Dataset:
    rows = _rows(folder / "intent_banking77.jsonl")
    options = "".join(f"<Choice value={quoteattr(label)}/>" for label in sorted({row["label"] for row in rows}))
    return Dataset(
        name="banking77",
        config=f'<View><Text name="text" value="$text"/><Header value="What does this bank customer want?"/>'
        f'<Choices name="intent" toName="text" required="true">{options}</Choices></View>',
        gold=_first(count, {row["text"]: frozenset({(row["label"],)}) for row in rows}),
    )


def _wnut17(folder: Path, count: int) -> Dataset:
    rows = _rows(folder / "ner_wnut17.jsonl")
    options = "".join(f"<Label value={quoteattr(name)} hint={quoteattr(hint)}/>" for name, hint in _ENTITIES.items())
    return Dataset(
        name="wnut17",
        config=f'<View><Text name="text" value="$text"/><Labels name="entity" toName="text">{options}</Labels></View>',
        gold=_first(
            count,
            {row["text"]: frozenset((s["start"], s["end"], s["label"]) for s in row["spans"]) for row in rows},
        ),
    )


def _first(count: int, gold: Mapping[str, Labels]) -> Mapping[str, Labels]:
    return dict(list(gold.items())[:count])


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise BenchError(f"{path.name} cannot be read ({error.strerror}): check PRELABEL_TEST_DATA") from error


_READERS = {"banking77": _banking77, "wnut17": _wnut17}
