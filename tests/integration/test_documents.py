"""From a PDF to labels over real HTTP: an endpoint that takes images sees scans, one that takes none reads text."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.adapters.media import HttpMedia, Limits
from backend.adapters.openai_model import OpenAIModel
from backend.core.values import Outcome, TaskState
from backend.services.annotate import Caller, annotate_task
from tests.fakes.documents import Sheet, letter, pdf, scanned
from tests.fakes.scripted_model import ScriptedModel
from tests.integration.test_openai_model import Remembered
from tests.samples import question, task

pytestmark = pytest.mark.integration
CONFIG = """
<View>
  <Pdf name="paper" value="$paper"/>
  <Choices name="colour" toName="paper">
    <Choice value="Red"/><Choice value="Green"/><Choice value="Blue"/>
  </Choices>
</View>
"""


@pytest.fixture
def endpoint() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    papers = {
        "letter": pdf(letter("The sky was blue that day.")),
        "scan": pdf(scanned("green")),
        "both": pdf(letter("It was a grey day."), scanned("green")),
        "broken": pdf(letter())[:-300],
    }
    for name, content in papers.items():
        (tmp_path / f"{name}.pdf").write_bytes(content)
    return tmp_path


def outcome(endpoint: ScriptedModel, folder: Path, name: str) -> Outcome:
    async def asked() -> Outcome:
        model = OpenAIModel(base_url=endpoint.base_url, api_key="k", timeout_s=10, memory=Remembered())
        limits = Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=500, timeout_s=5)
        media = HttpMedia(label_studio_url="http://labels", authorization=str, limits=limits, root=folder)
        caller = Caller(model=model, media=media, sleep=asyncio.sleep, random=random.random)
        try:
            return await annotate_task(question(CONFIG), task(paper=f"{name}.pdf"), caller)
        finally:
            await model.close()

    return asyncio.run(asked())


def images_of(endpoint: ScriptedModel) -> int:
    content = endpoint.requests[-1]["messages"][-1]["content"]
    return sum(part["type"] == "image_url" for part in content) if isinstance(content, list) else 0


@pytest.mark.parametrize(
    ("name", "choice", "images"), [("letter", "Blue", 0), ("scan", "Green", 1), ("both", "Green", 1)]
)
def test_a_model_that_sees(endpoint: ScriptedModel, folder: Path, name: str, choice: str, images: int) -> None:
    found = outcome(endpoint, folder, name)
    assert found.state is TaskState.DONE, found.error
    assert [dict(region)["value"] for region in found.result] == [{"choices": [choice]}]
    assert images_of(endpoint) == images
    assert found.score is not None


@pytest.mark.parametrize("how", ["refuse", "ignore"])
def test_a_model_that_reads_only(endpoint: ScriptedModel, folder: Path, how: str) -> None:
    endpoint.change(**{how: ["images"]})
    found = outcome(endpoint, folder, "letter")
    assert [dict(region)["value"] for region in found.result] == [{"choices": ["Blue"]}]
    assert found.notes == ()
    found = outcome(endpoint, folder, "both")
    assert found.state is TaskState.DONE
    assert found.notes == ("the data's 'paper': shown without an image: page 2",)
    assert images_of(endpoint) == 0
    asked = len(endpoint.requests)
    found = outcome(endpoint, folder, "scan")
    assert found.state is TaskState.SKIPPED
    assert "holds no text, and the model takes no images" in str(found.error)
    later = [str(request["messages"]) for request in list(endpoint.requests)[asked:]]
    assert later  # whether it sees
    assert not any('Data "paper"' in messages for messages in later)


def test_a_broken_file_is_told(endpoint: ScriptedModel, folder: Path) -> None:
    found = outcome(endpoint, folder, "broken")
    assert found.state is TaskState.SKIPPED
    assert "the data's 'paper' could not be loaded: it is a damaged PDF document" in str(found.error)


def test_a_form_that_was_filled_in_is_read(endpoint: ScriptedModel, folder: Path) -> None:
    (folder / "form.pdf").write_bytes(pdf(Sheet(text="Favourite colour:\n" * 8, field="Blue")))
    endpoint.change(refuse=["images"])
    found = outcome(endpoint, folder, "form")
    assert [dict(region)["value"] for region in found.result] == [{"choices": ["Blue"]}]
