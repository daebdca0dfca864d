"""What becomes of a config's controls, told offline; and the page that is made from many of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.services.configs import fate_of
from tests.config_table import page
from tests.conftest import NO_SHARED_DATA, SHARED_DATA

MIXED = (
    '<View><Text name="text" value="$text"/><Image name="photo" value="$photo"/>'
    '<Rating name="stars" toName="text"/>'
    '<BrushLabels name="mask" toName="photo"><Label value="a"/></BrushLabels></View>'
)


def test_each_control_is_answered_or_refused_with_a_reason() -> None:
    fate = fate_of(MIXED)
    stars, mask = fate.controls
    assert fate.answered == 1
    assert (stars.tag, stars.name, stars.about, stars.refused) == ("Rating", "stars", "Text text", None)
    assert stars.answered_as == "a whole number from 1 (lowest) to 5 (highest)"
    assert (mask.tag, mask.name, mask.answered_as) == ("BrushLabels", "mask", None)
    assert mask.refused
    assert fate.as_json()["controls"][1]["refused"] == mask.refused


@pytest.mark.parametrize("xml", ["", "<View>", "<View/>", '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>'])
def test_what_is_no_config_is_one_sentence(xml: str) -> None:
    fate = fate_of(xml)
    assert (fate.controls, fate.answered) == ((), 0)
    assert fate.error is not None
    assert fate.error.endswith(".")
    assert "\n" not in fate.error


@pytest.mark.skipif(SHARED_DATA is None, reason=NO_SHARED_DATA)
def test_the_page_of_real_configs_is_current(repository: Path) -> None:
    written = (repository / "docs" / "controls.md").read_text(encoding="utf-8")
    assert written == page(Path(SHARED_DATA or "")), "run: python -m tests.config_table FOLDER > docs/controls.md"
