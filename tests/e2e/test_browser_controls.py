"""Rankers, and labels that a task brings along, as the editor shows a prediction of them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.configs import OWN_LABELS, OWN_LABELS_ROW, RANKED_ROW, RANKERS
from tests.e2e.stack import Stack

# Each column: its title, and the titles of the items in it, from the top.
_COLUMNS = """columns => columns.map(column => [
  column.firstElementChild.textContent,
  [...column.querySelectorAll(".htx-ranker-item")].map(item => item.firstElementChild.textContent),
])"""


@pytest.mark.parametrize(
    ("kind", "answer", "columns"),
    [
        (
            "one order",
            ["2", 7, "an id", "mdn"],
            [["Results", ["Arrow", "Ten tips 👍", "Quiver", "Arrow functions"]]],
        ),
        (
            "buckets",
            {"best": ["2", "mdn"], "ads": ["7"]},
            [
                ["Results", ["Quiver"]],
                ["Best results", ["Arrow", "Arrow functions"]],
                ["Paid results", ["Ten tips 👍"]],
            ],
        ),
        (
            "a bucket for the rest",
            {"best": ["an id"], "rest": ["7"]},
            [["Best results", ["Quiver"]], ["All others", ["Ten tips 👍", "Arrow functions", "Arrow"]]],
        ),
    ],
)
def test_items_stand_where_the_model_put_them(
    page: Page, stack: Stack, kind: str, answer: Any, columns: list[Any]
) -> None:
    project = stack.pre_annotated(f"Ranker: {kind}", RANKERS[kind], RANKED_ROW, {"rank": answer})
    open_editor(page, project, project.task_ids()[0])
    titles = [title for _, column in columns for title in column]
    expect(page.locator(".htx-ranker-item")).to_contain_text(titles)  # the items are there before the prediction is
    keep_picture(page, f"ranker-{kind.replace(' ', '-')}")
    assert page.locator(".htx-ranker-column").evaluate_all(_COLUMNS) == columns


def test_labels_of_the_data_mark_a_text_of_several_keys(page: Page, stack: Stack) -> None:
    spans = [
        {"text": "Dune 😀", "label": "WORK"},
        {"text": "Frank Herbert", "label": "PERSON"},
        {"text": "1965", "label": "YEAR"},
    ]
    project = stack.pre_annotated("Own labels", OWN_LABELS, OWN_LABELS_ROW, {"spans": spans, "kind": "film"})
    open_editor(page, project, project.task_ids()[0])
    marked = page.locator(".htx-highlight")
    expect(marked).to_have_count(3)
    keep_picture(page, "own-labels")
    assert marked.all_inner_texts() == ["Dune 😀", "Frank Herbert", "1965"]
    labels = [(mark.get_attribute("data-label") or "").partition(":")[2] for mark in marked.all()]
    assert labels == ["WORK", "PERSON", "YEAR"]
    assert page.locator(".lsf-richtext__container").inner_text().strip() == '👍 "Dune 😀" by Frank Herbert, 1965'
    expect(page.get_by_text("Dune 😀 (by Frank Herbert)")).to_be_visible()
    assert [box.get_attribute("name") for box in page.locator(".lsf-choice input:checked").all()] == ["film"]


def test_a_prediction_takes_the_preselected_choice_away(page: Page, stack: Stack) -> None:
    """Which is why the model is asked to keep it."""
    project = stack.project("Preselected", OWN_LABELS, [OWN_LABELS_ROW])
    stack.connect(project)
    region = {"id": "1", "from_name": "spans", "to_name": "text", "type": "labels"}
    value = {"start": 3, "end": 7, "text": "Dune", "labels": ["WORK"]}
    body = {"task": project.task_ids()[0], "result": [{**region, "value": value}], "model_version": "by hand"}
    project.call("POST", "/api/predictions/", json=body)
    open_editor(page, project, project.task_ids()[0])
    expect(page.locator(".htx-highlight")).to_have_count(1)
    expect(page.locator(".lsf-choice input")).to_have_count(2)
    expect(page.locator(".lsf-choice input:checked")).to_have_count(0)


def test_dates_and_the_paths_of_a_tree(page: Page, stack: Stack) -> None:
    config = (
        '<View><Text name="text" value="$text"/><DateTime name="day" toName="text" only="date"/>'
        '<DateTime name="moment" toName="text"/><Taxonomy name="kind" toName="text"><Choice value="Animal">'
        '<Choice value="Dog"/><Choice value="Cat"/></Choice><Choice value="Plant"/></Taxonomy></View>'
    )
    answer = {"day": "2026-03-04", "moment": "2026-03-04T05:06", "kind": ["Animal > Dog", "Plant"]}
    row = {"text": "On 4 March 2026 at 5:06 a dog lay under a tree."}
    project = stack.pre_annotated("Dates", config, row, answer)
    open_editor(page, project, project.task_ids()[0])
    time = page.locator('input[type="time"]')
    expect(time).to_have_value("05:06")
    keep_picture(page, "dates")
    assert [day.input_value() for day in page.locator('input[type="date"]').all()] == ["2026-03-04", "2026-03-04"]
    chosen = page.locator(".ant-select-selection-item-content")
    assert [text.split("/")[-1].strip() for text in chosen.all_inner_texts()] == ["Dog", "Plant"]
