"""What 200 verifications do in a real Label Studio: truer scores, a better order, a certificate that holds.

A scripted model of a known error rate: wrong by lot, and more often where it is less sure; but it says "positive" too
readily, and is as sure of it as of what it knows. With `--by-wording` no lot but the wording tells where it is wrong:
it is always fooled by irony and by what is told without an opinion word. A scripted annotator who knows the truth
works through the tabs "Audit" and "Verify next" by Label Studio's own API. What is measured is held against the truth
of all tasks, which the product never sees. The texts are of a few kinds: near duplicates are not held back.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.adapters.sql.store import SqlStore
from backend.confidence.metrics import Judged, errors_caught, expected_calibration_error
from backend.core.values import TaskState
from scripts.benchmarks.report import BenchError, Figure, Report
from scripts.demo_project import Prediction, Project, create_project
from scripts.product import CommandError, Product, settings
from scripts.services import start_label_studio, start_redis
from tests.fakes.scripted_answers import answer
from tests.fakes.scripted_model import ScriptedModel

CONFIG = """<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">
<Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/></Choices></View>"""
MAX_ERROR = 0.05  # of the certificate, at 95 %
MOST_ECE = 0.06
LOWEST = 0.2  # of the tasks that nobody has verified: where errors are to be found
AT_ONCE = 25  # tasks that the annotator takes from the tab before looking at it again
WAIT_S = 240.0

LABELS = ("positive", "negative", "neutral")
# How often the model is wrong: where it is least sure of the label, and where it is surest.
ERROR_RATES = {"negative": (0.02, 0.02), "positive": (0.45, 0.20), "neutral": (0.30, 0.10)}
# What the model takes it for, what it is by its wording, how often of 1,000 texts, how it is told.
KINDS = (
    ("negative", "negative", 400, "The {thing} was awful and the {other} too"),
    ("negative", "neutral", 5, "What the {thing} is for the awful {other} is told on page two"),
    ("positive", "positive", 300, "A great {thing} and a {other} that does its work"),
    ("positive", "negative", 95, "Great, the {thing} of the {other} lost everything once more"),
    ("neutral", "neutral", 110, "The {thing} came with a {other}"),
    ("neutral", "negative", 90, "The {thing} left the {other} out in the rain"),
)
THINGS = ("parcel", "manual", "courier", "charger", "screen", "return form", "support call", "cable", "invoice", "app")


@dataclass(frozen=True, kw_only=True)
class Text:
    text: str
    truth: str


def texts(count: int, seed: int, *, by_wording: bool) -> list[Text]:
    """So many texts, each another one, in an order by lot."""
    chance = random.Random(seed)  # noqa: S311
    kinds = chance.choices(KINDS, weights=[kind[2] for kind in KINDS], k=count)
    made = []
    for number, (_, truth, _, pattern) in enumerate(kinds):
        thing, other = chance.sample(THINGS, 2)
        made.append(Text(text=f"{pattern.format(thing=thing, other=other)} (number {number}).", truth=truth))
    return made if by_wording else by_lot(made, chance)


def by_lot(made: Sequence[Text], chance: random.Random) -> list[Text]:
    """The texts with the model's own labels for the truth, but for the errors."""
    answers = [said(one.text) for one in made]
    sure: dict[str, list[float]] = {label: sorted(p for other, p in answers if other == label) for label in LABELS}
    found = []
    for one, (label, p) in zip(made, answers, strict=True):
        least, most = sure[label][0], sure[label][-1]
        at_least, at_most = ERROR_RATES[label]
        wrong = at_least + (at_most - at_least) * (p - least) / (most - least)
        others = [other for other in LABELS if other != label]
        found.append(Text(text=one.text, truth=chance.choice(others) if chance.random() < wrong else label))
    return found


def said(text: str) -> tuple[str, float]:
    """What the scripted model will answer, and its probability of that."""
    asked: dict[str, Any] = {"properties": {"sentiment": {"enum": list(LABELS)}}}
    form = {"type": "json_schema", "json_schema": {"schema": asked}}
    (place,) = answer([{"role": "user", "content": text}], form).labels
    return place.label, place.distribution[place.label]


