"""What people do in a real Label Studio comes back: told by its webhook, and caught up with where that was lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.verifications import Verification
from scripts.demo_project import Prediction
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Labeling, Stack, eventually

_WEBHOOK_S = 30.0  # far less than the time between two catching-up reads of a project


@pytest.fixture
def store(stack: Stack) -> Iterator[SqlStore]:
    store = SqlStore(stack.product.settings["DATABASE_URL"])
    yield store
    store.close()


class People:
    """The annotators of a project, through Label Studio's API as the editor uses it."""

    def __init__(self, project: Labeling) -> None:
        self.project = project
        self.predictions: dict[int, Prediction] = {p.task: p for p in project.predictions()}
        self.tasks = project.task_ids()

    def submit(self, task_id: int, result: list[dict[str, Any]], **fields: Any) -> int:
        body = {"result": result, "lead_time": 2.5, "parent_prediction": self.predictions[task_id].id, **fields}
        path = f"/api/tasks/{task_id}/annotations/"
        return int(self.project.call("POST", path, params={"project": self.project.id}, json=body)["id"])

    def confirm(self, task_id: int) -> int:
        return self.submit(task_id, self.predictions[task_id].result)

    def correct(self, task_id: int) -> int:
        return self.submit(task_id, other_sentiment(self.predictions[task_id].result))

    def skip(self, task_id: int) -> int:
        return self.submit(task_id, [], was_cancelled=True)

    def update(self, annotation_id: int, result: list[dict[str, Any]]) -> None:
        self.project.call("PATCH", f"/api/annotations/{annotation_id}/", json={"result": result, "lead_time": 7.0})

    def delete(self, annotation_id: int) -> None:
        self.project.call("DELETE", f"/api/annotations/{annotation_id}/")

    def act(self, action: str, task_ids: list[int]) -> None:
        """An action of the Data Manager on these tasks."""
        selected = {"selectedItems": {"all": False, "included": task_ids}}
        params = {"id": action, "project": self.project.id}
        self.project.call("POST", "/api/dm/actions", params=params, json={**selected, "project": str(self.project.id)})


