"""Each line of the report is ok or says the next step, and no failure hides the lines after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.errors import ModelUnauthorized, StoreError
from backend.services.connect import connect
from backend.services.doctor import Check, Doctor
from tests.fakes.installation import AGENT, CONFIG, Installation

URL = "http://here:9090"


def checks(
    installation: Installation, project_id: int | None = None, url: str | None = None, **changes: Any
) -> list[Check]:
    parts = {
        "labels": installation.labels,
        "store": installation.store,
        "queue": installation.queue,
        "projects": installation.projects,
        "model": lambda _: {"model": "a-model", "answers": "strict JSON schema"},
        "same_settings": installation.same_settings,
        "webhook_secret": None,
        "has_key": True,
        "operation": installation.parts().operation.checks,
    }
    return list(Doctor(**{**parts, **changes}).checks(project_id, url))


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def set_up(config: str = CONFIG) -> tuple[Installation, int]:
    installation = Installation()
    project_id, _ = installation.project("good", config=config)
    connect(
        installation.labels,
        installation.projects,
        installation.store,
        project_id,
        URL,
        basic_auth=None,
        webhook_secret=None,
        auto_start=None,
    )
    return installation, project_id


def test_all_is_well() -> None:
    installation, project_id = set_up()
    found = checks(installation, project_id, URL)
    assert {check.status for check in found} == {"ok"}
    assert [check.name for check in found] == [
        "database",
        "redis",
        "workers",
        "interactive queue",
        "bulk queue",
        "failed messages",
        "model limit",
        "redis server",
        "jobs",
        "write-back",
        "model endpoint",
        "label studio",
        "label studio key",
        "backend url",
        "project",
        "labeling config",
        "connection",
        "predictions import",
    ]


def test_the_projects_own_agent_is_looked_at() -> None:
    installation, project_id = set_up()
    careful = AgentVersion.of(replace(AGENT, name="careful", model="other"), installation.projects.template_source)
    installation.store.add_agent(careful)
    installation.projects.choose(installation.labels, project_id, "careful")
    found = by_name(checks(installation, project_id, URL, model=lambda agent: {"model": agent.model}))
    assert found["model endpoint"].detail == "model: other"
    assert (found["agent"].status, found["agent"].detail) == ("ok", careful.reference)
    assert found["connection"].status == "ok"
    assert by_name(checks(installation, model=lambda agent: {"model": agent.model}))["model endpoint"].detail == (
        "model: a-model"
    )


def test_extra_params_that_are_not_followed_are_told() -> None:
    installation, project_id = set_up()
    installation.projects.remember(project_id, CONFIG, extra_params={"agent": "nobody"})
    found = by_name(checks(installation, project_id, URL))["agent"]
    assert found.status == "wrong"
    assert "There is no agent 'nobody'" in found.detail


def test_looking_changes_nothing_in_label_studio() -> None:
    installation, project_id = set_up()
    installation.labels.calls.clear()
    checks(installation, project_id, URL)
    assert installation.labels.calls == []


def fail(error: Exception) -> Callable[..., Any]:
    def look(*_: Any) -> None:
        raise error

    return look


def redis_away(installation: Installation) -> None:
    installation.queue.reachable = False


def no_worker(installation: Installation) -> None:
    installation.queue.worker_count = 0


def database_away(installation: Installation) -> None:
    installation.store.ping = fail(StoreError("The database is away: check DATABASE_URL."))  # type: ignore[method-assign]


def label_studio_away(installation: Installation) -> None:
    installation.labels.reachable = False


def wrong_key(installation: Installation) -> None:
    installation.labels.key_is_good = False


def slow_import(installation: Installation) -> None:
    installation.labels.fast = False


def blocked(installation: Installation) -> None:
    installation.labels.blocks_backends = installation.labels.blocks_webhooks = True


def webhook_blocked(installation: Installation) -> None:
    installation.labels.blocks_webhooks = True


def backend_away(installation: Installation) -> None:
    installation.labels.backend_answers = False


@pytest.mark.parametrize(
    ("harm", "name", "status", "words"),
    [
        (redis_away, "redis", "wrong", "REDIS_URL"),
        (redis_away, "workers", "wrong", "not known without Redis"),
        (no_worker, "workers", "note", "prelabel worker"),
        (database_away, "database", "wrong", "DATABASE_URL"),
        (label_studio_away, "label studio", "wrong", "running"),
        (wrong_key, "label studio", "wrong", "LABEL_STUDIO_API_KEY"),
        (slow_import, "predictions import", "note", "fflag_fix_back_4620"),
        (blocked, "backend url", "wrong", "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false"),
        (webhook_blocked, "backend url", "wrong", "SSRF_PROTECTION_ENABLED=false"),
        (backend_away, "connection", "wrong", "prelabel connect"),
    ],
)
def test_one_thing_wrong(harm: Callable[[Installation], None], name: str, status: str, words: str) -> None:
    installation, project_id = set_up()
    harm(installation)
    found = by_name(checks(installation, project_id, URL))
    assert (found[name].status, words in found[name].detail) == (status, True)
    if name not in ("label studio",):
        assert found["project"].status == "ok"  # the lines after it are there


def test_the_model_endpoint_is_wrong() -> None:
    installation, _ = set_up()
    found = by_name(checks(installation, model=fail(ModelUnauthorized("The key is refused: set OPENAI_API_KEY."))))
    assert found["model endpoint"].status == "wrong"
    assert "OPENAI_API_KEY" in found["model endpoint"].detail
    assert found["label studio key"].status == "ok"


def test_no_key_is_set() -> None:
    installation, project_id = set_up()
    found = checks(installation, project_id, has_key=False)
    assert found[-1].name == "label studio key"
    assert "LABEL_STUDIO_API_KEY" in found[-1].detail


@pytest.mark.parametrize("url", ["here:9090", "ftp://here", "http://", "", "http:///path"])
def test_no_url(url: str) -> None:
    installation, _ = set_up()
    assert by_name(checks(installation, url=url))["backend url"].status == "wrong"


def test_an_unknown_project() -> None:
    installation, _ = set_up()
    found = by_name(checks(installation, 99))
    assert found["project"].status == "wrong"
    assert "99" in found["project"].detail


@pytest.mark.parametrize(
    ("config", "word"), [("no XML", "well-formed"), ("<View></View>", "control"), ("<View>", "well-formed")]
)
def test_an_unsupported_project(config: str, word: str) -> None:
    installation, project_id = set_up()
    installation.labels.edit_project(project_id, label_config=config)
    found = by_name(checks(installation, project_id))
    assert found["labeling config"].status == "wrong"
    assert word in found["labeling config"].detail


def test_a_control_that_will_not_be_answered_is_named() -> None:
    installation, project_id = set_up(CONFIG.replace("</View>", '<Ranker name="r" toName="text"/></View>'))
    notes = [check for check in checks(installation, project_id) if check.status == "note"]
    assert [check.name for check in notes] == ["labeling config"]
    assert '"r"' in notes[0].detail


def test_a_webhook_without_the_secret() -> None:
    installation, project_id = set_up()
    found = by_name(checks(installation, project_id, webhook_secret="s3cret"))
    assert found["connection"].status == "wrong"
    assert "s3cret" not in found["connection"].detail


@pytest.mark.parametrize("url", [None, URL])
def test_a_service_with_other_settings_is_told_instead_of_a_connection_to_repair(url: str | None) -> None:
    installation, project_id = set_up()
    installation.service.told = {**installation.same_settings.here, "PRELABEL_MODEL": "0"}
    installation.labels.edit_project(project_id, model_version=None)
    found = by_name(checks(installation, project_id, url))
    assert found["service"].status == "wrong"
    assert f"The service at {URL} was started with other settings" in found["service"].detail
    assert "PRELABEL_MODEL" in found["service"].detail
    assert not any("prelabel connect" in check.detail for check in found.values())


def test_a_service_with_other_settings_is_told_without_a_project_too() -> None:
    installation, _ = set_up()
    installation.service.told = {"PRELABEL_MODEL": "0"}
    assert by_name(checks(installation, None, URL))["service"].status == "wrong"


def test_a_service_that_wants_basic_auth() -> None:
    installation, project_id = set_up()
    installation.service.refusal = "The service asks for Basic auth: set PRELABEL_BASIC_AUTH_USER."
    installation.labels.backend_answers = False
    found = by_name(checks(installation, project_id, URL))
    assert found["service"].detail == installation.service.refusal
    assert "connection" not in found


def test_a_worker_with_other_settings() -> None:
    installation, project_id = set_up()
    installation.queue.started_with = [installation.same_settings.here, {"PRELABEL_MODEL": "0"}]
    found = by_name(checks(installation, project_id, URL))
    assert found["workers"].status == "wrong"
    assert "restart `prelabel serve` and `prelabel worker`" in found["workers"].detail
    assert (found["connection"].status, "not looked at" in found["connection"].detail) == ("note", True)


def test_looking_with_other_settings_overwrites_no_version() -> None:
    installation, project_id = set_up()
    before = installation.store.project(project_id)
    other = Installation(agent=replace(AGENT, model="another"), store=installation.store)
    checks(installation, project_id, projects=other.projects)
    assert installation.store.project(project_id) == before


def test_what_is_to_be_repaired_is_one_line_with_one_next_step() -> None:
    installation, project_id = set_up()
    installation.labels.projects[project_id].webhooks.clear()
    installation.labels.projects[project_id].tabs.clear()
    wrong = [check for check in checks(installation, project_id, URL) if check.status == "wrong"]
    assert [check.name for check in wrong] == ["connection"]
    assert "no active webhook" in wrong[0].detail
    assert "is missing" in wrong[0].detail
    assert wrong[0].detail.count(f"prelabel connect --project {project_id} --backend-url {URL}") == 1


def test_what_can_be_used_instead_of_an_unsupported_control() -> None:
    installation, project_id = set_up(CONFIG.replace("</View>", '<Ranker name="r" toName="text"/></View>'))
    detail = by_name(checks(installation, project_id))["labeling config"].detail
    assert detail.endswith(
        "Taxonomy, TextArea on Text, HyperText, Paragraphs, Chat, List, Table, Image, Pdf, Audio, AudioPlus, Video, "
        "TimeSeries: see the README's table)"
    )


def test_not_connected() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    found = by_name(checks(installation, project_id))
    assert found["connection"].status == "wrong"
    assert "no backend" in found["connection"].detail
