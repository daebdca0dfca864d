"""Scores that people's answers make truer, in a real Label Studio: another order, and never more than one current
prediction a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.settings import Settings
from backend.wiring import Parts
from scripts.demo_project import LabelStudioError, Prediction
from tests.e2e.stack import Labeling, Stack, eventually

CONFIG = """<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">
<Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/></Choices></View>"""
TASKS, AUDIT, OTHERS = 150, 70, 55
WORDS = ("great", "awful")


def said(text: str) -> str:
    """What people say: the model's "negative" is always right, its "positive" every second time."""
    number = int(text.split()[1])
    if WORDS[1] in text:
        return "negative"
    return "positive" if number % 4 == 0 else "neutral"


def region(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


class People:
    def __init__(self, project: Labeling) -> None:
        self.project = project
        self.texts: dict[int, str] = {row["id"]: row["data"]["text"] for row in project.rows()}

    def annotate(self, task_ids: Sequence[int]) -> None:
        shown = self.current()
        for task_id in task_ids:
            self.submit(task_id, shown.get(task_id))

    def submit(self, task_id: int, prediction: Prediction | None) -> None:
        body: dict[str, Any] = {"result": region(said(self.texts[task_id])), "lead_time": 2.0}
        if prediction is not None:
            body["parent_prediction"] = prediction.id
        path = f"/api/tasks/{task_id}/annotations/"
        self.project.call("POST", path, params={"project": self.project.id}, json=body)

    def current(self) -> dict[int, Prediction]:
        """The predictions that annotators see; asserts that no task has two."""
        return self.project.of_version(self.project.details()["model_version"])

    def order(self) -> list[int]:
        return [row["id"] for row in self.project.rows(self.project.tab())]


def test_verified_tasks_make_the_order_truer(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"Number {n} was {WORDS[n % 2]}."} for n in range(TASKS)]
    project = stack.project("Truer scores", CONFIG, rows)
    stack.connect(project)
    stack.answer("audit", "begin", "--project", project.id, "-n", AUDIT)
    version = stack.run(project)["version"]
    people = People(project)
    before = people.current()
    blind = sorted(set(people.texts) - set(before))
    others = sorted(before)[:OTHERS]
    rest = set(before) - set(others)
    calls = stack.model_calls()

    people.annotate(others)
    people.annotate(blind)
    eventually(lambda: len(people.current()) == TASKS, "every task has a prediction once the audit is annotated", 120)
    stack.answer("scores", "--project", project.id, "--refit")
    told = stack.answer("scores", "--project", project.id)
    assert told["in_use"] == {"sentiment": "fused"}, told
    shown = project.details()["model_version"]
    assert shown.startswith(f"{version}.r")
    assert [backend["title"] for backend in project.backends()] == [shown]

    after = people.current()
    assert set(after) == set(people.texts)
    assert {t: p.labels for t, p in after.items() if t in before} == {t: p.labels for t, p in before.items()}
    assert len({p.score for p in after.values()} - {p.score for p in before.values()}) > 10
    order = [task_id for task_id in people.order() if task_id in rest]
    assert len(order) == len(rest)
    doubtful = sum(WORDS[0] in people.texts[task_id] for task_id in order)
    assert all(WORDS[0] in people.texts[task_id] for task_id in order[:doubtful])  # what is often wrong comes first
    (figures,) = stack.answer("report", "--project", project.id)["versions"]
    assert figures["calibration"]["auroc"] > 0.7
    assert stack.model_calls() == calls
    assert stack.doctor(project)["checks"][-2]["status"] == "ok"

    last = sorted(rest)[0]
    people.submit(last, before[last])  # who had it open when it was switched
    for name, value in stack.product.env.items():
        monkeypatch.setenv(name, value)
    parts = Parts(Settings())
    replace(parts.rescoring, grace=timedelta(0)).settle(project.id)
    for part in (parts.store, parts.queue, parts.labels):
        part.close()
    assert {p.model_version for p in project.predictions()} == {project.details()["model_version"]}
    assert set(people.current()) == set(people.texts)
    with pytest.raises(LabelStudioError, match="400"):  # why the old ones are not deleted at once
        people.submit(sorted(rest)[1], before[sorted(rest)[1]])
    counted = stack.answer("verifications", "--project", project.id, "--all")["outcomes"]
    assert counted["blind"] == len(blind)
    assert counted["confirmed"] + counted["corrected"] == OTHERS + 1
