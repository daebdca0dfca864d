"""What belongs to single regions, in the real editor: shown with its region, and written back by it as it was read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.stack import Labeling, Stack, eventually
from tests.fakes.pictures import drawn

CONFIG = """
<View>
  <Relations><Relation value="works for"/><Relation value="knows"/></Relations>
  <Header value="Who does what?"/>
  <Text name="note" value="$note"/>
  <Labels name="ner" toName="note"><Label value="PER" background="#d0a"/><Label value="ORG" background="#08c"/></Labels>
  <View visibleWhen="region-selected">
    <Choices name="mood" toName="note" perRegion="true" whenLabelValue="PER">
      <Choice value="glad"/><Choice value="sad" alias="s"/>
    </Choices>
  </View>
  <Image name="photo" value="$image"/>
  <Rectangle name="box" toName="photo"/>
  <Labels name="thing" toName="photo"><Label value="Square" background="#0a0"/><Label value="Disc"/></Labels>
  <TextArea name="caption" toName="photo" perRegion="true"/>
</View>
"""
ITEMS = """
<View>
  <Image name="pages" valueList="$pages"/>
  <Choices name="kind" toName="pages" perItem="true"><Choice value="cover"/><Choice value="text"/></Choices>
  <TextArea name="title" toName="pages" perItem="true"/>
  <Image name="photo" value="$photo"/>
  <Rating name="quality" toName="photo" perItem="true"/>
</View>
"""
ITEMS_ANSWER = {"kind": ["cover", "text"], "title": [None, "a title"], "quality": 4}
NOTE = "Ann 👍 works for ACME, says Ann."
ANSWER = {
    "ner": [
        {"text": "Ann", "label": "PER", "mood": "sad"},
        {"text": "ACME", "label": "ORG", "mood": None},
        {"text": "Ann", "label": "PER", "mood": "glad"},
    ],
    "box": [{"x": 10, "y": 20, "width": 40, "height": 60, "thing": "Square", "caption": "a green square"}],
    "relations": [{"from": 1, "to": 2, "relation": "works for"}, {"from": 3, "to": 4, "relation": "knows"}],
}
_WRITTEN = ("from_name", "to_name", "type", "value", "from_id", "to_id", "direction", "labels", "id", "item_index")


@pytest.fixture(scope="module")
def sees_images(_stack: Stack) -> None:
    """It is known that the model sees images, before it always answers the same."""
    photo = '<View><Image name="i" value="$i"/><Rating name="r" toName="i"/></View>'
    made = _stack.project("Seen", photo, [{"i": picture("red")}])
    _stack.connect(made)
    assert _stack.run(made)["by_state"] == {"done": 1}


def picture(colour: str) -> str:
    drawing = drawn((800, 400), (80, 80, 400, 320), colour=colour)
    return f"data:image/png;base64,{base64.b64encode(drawing).decode()}"


@pytest.fixture(scope="module")
def project(_stack: Stack, sees_images: None) -> Labeling:
    return _stack.pre_annotated("Regions", CONFIG, {"note": NOTE, "image": picture("green")}, ANSWER)


def predicted(stack: Stack, project: Labeling) -> list[Mapping[str, Any]]:
    (prediction,) = project.of_version(stack.status(project)["version"]).values()
    return list(prediction.result)


def opened(page: Page, project: Labeling, listed: str) -> None:
    """Open the task and one of the lists beside it; the editor remembers which was open."""
    open_editor(page, project, project.task_ids()[0])
    page.locator(".lsf-panel-tabs__tab:visible").get_by_text(listed, exact=True).first.click()


def select(page: Page, number: int) -> Locator:
    """Select a region in the list beside the task."""
    item = page.locator(".lsf-outliner-item").nth(number)
    item.click()
    return item


def test_what_is_written_shares_ids_and_is_related(stack: Stack, project: Labeling) -> None:
    result = predicted(stack, project)
    names = [region.get("from_name", region["type"]) for region in result]
    assert names == ["ner", "mood", "ner", "ner", "mood", "box", "thing", "caption", "relation", "relation"]
    ids = [region["id"] for region in result if "id" in region]
    assert ids[0] == ids[1]
    assert ids[3] == ids[4]
    assert ids[5] == ids[6] == ids[7]
    assert len(set(ids)) == 4
    assert [(r["from_id"], r["to_id"], r["labels"]) for r in result[-2:]] == [
        (ids[0], ids[2], ["works for"]),
        (ids[3], ids[5], ["knows"]),
    ]


def test_each_region_shows_what_belongs_to_it(page: Page, project: Labeling) -> None:
    opened(page, project, "Regions")
    expect(page.locator(".lsf-outliner-item")).to_have_count(4)
    chosen = page.locator(".lsf-choice input:checked")
    expect(chosen).to_have_count(0)
    for number, name in ((0, "sad"), (2, "glad")):
        select(page, number)
        expect(chosen).to_have_count(1)
        expect(chosen).to_have_attribute("name", name)
        keep_picture(page, f"region-{number}")
    select(page, 1)
    expect(page.locator(".lsf-choice:visible")).to_have_count(0)
    select(page, 3)
    expect(page.locator("[data-testid='textarea-control']")).to_contain_text("a green square")
    keep_picture(page, "region-3")


def test_the_relations_are_drawn_and_listed(page: Page, project: Labeling) -> None:
    opened(page, project, "Relations")
    expect(page.locator(".lsf-relations__item")).to_have_count(2)
    keep_picture(page, "relations")


def test_the_editor_writes_what_it_was_given(page: Page, stack: Stack, sees_images: None) -> None:
    """What is submitted unchanged is the prediction, entry for entry."""
    project = stack.pre_annotated("Submitted", CONFIG, {"note": NOTE, "image": picture("green")}, ANSWER)
    opened(page, project, "Regions")
    expect(page.locator(".lsf-outliner-item")).to_have_count(4)
    assert entries(submitted(page, project)) == entries(predicted(stack, project))


def test_each_image_of_a_list_shows_its_own_answer(page: Page, stack: Stack, sees_images: None) -> None:
    row = {"pages": [picture("red"), picture("blue")], "photo": picture("green")}
    items = stack.pre_annotated("Items", ITEMS, row, ITEMS_ANSWER)
    assert [(r["from_name"], r["item_index"]) for r in predicted(stack, items)] == [
        ("kind", 0),
        ("kind", 1),
        ("title", 1),
        ("quality", 0),
    ]
    open_editor(page, items, items.task_ids()[0])
    expect(page.locator(".lsf-choice input:checked")).to_have_attribute("name", "cover")
    keep_picture(page, "item-0")
    assert entries(submitted(page, items)) == entries(predicted(stack, items))


def submitted(page: Page, project: Labeling) -> list[Mapping[str, Any]]:
    """The annotation's result after a click on Submit."""
    (task_id,) = project.task_ids()
    page.get_by_role("button", name="Submit").click()
    eventually(lambda: project.open_task(task_id)["annotations"], "the annotation is submitted")
    (annotation,) = project.open_task(task_id)["annotations"]
    return list(annotation["result"])


def entries(result: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kept = [{key: value for key, value in region.items() if key in _WRITTEN} for region in result]
    return sorted(kept, key=lambda region: json.dumps(region, sort_keys=True))