@dataclass(kw_only=True)
class Annotator:
    """Somebody who is always right, in Label Studio."""

    product: Product
    project: Project
    truth: Mapping[int, str]
    drawn: Callable[[int], bool]  # whether a task is of the blind audit
    verified: list[int] = field(default_factory=list)
    blind: int = 0
    audit_shown: int = 0  # tasks of the audit that showed a prediction

    def work_through(self, title: str, count: int) -> None:
        """From the top of the tab on, until so many are verified in all or the tab is empty."""
        while len(self.verified) < count:
            task_ids = self._next(title)[: min(AT_ONCE, count - len(self.verified))]
            if not task_ids:
                return
            for task_id in task_ids:
                self._submit(task_id)

    def _next(self, title: str) -> list[int]:
        """What the tab shows first; it is brought up to date before."""
        project = ("--project", str(self.project.id))
        saved = self.product.command("queue", *project, "--tabs", "--audit", "--cap", "0")["tabs"]
        (tab,) = (tab["id"] for tab in saved if tab["title"] == title)
        params = {"project": self.project.id, "view": tab, "page": 1, "page_size": 100}
        return [row["id"] for row in self.project.call("GET", "/api/tasks", params=params)["tasks"]]

    def _submit(self, task_id: int) -> None:
        """As the editor does it: on what the task shows, with it as the parent."""
        version = self.project.details()["model_version"]
        found = self.project.call("GET", f"/api/tasks/{task_id}", params={"project": self.project.id})["predictions"]
        shown = [prediction for prediction in found if prediction["model_version"] == version]
        label = {"choices": [self.truth[task_id]]}
        region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": label}
        body: dict[str, Any] = {"result": [region], "lead_time": 3.0}
        if shown:
            body["parent_prediction"] = shown[0]["id"]
        if self.drawn(task_id):
            self.audit_shown += bool(found)
            self.blind += 1
        path = f"/api/tasks/{task_id}/annotations/"
        self.project.call("POST", path, params={"project": self.project.id}, json=body)
        self.verified.append(task_id)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=3_000, help="of the project (default 3,000)")
    parser.add_argument("--verified", type=int, default=200, help="tasks that are verified (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the texts (default 0)")
    parser.add_argument("--by-wording", action="store_true", help="the model is wrong about two kinds of texts, always")


def run(asked: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder, ExitStack() as stack:
        product, project = start(stack, Path(folder))
        made = texts(asked.tasks, asked.seed, by_wording=asked.by_wording)
        project.import_texts([one.text for one in made])
        product.command("connect", "--project", str(project.id), "--backend-url", product.url)
        product.command("run", "--project", str(project.id), "--wait", limit_s=1800)
        store = SqlStore(product.settings["DATABASE_URL"])
        stack.callback(store.close)
        return measured(product, project, store, made, asked.verified)


def start(stack: ExitStack, folder: Path) -> tuple[Product, Project]:
    """Everything up, and an empty project."""
    label_studio = stack.enter_context(start_label_studio(folder / "label-studio", wait=False))
    redis = stack.enter_context(start_redis(folder / "redis", persist=True))
    model = stack.enter_context(ScriptedModel())
    own = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "scripted", "PRELABEL_MODEL": model.model}
    place = folder / "prelabel"
    product = Product(folder=place, settings=settings(label_studio, redis, place) | own | {"PRELABEL_AUDIT": "true"})
    stack.enter_context(product.start_service())
    stack.enter_context(product.start_worker())
    label_studio.wait_ready()
    return product, create_project(label_studio, "Loop", CONFIG)


def measured(product: Product, project: Project, store: SqlStore, made: Sequence[Text], count: int) -> Report:
    """The loop, and what it came to. Tasks have their texts' order."""
    plan = store.audit_plan(project.id)
    if plan is None:
        raise BenchError("No blind audit has begun: the project is too small for one.")
    task_ids = sorted(store.job_task_ids(store.jobs(project.id, limit=1)[0].id, [TaskState.DONE]))
    truth = {task_id: one.truth for task_id, one in zip(task_ids, made, strict=True)}
    before = current(project)
    annotator = Annotator(product=product, project=project, truth=truth, drawn=plan.holds)
    began = time.monotonic()
    annotator.work_through("Audit", count)
    annotator.work_through("Verify next", count)
    annotated_s = time.monotonic() - began
    product.command("verifications", "--project", str(project.id))
    count_shown = len(task_ids) - sum(plan.holds(t) for t in task_ids) + annotator.blind
    settled(project, count_shown, fitted=False)  # the audit's predictions are written now
    refit(product, project)
    after = settled(project, count_shown, fitted=True)
    left = [task_id for task_id in before if task_id not in set(annotator.verified)]
    old, new = judged(left, before, truth), judged(left, after, truth)
    return Report(
        figures=[
            Figure(name="model's labels that are wrong", value=share_wrong(after, truth), unit="%"),
            Figure(name="verified", value=len(annotator.verified), unit="tasks", at_least=count),
            Figure(name="of these in the blind audit", value=annotator.blind, unit="tasks"),
            Figure(name="of these that showed a prediction", value=annotator.audit_shown, unit="", limit=1),
            Figure(name="an annotation takes, with what it reads", value=annotated_s / count, unit="s"),
            Figure(name="ECE of the scores before", value=expected_calibration_error(old) or 0.0, unit=""),
            Figure(name="ECE after", value=expected_calibration_error(new) or 0.0, unit="", limit=MOST_ECE),
            *caught(old, new),
            *certified(product, project, truth, annotator),
        ]
    )


