"""Commands, service and workers with other settings are told apart, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.core.errors import SettingsError
from backend.services.same_settings import fingerprints
from tests.fakes.installation import AGENT, Installation

URL = "http://here:9090"
FILE = "sqlite:////here/prelabel.sqlite3"


def told(
    agent: dict[str, Any] | None = None,
    template: str = "{{ a }}",
    database: str = FILE,
    endpoint: str = "http://model/v1",
) -> dict[str, str]:
    changed = replace(AGENT, **(agent or {}))
    return fingerprints(changed, template_source=template, database=database, endpoint=endpoint)


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"agent": {"model": "another"}}, {"PRELABEL_MODEL"}),
        ({"agent": {"name": "other", "reasks": 3}}, {"PRELABEL_AGENT", "PRELABEL_REASKS"}),
        ({"agent": {"temperature": 0.5}}, {"PRELABEL_TEMPERATURE"}),
        ({"agent": {"max_tokens": 7}}, {"PRELABEL_MAX_TOKENS"}),
        ({"agent": {"max_options": 9}}, {"PRELABEL_MAX_OPTIONS"}),
        ({"template": "{{ b }}"}, {"PRELABEL_TEMPLATE"}),
        ({"database": "sqlite:////there/prelabel.sqlite3"}, {"DATABASE_URL"}),
        ({"database": "postgresql://db/prelabel"}, {"DATABASE_URL"}),
        ({"agent": {"context_tokens": 8_000}}, {"PRELABEL_CONTEXT_TOKENS"}),
        ({"endpoint": "http://other/v1"}, {"OPENAI_BASE_URL"}),
        ({"agent": {"seed": 8}}, set()),
    ],
)
def test_each_variable_that_matters_is_told_by_name(change: dict[str, Any], differing: set[str]) -> None:
    assert {name for name, value in told(**change).items() if value != told()[name]} == differing


def test_two_names_of_one_server_are_not_two_databases() -> None:
    assert told(database="postgresql://db/prelabel") == told(database="postgresql://localhost:5432/prelabel")


def test_no_value_is_told() -> None:
    assert "secret-model" not in repr(told(agent={"model": "secret-model"}))


def test_the_same_settings_or_none_that_are_known_are_no_problem() -> None:
    installation = Installation()
    installation.same_settings.need([URL])
    installation.service.told = installation.same_settings.here
    installation.queue.started_with = [installation.same_settings.here, {}, {"of a later release": "1"}]
    installation.same_settings.need([URL])


def test_another_service_is_named_with_what_differs_and_what_to_do() -> None:
    installation = Installation()
    installation.service.told = {**installation.same_settings.here, "PRELABEL_MODEL": "0"}
    with pytest.raises(SettingsError) as raised:
        installation.same_settings.need([URL])
    assert str(raised.value) == (
        f"The service at {URL} was started with other settings than this command (different: PRELABEL_MODEL): restart "
        "`prelabel serve` and `prelabel worker` with the same environment."
    )


def test_another_worker_is_named_and_a_default_database_explained() -> None:
    installation = Installation()
    installation.queue.started_with = [{**installation.same_settings.here, "DATABASE_URL": "0"}]
    with pytest.raises(SettingsError, match=r"A worker .*DATABASE_URL, by default a file in the folder"):
        installation.same_settings.need([])


def test_without_redis_the_service_is_still_looked_at() -> None:
    installation = Installation()
    installation.queue.reachable = False
    installation.same_settings.need([URL])
    installation.service.refusal = "The service asks for Basic auth: set it."
    with pytest.raises(SettingsError, match="Basic auth"):
        installation.same_settings.need([URL])
