"""A Label Studio as it comes: it refuses backends on local addresses, and imports predictions the slow way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.services import start_label_studio
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def as_it_comes(_stack: Stack, services_folder: Path) -> Iterator[Stack]:
    folder = services_folder / "label-studio-as-it-comes"
    with (
        start_label_studio(folder, import_flag=False, allow_local=False) as server,
        _stack.beside("as-it-comes", {"LABEL_STUDIO_URL": server.url}, database=4) as other,
    ):
        yield replace(other, label_studio=server)


def test_a_refused_address_names_the_variables_to_set(as_it_comes: Stack) -> None:
    project = as_it_comes.project("Refused", FEEDBACK)
    url = as_it_comes.product.url
    done = as_it_comes.prelabel("connect", "--project", project.id, "--backend-url", url)
    assert f"refuses {url} because it is a local or private address" in done.only_sentence
    assert "ML_BLOCK_LOCAL_IP=false" in done.only_sentence
    assert "SSRF_PROTECTION_ENABLED=false" in done.only_sentence


def test_predictions_are_written_without_the_import_flag_too(as_it_comes: Stack) -> None:
    """And without a connection: a run needs only Label Studio's API."""
    project = as_it_comes.project("Slow import", FEEDBACK, FEEDBACK_ROWS)
    told = as_it_comes.run(project)
    assert told["by_state"] == {"done": len(FEEDBACK_ROWS)}
    assert sorted(project.of_version(told["version"])) == project.task_ids()
    assert project.details()["model_version"] == told["version"]
    checks = {check["name"]: check for check in as_it_comes.doctor(project)["checks"]}
    assert checks["predictions import"]["status"] == "note"
    assert "the memory-efficient import is off" in checks["predictions import"]["detail"]