def other_sentiment(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    changed = []
    for region in result:
        if region["from_name"] == "sentiment":
            (label,) = region["value"]["choices"]
            region = {**region, "value": {"choices": ["neutral" if label != "neutral" else "positive"]}}
        changed.append(region)
    return changed


def live(store: SqlStore, project: Labeling) -> dict[int, Verification]:
    """By annotation."""
    return {v.annotation_id: v for v in store.verifications(project.id)}


def outcomes(store: SqlStore, project: Labeling) -> dict[int, str]:
    return {number: v.outcome.value for number, v in live(store, project).items()}


def corrections(v: Verification) -> dict[str, bool | None]:
    return {control.control: control.agrees for control in v.controls}


def pre_annotated(stack: Stack, title: str) -> People:
    project = stack.project(title, FEEDBACK, [{**row, "lang": "en"} for row in FEEDBACK_ROWS[:8]])
    stack.connect(project)
    stack.run(project)
    return People(project)


def test_the_webhook_tells_of_each_deed(stack: Stack, store: SqlStore) -> None:
    people = pre_annotated(stack, "Verified, told by the webhook")
    project, tasks = people.project, people.tasks
    version = stack.status(project)["version"]
    confirmed, corrected, skipped = people.confirm(tasks[0]), people.correct(tasks[1]), people.skip(tasks[2])
    updated, deleted = people.confirm(tasks[3]), people.confirm(tasks[4])
    expected = dict.fromkeys((confirmed, updated, deleted), "confirmed") | {corrected: "corrected", skipped: "skipped"}
    eventually(lambda: outcomes(store, project) == expected, "all five are compared", _WEBHOOK_S)
    found = live(store, project)
    assert {v.version for v in found.values()} == {version}
    assert all(v.shown and v.slices == {"lang": "en"} and v.annotator_id for v in found.values())
    assert found[confirmed].lead_time_s == 2.5
    assert corrections(found[confirmed]) == {"sentiment": True, "topic": True}
    assert corrections(found[corrected]) == {"sentiment": False, "topic": True}
    people.update(updated, other_sentiment(people.predictions[tasks[3]].result))
    people.delete(deleted)
    expected = {**expected, updated: "corrected"}
    del expected[deleted]
    eventually(lambda: outcomes(store, project) == expected, "the update and the deletion are followed", _WEBHOOK_S)
    assert live(store, project)[updated].lead_time_s == 7.0
    counted = stack.status(project)["webhook_events"]
    assert (counted["ANNOTATION_CREATED"], counted["ANNOTATION_UPDATED"], counted["ANNOTATIONS_DELETED"]) == (5, 1, 1)


def test_the_webhook_tells_of_many_at_once(stack: Stack, store: SqlStore) -> None:
    people = pre_annotated(stack, "Accepted and deleted in bulk")
    project, tasks = people.project, people.tasks
    people.act("predictions_to_annotations", tasks[:3])
    eventually(lambda: list(outcomes(store, project).values()) == ["accepted"] * 3, "three are known", _WEBHOOK_S)
    people.act("delete_tasks_annotations", tasks[1:3])
    eventually(lambda: len(outcomes(store, project)) == 1, "two are gone", _WEBHOOK_S)
    assert store.verification_counts(project.id) == {"accepted": 1, "taken_back": 2}


def test_what_the_webhook_did_not_tell_is_caught_up_with(stack: Stack, store: SqlStore) -> None:
    people = pre_annotated(stack, "Verified, with the webhook lost")
    project, tasks = people.project, people.tasks
    for webhook in project.webhooks():
        project.call("DELETE", f"/api/webhooks/{webhook['id']}/")
    made = [people.confirm(tasks[0]), people.correct(tasks[1]), people.skip(tasks[2]), people.confirm(tasks[3])]
    gone = people.confirm(tasks[4])
    told = stack.answer("verifications", "--project", project.id)
    assert told["outcomes"] == {"confirmed": 3, "corrected": 1, "skipped": 1}
    assert told["verified_tasks"] == 4  # by this reading, or by the workers' own just before it
    people.update(made[3], other_sentiment(people.predictions[tasks[3]].result))
    people.delete(gone)
    told = stack.answer("verifications", "--project", project.id)
    assert (told["outcomes"], told["deleted"]) == ({"confirmed": 1, "corrected": 2, "skipped": 1}, 1)
    people.predictions.clear()
    project.call(
        "DELETE", f"/api/projects/{project.id}/model-versions/", json={"model_version": _version(store, project)}
    )
    assert project.predictions() == []
    told = stack.answer("verifications", "--project", project.id, "--all")
    assert told["outcomes"] == {"confirmed": 1, "corrected": 2, "skipped": 1}  # stored before its prediction went
    project.delete_task(tasks[0])
    told = stack.answer("verifications", "--project", project.id)
    assert told["outcomes"] == {"corrected": 2, "skipped": 1}
    assert stack.status(project)["webhook_events"].get("ANNOTATION_CREATED") is None


def test_an_edited_text_makes_a_verification_stale(stack: Stack, store: SqlStore) -> None:
    people = pre_annotated(stack, "Verified, then edited")
    annotation = people.confirm(people.tasks[0])
    stack.answer("verifications", "--project", people.project.id)
    people.project.change_data(people.tasks[0], {"text": "Quite another text."})
    told = stack.answer("verifications", "--project", people.project.id)
    assert (told["stale"], told["verified_tasks"]) == (1, 0)
    assert not live(store, people.project)[annotation].is_label


def test_without_a_prediction_in_sight_it_was_blind(stack: Stack, store: SqlStore) -> None:
    project = stack.project("Verified before any prediction", FEEDBACK, FEEDBACK_ROWS[:2])
    stack.connect(project)
    task_id = project.task_ids()[0]
    region = {"id": "a", "from_name": "sentiment", "to_name": "text", "type": "choices"}
    body = {"result": [{**region, "value": {"choices": ["neutral"]}}], "lead_time": 1.0}
    project.call("POST", f"/api/tasks/{task_id}/annotations/", params={"project": project.id}, json=body)
    stack.run(project)
    told = stack.answer("verifications", "--project", project.id)
    assert told["outcomes"] == {"blind": 1}
    (found,) = live(store, project).values()
    assert not found.shown


def _version(store: SqlStore, project: Labeling) -> str:
    row = store.project(project.id)
    assert row is not None
    assert row.version is not None
    return row.version
