"""Chromium, logged in to Label Studio, as an annotator sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

from scripts.services import LabelStudio
from tests.e2e.stack import Labeling

_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_LIMIT_MS = 30_000


@contextmanager
def logged_in(chromium: Path, label_studio: LabelStudio, profile: Path) -> Iterator[Page]:
    """A browser whose user has logged in with name and password."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=_ARGUMENTS, viewport={"width": 1400, "height": 800}
        )
        browser.set_default_timeout(_LIMIT_MS)
        expect.set_options(timeout=_LIMIT_MS)
        page = browser.pages[0]
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.user)
        page.fill("input[name=password]", label_studio.password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/user/login" not in url)
        yield page
        browser.close()


def keep_picture(page: Page, name: str) -> None:
    """Into the folder PRELABEL_SCREENSHOTS, when it is set."""
    folder = os.environ.get("PRELABEL_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def open_editor(page: Page, project: Labeling, task_id: int) -> Locator:
    """Open a task as an annotator does; what is pre-filled is part of the annotation to be submitted."""
    page.goto(f"{project.tab().url}&task={task_id}")
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    editor = page.locator(".lsf-main-content, .lsf-main-view").first
    expect(editor).to_be_visible()
    return editor
