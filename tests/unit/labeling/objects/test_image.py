"""Images: where they come from, how they are numbered, and why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.values import Media, Picture
from backend.labeling.config import LabelingConfig
from backend.labeling.objects.image import MAX_IMAGES
from backend.labeling.parsing import parse_config
from backend.prompting.render import render_messages
from tests.samples import TEMPLATE

CHOICES = '<Choices name="c" toName="i"><Choice value="cat"/><Choice value="dog"/></Choices>'
ONE = f'<View><Image name="i" value="$image"/>{CHOICES}</View>'
LISTED = f'<View><Image name="i" valueList="$pages"/>{CHOICES}</View>'
SEVERAL = (
    '<View><Image name="left" value="$a"/><Text name="t" value="$t"/><Image name="i" valueList="$pages"/>'
    f'<Image name="right" value="$b"/>{CHOICES}<Pairwise name="better" toName="left,right"/></View>'
)


def picture(name: str) -> Picture:
    return Picture(data_uri=f"data:image/png;base64,{name}", width=640, height=480)


def media(*sources: str) -> Media:
    return {source: picture(source) for source in sources}


def problem(config: LabelingConfig, data: dict[str, Any], found: Media | None = None) -> str | None:
    return config.show(data, found)["i"].problem


def test_an_image_is_announced_and_sent_beside_the_prompt() -> None:
    config = parse_config(ONE)
    assert config.media_sources({"image": " u1 "}) == ("u1",)
    shown = config.show({"image": "u1"}, media("u1"))
    assert shown["i"].problem is None
    system, user = render_messages(TEMPLATE, config, shown, "")
    assert user.images == (picture("u1").data_uri,)
    assert 'Data "i":\n~~~\nImage 1\n~~~' in user.content
    assert system.images == ()
    assert "base64" not in user.content


def test_images_of_several_objects_are_numbered_in_their_order() -> None:
    config = parse_config(SEVERAL)
    data = {"a": "u1", "b": "u4", "pages": ["u2", "u3"], "t": "words"}
    assert config.media_sources(data) == ("u1", "u2", "u3", "u4")
    shown = config.show(data, media("u1", "u2", "u3", "u4"))
    assert {n: s.text for n, s in shown.items()} == {
        "left": "Image 1",
        "t": "words",
        "i": "Images 2 to 3, in this order",
        "right": "Image 4",
    }
    assert [(i.number, i.item) for i in shown["i"].images] == [(2, 0), (3, 1)]
    assert [(i.number, i.item) for i in shown["right"].images] == [(4, None)]
    user = render_messages(TEMPLATE, config, shown, "")[-1]
    assert user.images == tuple(picture(f"u{n}").data_uri for n in (1, 2, 3, 4))


def test_the_same_image_twice_is_loaded_once_and_shown_twice() -> None:
    config = parse_config(LISTED)
    data = {"pages": ["u1", "u1"]}
    assert config.media_sources(data) == ("u1",)
    assert len(config.show(data, media("u1"))["i"].images) == 2


def test_a_list_may_hold_one_image_without_brackets() -> None:
    (image,) = parse_config(LISTED).show({"pages": "u1"}, media("u1"))["i"].images
    assert image.item == 0


@pytest.mark.parametrize(
    ("xml", "data", "says"),
    [
        (ONE, {}, "the data's 'image' is not there"),
        (ONE, {"image": None}, "is null"),
        (ONE, {"image": ""}, "is empty"),
        (ONE, {"image": []}, "is empty"),
        (ONE, {"image": "  "}, "is not the address of an image"),
        (ONE, {"image": 7}, "is not the address of an image"),
        (ONE, {"image": {"url": "u1"}}, "is not the address of an image"),
        (ONE, {"image": [["u1"]]}, "is not the address of an image"),
        (ONE, {"image": ["u1", "u2"]}, "holds several images where the labeling config has value"),
        (LISTED, {"pages": ["u1", None]}, "is not the address of an image"),
        (LISTED, {"pages": ["u1"] * (MAX_IMAGES + 1)}, f"holds {MAX_IMAGES + 1} images, more than {MAX_IMAGES}"),
        (LISTED, {"pages": ["u1", "u2"]}, "'pages' (item 2) could not be loaded: it was not asked for"),
        (ONE, {"image": "u9"}, "'image' could not be loaded: it was not asked for"),
    ],
)
def test_odd_data_is_a_problem_and_never_an_error(xml: str, data: dict[str, Any], says: str) -> None:
    config = parse_config(xml)
    said = problem(config, data, media("u1"))
    assert said is not None
    assert says in said
    assert config.show(data, media("u1"))["i"].images == ()


def test_why_an_image_could_not_be_loaded_is_told_and_its_controls_are_not_asked() -> None:
    config = parse_config(ONE)
    shown = config.show({"image": "u1"}, {"u1": "its server answers HTTP 404"})
    assert shown["i"].problem == "the data's 'image' could not be loaded: its server answers HTTP 404"
    assert set(config.unanswerable(shown)) == {"c"}


def test_what_a_text_model_can_answer_of_a_config() -> None:
    assert parse_config(ONE).only_about_images
    assert not parse_config(
        ONE.replace("</View>", '<Text name="t" value="$t"/><Rating name="r" toName="t"/></View>')
    ).only_about_images
