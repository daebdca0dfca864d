"""The services, each started once a run and stopped by its own process id; and two projects that many tests look at.

What a machine lacks is skipped with the line that installs it. The services' logs are shown when a test fails.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from scripts import machine, places
from scripts.product import Product, settings
from scripts.services import LabelStudio, Redis, ServiceError, redis_server, start_label_studio, start_redis
from tests.e2e.browser import logged_in
from tests.e2e.configs import EVERYTHING, EVERYTHING_ROWS, FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import DEADLINE_S, Labeling, Stack, logs
from tests.fakes.scripted_model import ScriptedModel

_HERE = Path(__file__).parent
_folders: list[Path] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend((name, text) for folder in _folders for name, text in logs(folder))
    return report


@pytest.fixture(scope="session")
def services_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the services run and log; pytest keeps the last three."""
    folder = tmp_path_factory.mktemp("services")
    _folders.append(folder)
    return folder


@pytest.fixture(scope="session")
def installed() -> None:
    if not (places.shared_venv("label-studio") / "bin" / "label-studio").exists():
        pytest.skip("Label Studio is not installed: scripts/setup --label-studio")
    try:
        redis_server()
    except ServiceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis(installed: None, services_folder: Path) -> Iterator[Redis]:
    with start_redis(services_folder / "redis", persist=False) as running:
        yield running


@pytest.fixture(scope="session")
def label_studio(installed: None, services_folder: Path) -> Iterator[LabelStudio]:
    with start_label_studio(services_folder / "label-studio") as running:
        yield running


@pytest.fixture(scope="session")
def _stack(label_studio: LabelStudio, redis: Redis, services_folder: Path) -> Iterator[Stack]:
    folder = services_folder / "prelabel"
    with ScriptedModel() as model:
        own = {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "scripted",
            "PRELABEL_MODEL": model.model,
            "PRELABEL_PREDICT_DEADLINE_S": f"{DEADLINE_S}",
            "PRELABEL_CACHE_DAYS": "0",  # the tests ask about the same texts, of a model that changes
        }
        product = Product(folder=folder, settings=settings(label_studio, redis, folder) | own)
        with product.start_service() as service, product.start_worker() as worker:
            yield Stack(label_studio=label_studio, model=model, product=product)
            assert service.alive, service.log_tail()
            assert worker.alive, worker.log_tail()


@pytest.fixture
def stack(_stack: Stack) -> Iterator[Stack]:
    """The installation, with a model that answers by its script and at once whatever the test before wanted of it."""
    yield _stack
    _stack.model.change(latency_s=0.0, fail=[], reply="scripted", text=None, context_tokens=None)


@pytest.fixture(scope="session")
def feedback(_stack: Stack) -> Labeling:
    """Two Choices over one text, connected and pre-annotated. Tests may annotate its tasks and add to them."""
    return _annotated(_stack, "Feedback", FEEDBACK, FEEDBACK_ROWS)


@pytest.fixture(scope="session")
def everything(_stack: Stack) -> Labeling:
    """Every supported control, connected and pre-annotated. Tests only look at it."""
    return _annotated(_stack, "Every control", EVERYTHING, EVERYTHING_ROWS)


def _annotated(stack: Stack, title: str, config: str, rows: list[dict[str, Any]]) -> Labeling:
    project = stack.project(title, config, rows)
    stack.connect(project)
    told = stack.run(project)
    assert told["by_state"] == {"done": len(rows)}, told
    return project


@pytest.fixture(scope="session")
def chromium() -> Path:
    found = machine.chromium()
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def page(chromium: Path, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a browser in which the user is logged in."""
    with logged_in(chromium, label_studio, tmp_path_factory.mktemp("chromium")) as page:
        yield page
