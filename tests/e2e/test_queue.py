"""What remains, and the tabs for it, in a real Label Studio: the right tasks, in the right order, made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from scripts.demo_project import Prediction, Tab
from tests.e2e.configs import FEEDBACK
from tests.e2e.stack import Labeling, Stack, eventually

NOUNS = (
    *("kettle", "carpet", "lantern", "saddle", "violin", "mirror", "ladder", "basket", "teapot", "blanket"),
    *("hammer", "candle", "bottle", "pillow", "drawer", "helmet", "puzzle", "ribbon", "shovel", "wallet"),
)
WORDS = ("great", "awful", "blue", "late", "perfect")
REPEATED = [f"Please have the courier bring parcel {n} to the back door before noon today" for n in range(9)]


def tab(project: Labeling, title: str) -> Tab:
    (found,) = [one for one in project.tabs() if one["data"]["title"] == title]
    return Tab(id=found["id"], title=title, url=f"{project.url}?tab={found['id']}")


def listed(project: Labeling, title: str) -> list[int]:
    """The tasks that the tab shows, in its order."""
    return [row["id"] for row in project.rows(tab(project, title))]


def filters(project: Labeling, title: str) -> list[dict[str, Any]]:
    (found,) = [one for one in project.tabs() if one["data"]["title"] == title]
    return list(found["data"]["filters"]["items"])


def next_as_displayed(project: Labeling, title: str) -> int:
    """The task that "Label Tasks As Displayed" opens."""
    (found,) = [one for one in project.tabs() if one["data"]["title"] == title]
    shown = {name: found["data"][name] for name in ("ordering", "filters")}
    params = {"id": "next_task", "tabID": found["id"], "project": project.id}
    return int(project.call("POST", "/api/dm/actions", params=params, json={**shown, "project": project.id})["id"])


def ordered(task_ids: Sequence[int], predictions: dict[int, Prediction]) -> list[int]:
    return sorted(task_ids, key=lambda task_id: (predictions[task_id].score or 0.0, task_id))


def accept(project: Labeling, version: str, task_id: int) -> None:
    """By the action "Create Annotations From Predictions"."""
    params = {"id": "predictions_to_annotations", "project": project.id}
    body = {"model_version": version, "selectedItems": {"all": False, "included": [task_id]}}
    project.call("POST", "/api/dm/actions", params=params, json=body)


def test_the_tabs_hold_what_is_to_be_done_in_order(stack: Stack, tmp_path: Path) -> None:
    rows = [{"text": f"The {noun} was {WORDS[n % 5]}."} for n, noun in enumerate(NOUNS)]
    project = stack.project("Queue", FEEDBACK, [*rows, *({"text": text} for text in REPEATED)])
    stack.connect(project)
    stack.answer("audit", "begin", "--project", project.id, "-n", 6)
    version = stack.run(project)["version"]
    shown = project.of_version(version)
    texts = {row["id"]: row["data"]["text"] for row in project.rows()}
    blind = sorted(set(texts) - set(shown))
    alike = ordered([task_id for task_id in shown if texts[task_id] in REPEATED], shown)
    repeats = alike[3:]
    assert blind
    assert repeats

    told = stack.answer("queue", "--project", project.id, "--tabs", "--audit")
    assert (told["tasks"], told["audit"], told["withheld"]) == (len(texts), len(blind), len(blind))
    assert (told["verify"], told["repeat"]) == (len(shown) - len(repeats), len(repeats))
    assert [(one["title"], one["tasks"]) for one in told["tabs"]] == [
        ("Verify next", told["verify"]),
        ("Audit", len(blind)),
    ]
    order = ordered([task_id for task_id in shown if task_id not in repeats], shown)
    found = listed(project, "Verify next")
    assert [shown[task_id].score for task_id in found] == [shown[task_id].score for task_id in order]
    assert sorted(found) == sorted(order)
    assert listed(project, "Audit") == blind
    assert next_as_displayed(project, "Verify next") == found[0]
    assert stack.answer("queue", "--project", project.id, "--tabs")["tabs"] == told["tabs"]

    # A second agent has its predictions beside: nothing is listed twice, and where it differs is a tab.
    agent = tmp_path / "second.yaml"
    agent.write_text(f"name: second\nmodel: {stack.model.model}\nconfidence: logprob\ntemperature: 0.5\n")
    stack.answer("agents", "add", agent)
    stack.model.change(text=json.dumps(shown[order[0]].labels))
    stack.answer("run", "--project", project.id, "--agent", "second", "--wait")
    stack.model.change(text=None)
    (second,) = {p.model_version for p in project.predictions()} - {version}
    eventually(lambda: set(project.of_version(second)) == set(shown), "the second agent's predictions are written")
    other = project.of_version(second)
    differing = [task_id for task_id in order if shown[task_id].labels != other[task_id].labels]
    assert 0 < len(differing) < len(order)
    told = stack.answer("queue", "--project", project.id, "--tabs", "--differ", "second", version)
    assert told["conflicts"] == len(differing)
    conflicts = listed(project, "Conflicts")
    assert sorted(conflicts) == sorted(differing)
    assert conflicts == [task_id for task_id in found if task_id in differing]
    assert listed(project, "Verify next") == found
    assert next_as_displayed(project, "Conflicts") == conflicts[0]

    # What is annotated or accepted leaves at once; near duplicates of what is verified stay away.
    verified = [*conflicts[:1], *alike[:3]]
    for task_id in dict.fromkeys(verified):
        project.submit(shown[task_id])
    accepted = next(task_id for task_id in reversed(found) if task_id not in verified)
    accept(project, version, accepted)
    left = [task_id for task_id in found if task_id not in (*verified, accepted)]
    assert listed(project, "Verify next") == left
    assert listed(project, "Conflicts") == [task_id for task_id in conflicts if task_id in left]
    told = stack.answer("queue", "--project", project.id, "--tabs")
    assert (told["verify"], told["done"], told["accepted"]) == (len(left), len(set(verified)), 1)
    assert told["repeats_of_verified"] == told["repeat"] == len(repeats)
    assert listed(project, "Verify next") == left
    plain = stack.prelabel("queue", "--project", project.id)
    assert f"{len(left) + len(blind)} of {len(texts)} tasks are left for people." in plain.out


def test_a_tab_is_the_same_after_somebody_has_opened_it(stack: Stack, page: Page) -> None:
    project = stack.project("Opened queue", FEEDBACK, [{"text": text} for text in (*REPEATED, "The kettle was great.")])
    stack.connect(project)
    stack.run(project)
    told = stack.answer("queue", "--project", project.id, "--tabs")
    assert told["repeat"] == 6
    before, found = filters(project, "Verify next"), listed(project, "Verify next")
    assert len(found) == 4
    page.goto(tab(project, "Verify next").url)
    expect(page.get_by_text(f"Tasks: {len(found)} / {len(REPEATED) + 1}")).to_be_visible()
    expect(page.get_by_text("The kettle was great.").first).to_be_visible()
    assert (filters(project, "Verify next"), listed(project, "Verify next")) == (before, found)
