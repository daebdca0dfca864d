"""Images from upload to editor: fetched with the key, seen by the model, boxes drawn where the model saw them."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.stack import Labeling, Stack, eventually
from tests.fakes.pictures import COLOURS, drawn

CONFIG = """
<View>
  <Image name="photo" value="$image"/>
  <Choices name="colour" toName="photo">
    <Choice value="Red"/><Choice value="Green"/><Choice value="Blue"/>
  </Choices>
  <RectangleLabels name="boxes" toName="photo">
    <Label value="Red"/><Label value="Green" alias="g"/><Label value="Blue"/>
  </RectangleLabels>
</View>
"""
PAGES = """
<View>
  <Image name="pages" valueList="$images"/>
  <RectangleLabels name="boxes" toName="pages"><Label value="Red"/><Label value="Green"/></RectangleLabels>
  <Rating name="quality" toName="pages"/>
</View>
"""
SIZE, BOX = (1600, 800), (160, 160, 640, 480)
PLACE = {"x": 10, "y": 20, "width": 30, "height": 40}


def upload(project: Labeling, name: str, content: bytes) -> int:
    """Import a file as Label Studio's own page does; the new task's id."""
    known = set(project.task_ids())
    studio = project.server
    response = httpx.post(
        f"{studio.url}/api/projects/{project.id}/import",
        headers={"Authorization": f"Token {studio.token}"},
        files={name: (name, content)},
        timeout=60,
    )
    response.raise_for_status()
    eventually(lambda: set(project.task_ids()) - known, f"{name} is a task")
    (task_id,) = set(project.task_ids()) - known
    return task_id


@pytest.fixture(scope="module")
def photos(_stack: Stack) -> Labeling:
    """Two uploads: a photo, and one that a camera held sideways took."""
    project = _stack.project("Photos", CONFIG)
    upload(project, "plain.png", drawn(SIZE, BOX, colour="green"))
    upload(project, "turned.jpg", drawn(SIZE, BOX, colour="blue", form="JPEG", orientation=6))
    _stack.connect(project)
    told = _stack.run(project)
    assert told["by_state"] == {"done": 2}, told
    return project


def box_is_drawn(page: Page, colour: str) -> bool:
    """Whether a region lies over the coloured part of the shown image, from corner to corner and no further."""
    canvas = page.locator("canvas").first.bounding_box()
    assert canvas is not None
    shot = Image.open(io.BytesIO(page.screenshot(clip={**canvas}))).convert("RGB")

    def is_plain(place: tuple[int, int], plain: tuple[int, int, int]) -> bool:
        pixel = shot.getpixel((place[0] * shot.width // 100, place[1] * shot.height // 100))
        assert isinstance(pixel, tuple)
        return max(abs(a - b) for a, b in zip(pixel, plain, strict=True)) < 8

    inside = [(11, 22), (39, 22), (11, 58), (39, 58)]
    outside = [(8, 30), (42, 30), (25, 17), (25, 63)]
    covered = not any(is_plain(place, COLOURS[colour]) for place in inside)
    return covered and all(is_plain(place, COLOURS["white"]) for place in outside)


def regions(stack: Stack, project: Labeling, task_id: int) -> dict[str, dict[str, Any]]:
    prediction = project.of_version(stack.status(project)["version"])[task_id]
    return {region["from_name"]: dict(region) for region in prediction.result}


@pytest.mark.parametrize(("row", "choice", "label"), [(0, "Green", "g"), (1, "Blue", "Blue")])
def test_an_upload_is_seen_by_the_model(stack: Stack, photos: Labeling, row: int, choice: str, label: str) -> None:
    found = regions(stack, photos, photos.task_ids()[row])
    assert found["colour"]["value"] == {"choices": [choice]}
    box = found["boxes"]
    assert box["value"]["rectanglelabels"] == [label]
    assert {side: box["value"][side] for side in PLACE} == pytest.approx(PLACE, abs=0.5)
    assert (box["original_width"], box["original_height"]) == SIZE
    assert 0 < box["score"] <= 1


@pytest.mark.parametrize(("row", "choice"), [(0, "Green"), (1, "Blue")])
def test_the_box_is_drawn_and_the_choice_made(page: Page, photos: Labeling, row: int, choice: str) -> None:
    open_editor(page, photos, photos.task_ids()[row])
    chosen = page.locator(".lsf-choice input:checked")
    expect(chosen).to_have_count(1)
    expect(chosen).to_have_attribute("name", choice)
    expect(page.locator(".lsf-outliner-item")).to_have_count(1)
    eventually(lambda: box_is_drawn(page, choice.lower()), "the box is drawn on the coloured part")
    keep_picture(page, f"image-{row}")


def test_each_image_of_a_list_gets_its_own_boxes(stack: Stack, page: Page, photos: Labeling) -> None:
    sources = [row["data"]["image"] for row in photos.rows()]
    project = stack.project("Pages", PAGES, [{"images": sources}])
    stack.connect(project)
    assert stack.run(project)["by_state"] == {"done": 1}
    (task_id,) = project.task_ids()
    (prediction,) = project.of_version(stack.status(project)["version"]).values()
    boxes = [region for region in prediction.result if region["from_name"] == "boxes"]
    assert [region["item_index"] for region in boxes] == [0, 1]
    open_editor(page, project, task_id)
    expect(page.locator(".lsf-outliner-item")).to_have_count(2)
    keep_picture(page, "image-list")


def test_an_image_that_is_missing_is_told_and_not_made_up(stack: Stack, photos: Labeling) -> None:
    project = stack.project("Missing", CONFIG, [{"image": "http://127.0.0.1:9/private.png"}, {"image": "no-such.png"}])
    before = stack.model_calls()
    stack.connect(project)
    told = stack.run(project)
    assert told["by_state"] == {"skipped": 2}, told
    assert stack.model_calls() == before


def test_a_model_without_eyes_stops_the_job_with_one_sentence(stack: Stack, photos: Labeling) -> None:
    project = stack.project("Blind", CONFIG, [{"image": row["data"]["image"]} for row in photos.rows()])
    stack.model.change(refuse=["images"])
    try:
        with stack.beside("blind", {}, database=9) as blind:
            done = blind.prelabel("run", "--project", project.id, "--wait", "--json")
            assert done.answer["state"] == "stopped"
            assert "takes no images" in done.answer["reason"]
            assert "images: no" in str(blind.doctor(project))
    finally:
        stack.model.change(refuse=[])
