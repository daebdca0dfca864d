"""What is highlighted in Chromium is exactly what the model quoted: in a text, in a page and in a dialogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.dialogue import annotate
from backend.labeling.parsing import parse_config
from tests.e2e.browser import keep_picture, open_editor
from tests.e2e.configs import ODD_PAGES, SPANS, SPANS_ROWS
from tests.e2e.stack import Labeling, Stack
from tests.samples import question, reply, task

Region = Mapping[str, Any]

# The texts of the highlights of each region, in the order in which the regions begin.
_HIGHLIGHTED = """root => {
  const texts = new Map();
  for (const span of root.querySelectorAll(".htx-highlight")) {
    const own = [...span.classList].find(name => /^htx-highlight-(?!last)/.test(name)) ?? texts.size;
    texts.set(own, (texts.get(own) ?? "") + span.textContent);
  }
  return [...texts.values()];
}"""

ODD_CONFIG = """
<View>
  <HyperText name="page" value="$page"{inline}/>
  <HyperTextLabels name="in_page" toName="page"><Label value="WORD" background="#d0a"/></HyperTextLabels>
</View>
"""


def run(stack: Stack, project: Labeling, task_id: int, answer: Mapping[str, Sequence[str]], label: str) -> None:
    """Pre-annotate a task with a model that quotes these passages."""
    quotes = {name: [{"text": text, "label": label} for text in texts] for name, texts in answer.items()}
    stack.model.change(text=json.dumps(quotes, ensure_ascii=False))
    told = stack.answer("run", "--project", project.id, "--task", task_id, "--wait")
    assert told["by_state"].get("invalid") is None, told


def frame_body(page: Page) -> Locator:
    return page.frame_locator("iframe.lsf-richtext__iframe").locator("body")


@pytest.fixture(scope="module")
def spans(_stack: Stack) -> Labeling:
    project = _stack.project("Spans", SPANS, [data for data, _ in SPANS_ROWS])
    _stack.connect(project)
    return project


@pytest.mark.parametrize("row", range(len(SPANS_ROWS)))
def test_highlights_are_the_quoted_passages(page: Page, stack: Stack, spans: Labeling, row: int) -> None:
    _, quotes = SPANS_ROWS[row]
    task_id = spans.task_ids()[row]
    run(stack, spans, task_id, {f"in_{name}": texts for name, texts in quotes.items()}, "PER")
    open_editor(page, spans, task_id)
    frame = frame_body(page)
    expect(page.locator(".lsf-richtext__container .htx-highlight").first).to_be_visible()
    expect(frame.locator(".htx-highlight").first).to_be_visible()
    keep_picture(page, f"spans-{row}")
    assert page.locator(".lsf-richtext__container").first.evaluate(_HIGHLIGHTED) == quotes["note"]
    assert frame.evaluate(_HIGHLIGHTED) == quotes["page"]
    turns = page.locator("[data-testid^='phrase:']")
    found = [text for turn in turns.all() for text in turn.evaluate(_HIGHLIGHTED)]
    assert found == quotes["turns"]
    turns.last.scroll_into_view_if_needed()
    keep_picture(page, f"spans-{row}-turns")


@pytest.mark.parametrize("inline", [False, True], ids=["in a frame", "inline"])
def test_every_word_of_an_odd_page_is_found_where_the_browser_put_it(page: Page, stack: Stack, inline: bool) -> None:
    config = ODD_CONFIG.format(inline=' inline="true"' if inline else "")
    project = stack.project(f"Odd pages {inline}", config, [{"page": html} for html in ODD_PAGES])
    stack.connect(project)
    version = stack.status(project)["version"]
    wrong: list[object] = []
    for html, task_id in zip(ODD_PAGES, project.task_ids(), strict=True):
        words, result = every_word(config, html)
        prediction = {"task": task_id, "result": result, "score": 0.5, "model_version": version}
        project.call("POST", "/api/predictions/", json=prediction)
        open_editor(page, project, task_id)
        root = page.locator(".lsf-richtext__container").first if inline else frame_body(page)
        expect(root.locator(".htx-highlight").first).to_be_visible()
        found = root.evaluate(_HIGHLIGHTED)
        seen = [word for word in root.inner_text().split() if word != "no"]
        if found != words or "".join(seen).casefold() != "".join(words).casefold():
            wrong.append((html, words, found, seen))
    keep_picture(page, f"odd-page-{inline}")
    assert wrong == []


def every_word(config: str, html: str) -> tuple[list[str], list[Region]]:
    """The words of a page, as a model would be shown them, and the regions of an answer that quotes each."""
    shown = parse_config(config).show({"page": html})["page"]
    words = shown.text.split()
    dialogue = annotate(question(config), task(page=html))
    next(dialogue)
    answer = {"in_page": [{"text": word, "label": "WORD"} for word in words]}
    try:
        dialogue.send(reply(json.dumps(answer)))
    except StopIteration as stop:
        return words, list(stop.value.result)
    raise AssertionError(f"asked again about {html!r}")