def caught(old: Sequence[Judged], new: Sequence[Judged]) -> list[Figure]:
    """Errors among the unverified tasks that stand first."""
    was, found = (100 * (errors_caught(rows, LOWEST) or 0.0) for rows in (old, new))
    return [
        Figure(name=f"errors in the first {LOWEST:.0%} of the order before", value=was, unit="%"),
        Figure(name=f"errors in the first {LOWEST:.0%} after", value=found, unit="%", at_least=was + 0.1),
    ]


def certified(product: Product, project: Project, truth: Mapping[int, str], annotator: Annotator) -> list[Figure]:
    """What is accepted unseen on the certificate, and how much of all labels is wrong then."""
    told = product.command("certify", "--project", str(project.id), "--max-error", str(MAX_ERROR), "--accept")
    labels: dict[int, str] = {}
    for row in project.call("GET", f"/api/projects/{project.id}/export", params={"exportType": "JSON"}):
        (annotation,) = row["annotations"]
        labels[row["id"]] = annotation["result"][0]["value"]["choices"][0]
    accepted = set(labels) - set(annotator.verified)
    wrong = sum(labels[task_id] != truth[task_id] for task_id in accepted)
    return [
        Figure(name="accepted unseen, as the certificate says", value=told["accepted_now"], unit="tasks", at_least=1),
        Figure(name="other tasks annotated by it", value=abs(len(accepted) - told["accepted_now"]), unit="", limit=1),
        Figure(name="wrong among the accepted", value=100 * wrong / max(1, len(accepted)), unit="%"),
        Figure(name="wrong of all labels, truly", value=100 * wrong / len(truth), unit="%", limit=100 * MAX_ERROR),
    ]


def current(project: Project) -> dict[int, Prediction]:
    """The prediction of each task that annotators see."""
    version = project.details()["model_version"]
    found = [p for p in project.predictions() if p.model_version == version]
    twice = [task for task, n in Counter(p.task for p in found).items() if n > 1]
    if twice:
        raise BenchError(f"Task {twice[0]} has two predictions of the current version.")
    return {p.task: p for p in found}


def refit(product: Product, project: Project) -> None:
    """What a worker does by itself with every 25 submissions, now: with all that is verified."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            product.command("scores", "--project", str(project.id), "--refit")
            return
        except CommandError as error:  # a worker is at it
            if "are being written" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(2.0)


def settled(project: Project, count: int, *, fitted: bool) -> dict[int, Prediction]:
    """The predictions once all are there, under the name of a fit where that is wanted."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = current(project)
        if len(found) >= count and (not fitted or ".r" in next(iter(found.values())).model_version):
            return found
        time.sleep(2.0)
    what = "No better scores are in use" if fitted else "The audit's predictions are not written"
    raise BenchError(f"{what} after {WAIT_S:.0f} s, with {len(found):,} of {count:,} predictions.")


def judged(task_ids: Sequence[int], shown: Mapping[int, Prediction], truth: Mapping[int, str]) -> list[Judged]:
    found = [shown[task_id] for task_id in task_ids]
    return [(p.score or 0.0, p.labels["sentiment"] == truth[p.task]) for p in found]


def share_wrong(shown: Mapping[int, Prediction], truth: Mapping[int, str]) -> float:
    return 100 * sum(p.labels["sentiment"] != truth[p.task] for p in shown.values()) / len(shown)
