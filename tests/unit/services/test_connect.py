"""Connecting: every step is safe to repeat, and repairs what is half connected."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from backend.core.errors import ConfigError, LabelStudioError, LabelStudioNotFound
from backend.services.connect import TAB_TITLE, WEBHOOK_HEADER, Connection, connect, connection_problems
from tests.fakes.installation import CONFIG, Installation

URL = "http://here:9090"
UNSUPPORTED = '<View><Text name="t" value="$t"/><Ranker name="r" toName="t"/></View>'


def connected(installation: Installation, project_id: int, url: str = URL, **options: Any) -> Connection:
    given = {"basic_auth": None, "webhook_secret": None, "auto_start": None, **options}
    return connect(installation.labels, installation.projects, installation.store, project_id, url, **given)


def problems(installation: Installation, project_id: int, secret: str | None = None) -> list[str]:
    return connection_problems(installation.labels, project_id, installation.version(project_id), secret)


def test_everything_is_set_and_the_version_is_the_same_in_every_place() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    connection = connected(installation, project_id, webhook_secret="s3cret")
    found = installation.labels.projects[project_id]
    (backend,) = found.backends.values()
    (webhook,) = found.webhooks.values()
    (tab,) = found.tabs.values()
    assert connection.version == backend.title == found.project.model_version == installation.version(project_id)
    assert backend.url == URL
    assert (webhook.url, webhook.active, webhook.headers) == (f"{URL}/webhook", True, {WEBHOOK_HEADER: "s3cret"})
    assert (tab.title, tab.data["ordering"]) == (TAB_TITLE, ["tasks:predictions_score"])
    assert found.settings["show_collab_predictions"] is True
    assert problems(installation, project_id, "s3cret") == []


def test_again_changes_nothing_and_doubles_nothing() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    first = connected(installation, project_id, webhook_secret="s3cret")
    before = repr(installation.labels.projects[project_id])
    assert connected(installation, project_id, webhook_secret="s3cret") == first
    assert repr(installation.labels.projects[project_id]) == before


@pytest.mark.parametrize("url", [URL, URL + "/", URL + "//"])
def test_a_slash_at_the_end_is_the_same_backend(url: str) -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    connected(installation, project_id)
    connected(installation, project_id, url)
    found = installation.labels.projects[project_id]
    assert [b.url for b in found.backends.values()] == [URL]
    assert len(found.webhooks) == 1


def test_what_is_half_connected_is_repaired() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    connected(installation, project_id, webhook_secret="s3cret")
    found = installation.labels.projects[project_id]
    (backend,), (webhook,) = found.backends.values(), found.webhooks.values()
    found.backends[backend.id] = replace(backend, title="my model")
    found.webhooks[webhook.id] = replace(webhook, active=False, headers={})
    found.webhooks[900] = replace(webhook, id=900, active=False, headers={})  # left behind by an earlier backend
    found.tabs.clear()
    found.project = replace(found.project, model_version="my model")
    assert len(problems(installation, project_id, "s3cret")) == 4
    connected(installation, project_id, webhook_secret="s3cret")
    assert problems(installation, project_id, "s3cret") == []
    assert len(found.webhooks) == len(found.tabs) == len(found.backends) == 1


def test_another_webhook_of_the_project_is_left_alone() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    installation.labels.save_webhook(project_id, None, {"url": "http://elsewhere/hook", "headers": {"a": "b"}})
    connected(installation, project_id)
    hooks = installation.labels.webhooks(project_id)
    assert {h.url: dict(h.headers) for h in hooks} == {"http://elsewhere/hook": {"a": "b"}, f"{URL}/webhook": {}}


def test_a_tab_keeps_what_its_users_arranged() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    first = connected(installation, project_id)
    data = {**first.tab.data, "gridWidth": 7, "ordering": ["-tasks:id"]}
    installation.labels.save_tab(project_id, first.tab.id, data)
    again = connected(installation, project_id)
    assert again.tab.id == first.tab.id
    assert (again.tab.data["gridWidth"], again.tab.data["ordering"]) == (7, ["tasks:predictions_score"])


def test_basic_auth_is_given_to_label_studio_and_taken_back() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    backend_id = connected(installation, project_id, basic_auth=("ann", "secret")).backend.id
    secrets = installation.labels.projects[project_id].secrets
    given = {"auth_method": "BASIC_AUTH", "basic_auth_user": "ann", "basic_auth_pass": "secret"}
    assert secrets[backend_id] == given
    connected(installation, project_id)
    assert secrets[backend_id] == {"auth_method": "NONE"}


def test_no_password_in_what_is_printed() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    connection = connected(installation, project_id, basic_auth=("ann", "pa55word"), webhook_secret="s3cret")
    printed = repr(connection.as_json())
    assert "pa55word" not in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    ("blocked", "variables"),
    [
        (["backends"], {"ML_BLOCK_LOCAL_IP"}),
        (["webhooks"], {"SSRF_PROTECTION_ENABLED"}),
        (["backends", "webhooks"], {"ML_BLOCK_LOCAL_IP", "SSRF_PROTECTION_ENABLED"}),
    ],
)
def test_only_the_variables_that_are_missing_are_asked_for_before_anything_is_saved(
    blocked: list[str], variables: set[str]
) -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    for what in blocked:
        setattr(installation.labels, f"blocks_{what}", True)
    with pytest.raises(LabelStudioError, match="private address") as raised:
        connected(installation, project_id)
    assert set(re.findall(r"(\w+)=false", str(raised.value))) == variables
    assert installation.labels.backends(project_id) == []
    for what in blocked:
        setattr(installation.labels, f"blocks_{what}", False)
    connected(installation, project_id)
    assert problems(installation, project_id) == []


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("save_webhook", "done: the backend; missing: the webhook, the project's settings, the tab"),
        ("set_project", "done: the backend, the webhook; missing: the project's settings, the tab"),
        ("save_tab", "done: the backend, the webhook, the project's settings; missing: the tab"),
    ],
)
def test_a_failure_half_way_says_what_is_done_and_what_is_not(method: str, rest: str) -> None:
    installation = Installation()
    project_id, _ = installation.project("good")

    works = getattr(installation.labels, method)

    def refuse(*args: Any) -> Any:
        if method == "set_project" and "show_collab_predictions" not in args[-1]:
            return works(*args)  # the version is aligned before anything is connected
        raise LabelStudioError("Label Studio has had enough.", status=429)

    setattr(installation.labels, method, refuse)
    with pytest.raises(LabelStudioError) as raised:
        connected(installation, project_id)
    assert str(raised.value) == f"Label Studio has had enough ({rest}); when that is mended, connect again."
    setattr(installation.labels, method, works)
    connected(installation, project_id)
    assert problems(installation, project_id) == []


def test_a_version_that_somebody_else_overwrites_is_told_as_other_settings() -> None:
    """The service cannot be asked from here, and a worker gives the backend another title meanwhile."""
    installation = Installation()
    project_id, _ = installation.project("good")
    save = installation.labels.save_webhook

    def save_and_rename(*args: Any) -> None:
        save(*args)
        found = installation.labels.projects[project_id]
        found.project = replace(found.project, model_version=None)
        found.backends = {b.id: replace(b, title="other@1") for b in found.backends.values()}

    installation.labels.save_webhook = save_and_rename  # type: ignore[method-assign]
    with pytest.raises(LabelStudioError, match="was started with other settings"):
        connected(installation, project_id)


@pytest.mark.parametrize("url", ["here:9090", "ftp://here", "http://", "", "http:///path"])
def test_no_url(url: str) -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    with pytest.raises(LabelStudioError, match="no http"):
        connected(installation, project_id, url)


def test_a_403_for_want_of_rights_is_not_taken_for_an_address_rule() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    detail = "You do not have permission to perform this action."

    def refuse(*_: Any) -> None:
        raise LabelStudioError(f"Label Studio refused: {detail}", status=403, detail=detail)

    installation.labels.save_backend = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(LabelStudioError, match="permission"):
        connected(installation, project_id)


def test_a_backend_that_does_not_answer() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    installation.labels.backend_answers = False
    with pytest.raises(LabelStudioError, match="prelabel serve"):
        connected(installation, project_id)


def test_a_backend_that_is_saved_and_then_found_away() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    save = installation.labels.save_backend

    def save_and_leave(*args: Any) -> Any:
        backend = save(*args)
        installation.labels.backend_answers = False
        return backend

    installation.labels.save_backend = save_and_leave  # type: ignore[method-assign]
    with pytest.raises(LabelStudioError, match="prelabel serve"):
        connected(installation, project_id)


def test_a_project_of_another_backend() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    installation.labels.save_backend(project_id, None, {"url": "http://other:9090", "title": "other"})
    with pytest.raises(LabelStudioError, match="http://other:9090"):
        connected(installation, project_id)


def test_an_unknown_project() -> None:
    with pytest.raises(LabelStudioNotFound):
        connected(Installation(), 99)


@pytest.mark.parametrize("config", [UNSUPPORTED, "<View></View>", "no XML"])
def test_an_unsupported_config_is_told_and_nothing_is_connected(config: str) -> None:
    installation = Installation()
    project_id, _ = installation.project("good", config=config)
    with pytest.raises(ConfigError):
        connected(installation, project_id)
    assert installation.labels.backends(project_id) == []


def test_what_will_not_be_answered_is_told() -> None:
    installation = Installation()
    config = CONFIG.replace("</View>", '<Ranker name="r" toName="text"/></View>')
    project_id, _ = installation.project("good", config=config)
    (refusal,) = connected(installation, project_id).refusals
    assert '"r"' in refusal


@pytest.mark.parametrize(
    ("given", "kept"), [([None], False), ([True], True), ([True, None], True), ([True, False], False)]
)
def test_auto_start_is_off_until_it_is_asked_for_and_stays_as_it_was_said(given: list[bool | None], kept: bool) -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    for auto_start in given:
        connected(installation, project_id, auto_start=auto_start)
    row = installation.store.project(project_id)
    assert row is not None
    assert row.auto_start is kept


def test_after_a_new_config_the_connection_follows() -> None:
    installation = Installation()
    project_id, _ = installation.project("good")
    first = connected(installation, project_id)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    second = connected(installation, project_id)
    assert first.version != second.version
    assert problems(installation, project_id) == []
