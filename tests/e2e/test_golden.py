"""Golden questions in a real Label Studio: two people work through them, one with care and one who accepts whatever is
shown; the second is found out and left out, and what the report says changes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest

from scripts.demo_project import Prediction
from tests.e2e.stack import Labeling, Stack, eventually

CONFIG = """<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">
<Choice value="positive"/><Choice value="negative"/></Choices></View>"""
TASKS, VERIFIED, BY_LAZY = 80, 50, 20
WORDS = {"positive": "great", "negative": "awful"}


def truth(text: str) -> str:
    """The model takes every fifth text for the other."""
    return next(label for label, word in WORDS.items() if word in text)


class Person:
    """An annotator with an account, who works as the editor does: the next task, then its annotation."""

    def __init__(self, stack: Stack, project: Labeling, name: str, *, accepts: bool) -> None:
        self.project, self.accepts = project, accepts
        invited = project.call("GET", "/api/invite")["invite_url"]
        self.client = httpx.Client(base_url=stack.label_studio.url, timeout=60, follow_redirects=True, trust_env=False)
        form = self.client.get(invited).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token is not None
        account = {"email": f"{name}@example.com", "password": "prelabel-person", "csrfmiddlewaretoken": token[1]}
        self.client.post(invited, data=account, headers={"Referer": stack.label_studio.url}).raise_for_status()
        key = self.client.get("/api/current-user/token").json()["token"]
        self.client.headers["Authorization"] = f"Token {key}"
        self.client.cookies.clear()
        self.id = int(self.client.get("/api/current-user/whoami").json()["id"])

    def close(self) -> None:
        self.client.close()

    def next_task(self) -> dict[str, Any] | None:
        """What "Label All Tasks" shows; None: there is nothing left for this person."""
        answer = self.client.get(f"/api/projects/{self.project.id}/next")
        return dict(answer.json()) if answer.status_code == 200 else None

    def label(self, task: dict[str, Any], prediction: dict[str, Any] | None) -> None:
        label = truth(task["data"]["text"])
        if self.accepts and prediction is not None:
            label = prediction["result"][0]["value"]["choices"][0]
        region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
        body: dict[str, Any] = {"result": [region], "lead_time": 2.0}
        if prediction is not None:
            body["parent_prediction"] = prediction["id"]
        path, params = f"/api/tasks/{task['id']}/annotations/", {"project": self.project.id}
        self.client.post(path, params=params, json=body).raise_for_status()

    def work(self, most: int) -> list[int]:
        """Up to so many tasks, one after the other; which ones."""
        done: list[int] = []
        while len(done) < most and (task := self.next_task()) is not None:
            assert task["annotations"] == []  # what others said of it is not shown
            self.label(task, next(iter(task["predictions"]), None))
            done.append(task["id"])
        return done


def shown_like_others(project: Labeling, copies: dict[int, int]) -> None:
    """Whatever the API tells of a task that a person can see, but its number and when it was made."""
    rows = {row["id"]: row for row in project.rows()}
    varying = {"id", "inner_id", "created_at", "updated_at", "overlap", "data", "predictions_score", "predictions"}
    annotated = {"annotations_ids", "annotations_results", "annotators", "avg_lead_time", "completed_at", "updated_by"}
    annotated |= {"total_annotations", "is_labeled", "annotations", "predictions_results"}
    for copy, original in copies.items():
        assert rows[copy]["data"] == rows[original]["data"]
        names = rows[copy].keys() - varying - annotated
        assert {n: rows[copy][n] for n in names} == {n: rows[original][n] for n in names}


@pytest.fixture
def project(stack: Stack) -> Labeling:
    rows = [{"text": f"Number {n} was {list(WORDS.values())[n % 2]}."} for n in range(TASKS)]
    project = stack.project("Golden questions", CONFIG, rows)
    stack.connect(project)
    stack.run(project)
    return project


def current(project: Labeling) -> dict[int, Prediction]:
    return project.of_version(project.details()["model_version"])


def test_who_accepts_everything_is_found_out_and_left_out(stack: Stack, project: Labeling) -> None:
    here = ("--project", project.id)
    ann, lou = (Person(stack, project, f"{name}-{project.id}", accepts=name == "lou") for name in ("ann", "lou"))
    ann.work(VERIFIED)
    lou.work(BY_LAZY)
    stack.answer("verifications", *here)
    calls = stack.model_calls()
    made = stack.answer("golden", "make", *here, "-n", 24, "--annotators", 2)
    copies = {one["task"]: one["copy_of"] for one in made["tasks"]}
    assert (made["questions"], made["traps"], len(copies)) == (24, 8, 24)
    shown_like_others(project, copies)
    assert set(copies) <= current(project).keys()
    assert {row["id"] for row in project.rows(project.tab())} >= set(copies)

    assert set(copies) <= set(ann.work(TASKS))
    assert {row["id"] for row in project.rows(project.tab())} >= set(copies)  # until everybody has answered
    assert set(copies) <= set(lou.work(TASKS))
    assert not {row["id"] for row in project.rows(project.tab())} & set(copies)
    stack.answer("verifications", *here)
    told = stack.answer("golden", "show", *here)["golden"]
    people = {person["annotator"]: person for person in told["annotators"]}
    assert people[ann.id]["verdict"] == "pass", people
    assert people[lou.id]["verdict"] == "fail", people
    assert (people[ann.id]["catch_rate"]["share"], people[lou.id]["catch_rate"]["share"]) == (1.0, 0.0)

    before = stack.answer("report", *here)
    left_out = stack.answer("golden", "exclude", *here, "--annotator", lou.id)["annotations"]
    assert left_out >= BY_LAZY
    after = stack.answer("report", *here)
    assert after["left_out"] == [{"annotator": lou.id, "annotations": left_out}]
    assert before["versions"][0]["verified"] - after["versions"][0]["verified"] == left_out
    assert [one["annotator"] for one in after["people"]["annotators"]] == [ann.id]
    assert stack.answer("golden", "exclude", *here, "--annotator", lou.id, "--undo")["annotations"] == left_out
    assert stack.answer("report", *here)["versions"][0]["verified"] == before["versions"][0]["verified"]

    stack.run(project)
    assert stack.model_calls() == calls
    assert stack.answer("golden", "end", *here)["deleted"] == 24
    assert len(project.task_ids()) == TASKS
    stack.answer("verifications", *here)
    counted = stack.answer("report", *here)["annotations"]
    assert "golden" not in counted
    ann.close()
    lou.close()


def test_what_is_imported_starts_no_model_call(stack: Stack, project: Labeling) -> None:
    ann = Person(stack, project, f"bea-{project.id}", accepts=False)
    ann.work(30)
    ann.close()
    stack.connect(project, "--auto-start")
    stack.answer("verifications", "--project", project.id)
    calls = stack.model_calls()
    made = stack.answer("golden", "make", "--project", project.id, "-n", 12)
    more = project.import_rows([{"text": "A later one was great."}])[0]
    eventually(lambda: more in current(project), "the later task is pre-annotated", 60)
    assert stack.model_calls() == calls + 1
    found = current(project)  # asserts that none has two
    for one in made["tasks"]:
        assert found[one["task"]].labels == {"sentiment": one["shown"]}

    database = stack.product.settings["DATABASE_URL"].partition(":///")[2]
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:  # as if nobody had heard the end
        connection.execute("update golden_tasks set task_id = null, overlap = 2 where project_id = ?", (project.id,))
    left = "select count(*) from golden_tasks where project_id = ? and (task_id is null or overlap is not null)"
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        eventually(lambda: connection.execute(left, (project.id,)).fetchone() == (0,), "the copies are found again", 90)
    assert stack.answer("golden", "end", "--project", project.id)["deleted"] == 12
    assert set(project.task_ids()) == {*found, more} - {one["task"] for one in made["tasks"]}
