"""What an annotator sees, in Chromium: the tab, its scores, and tasks that are filled in already."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.configs import EVERYTHING_ROWS
from tests.e2e.stack import Labeling


def checked(page: Page) -> list[str]:
    return [box.get_attribute("name") or "" for box in page.locator(".lsf-choice input:checked").all()]


def test_the_tab_is_open_with_scores_ascending(page: Page, feedback: Labeling) -> None:
    page.goto(feedback.url)  # the first tab is the one that a project opens with
    expect(page.get_by_text("Least certain first", exact=True)).to_be_visible()
    expect(page.get_by_text("Prediction score", exact=True).last).to_be_visible()
    rows = page.get_by_test_id("table-row")
    expect(rows.first).to_be_visible()
    shown = feedback.rows(feedback.tab())
    for row in shown[:5]:
        expect(rows.filter(has_text=row["data"]["text"])).to_contain_text(f"{row['predictions_score']:.3f}"[:4])
    scores = [float(cell) for cell in score_cells(page)]
    assert len(scores) >= 5
    assert scores == sorted(scores)
    assert all(0 < score <= 1 for score in scores)
    keep_picture(page, "tab")


def score_cells(page: Page) -> list[str]:
    """The texts of the score column, from the top."""
    texts = page.get_by_test_id("table-row").all_inner_texts()
    return [part for text in texts for part in text.split("\n") if part.startswith("0.") and part[2:].isdigit()]


def test_a_task_shows_the_predicted_choices_and_the_score(page: Page, feedback: Labeling) -> None:
    row = next(r for r in feedback.rows(feedback.tab()) if r["data"]["text"] == "Wonderful delivery, perfect product")
    open_editor(page, feedback, row["id"])
    expect(page.locator(".lsf-choice input:checked")).to_have_count(2)
    assert checked(page) == ["positive", "delivery"]
    (prediction,) = [p for p in feedback.predictions() if p.task == row["id"]]
    assert prediction.score is not None
    shown = page.locator(".lsf-annotation-button", has_text="default")
    expect(shown).to_contain_text(f"{prediction.score * 100:.2f}%")
    keep_picture(page, "task")


@pytest.mark.parametrize(
    ("row", "marked", "stars", "amount", "path", "better"),
    [(0, "Ann", 5, "42", "Dog", "question"), (1, "Maria", 3, "", "Tree", "reply")],
)
def test_every_control_is_pre_filled(
    page: Page, everything: Labeling, row: int, marked: str, stars: int, amount: str, path: str, better: str
) -> None:
    data = EVERYTHING_ROWS[row]
    open_editor(page, everything, everything.task_ids()[row])
    expect(page.locator(".htx-highlight")).to_have_count(1)
    assert page.locator(".htx-highlight").inner_text() == marked
    assert checked(page) == [["positive", "billing", "delivery"], ["neutral", "billing"]][row]
    expect(page.locator(".ant-rate-star-full")).to_have_count(stars)
    expect(page.locator("input[name=amount]")).to_have_value(amount)
    expect(page.locator(".ant-select-selection-item")).to_have_text(path)
    expect(page.get_by_test_id("textarea-region")).to_have_count(1)
    chosen = page.locator(".lsf-main-view div.border.bg-primary-background")  # the frame of Pairwise's choice
    expect(chosen).to_have_count(1)
    expect(chosen).to_have_text(data[better])
    keep_picture(page, f"every-control-{row}")
