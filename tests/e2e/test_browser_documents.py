"""PDFs from upload to editor: fetched with the key, read or seen by the model, answers pre-filled beside the pages."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import FloatRect, Page, expect

from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.stack import Labeling, Stack, eventually
from tests.e2e.test_browser_images import upload
from tests.fakes.documents import letter, pdf, scanned
from tests.fakes.pictures import COLOURS

CONFIG = """
<View>
  <Choices name="colour" toName="paper">
    <Choice value="Red"/><Choice value="Green"/><Choice value="Blue"/>
  </Choices>
  <Rating name="quality" toName="paper"/>
  <Pdf name="paper" value="$pdf"/>
  <TextArea name="summary" toName="paper"/>
</View>
"""


@pytest.fixture(scope="module")
def papers(_stack: Stack) -> Labeling:
    """Two uploads: a letter with a text layer, and a scan."""
    project = _stack.project("Papers", CONFIG)
    upload(project, "letter.pdf", pdf(letter("The sky was blue that day."), letter("It rained later.")))
    upload(project, "scan.pdf", pdf(scanned("green")))
    _stack.connect(project)
    told = _stack.run(project)
    assert told["by_state"] == {"done": 2}, told
    return project


def is_drawn(page: Page, box: FloatRect, colour: str) -> bool:
    """Whether a good part of the viewer shows that very colour: its own are greys."""
    shot = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")
    plain = Image.new("RGB", shot.size, COLOURS[colour])
    different = ImageChops.difference(shot, plain).convert("L").point(lambda value: 255 if value > 8 else 0)
    return different.histogram()[0] > shot.width * shot.height // 50


@pytest.mark.parametrize(("row", "choice", "seen"), [(0, "Blue", "white"), (1, "Green", "green")])
def test_an_uploaded_document_is_answered_in_the_editor(
    page: Page, papers: Labeling, row: int, choice: str, seen: str
) -> None:
    editor = open_editor(page, papers, papers.task_ids()[row])
    shown = editor.locator('embed[type="application/pdf"]')
    expect(shown).to_have_count(1)
    assert papers.rows()[row]["data"]["pdf"] in str(shown.get_attribute("src"))
    chosen = page.locator(".lsf-choice input:checked")
    expect(chosen).to_have_count(1)
    expect(chosen).to_have_attribute("name", choice)
    box = shown.bounding_box()
    assert box is not None
    eventually(lambda: is_drawn(page, box, seen), "the page is drawn")
    keep_picture(page, f"document-{row}")


def test_the_model_read_the_letter_and_saw_the_scan(stack: Stack, papers: Labeling) -> None:
    version = stack.status(papers)["version"]
    found = papers.of_version(version)
    summaries = [
        region["value"]["text"][0]
        for task_id in papers.task_ids()
        for region in found[task_id].result
        if region["from_name"] == "summary"
    ]
    assert [summary.split(":")[0] for summary in summaries] == ["Page 1", "image 1"]


def test_a_document_that_cannot_be_read_is_told_and_not_made_up(stack: Stack, papers: Labeling) -> None:
    project = stack.project("Damaged", CONFIG)
    upload(project, "broken.pdf", pdf(letter())[:-300])
    upload(project, "locked.pdf", pdf(letter(), password=b"owner", to_open=b"key"))
    before = stack.model_calls()
    stack.connect(project)
    told = stack.run(project)
    assert told["by_state"] == {"skipped": 2}, told
    assert stack.model_calls() == before
