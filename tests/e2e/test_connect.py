"""`prelabel connect`: safe to repeat, repairs what is half connected, and says in one sentence what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scripts.processes import free_port
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Labeling, Stack
from tests.samples import ALL_REFUSED


@pytest.fixture(scope="module")
def connected(_stack: Stack) -> Labeling:
    """Every test leaves it connected."""
    project = _stack.project("Connected", FEEDBACK, FEEDBACK_ROWS[:2])
    _stack.connect(project)
    return project


def connection(project: Labeling) -> dict[str, Any]:
    """All that `connect` makes, as Label Studio has it."""
    kept = ("id", "url", "title", "state", "auth_method", "basic_auth_user")
    hooks = ("id", "url", "headers", "is_active", "send_payload", "send_for_all_actions")
    return {
        "backends": [{key: backend.get(key) for key in kept} for backend in project.backends()],
        "webhooks": [{key: hook[key] for key in hooks} for hook in project.webhooks()],
        "tabs": project.tabs(),
        "version": project.details()["model_version"],
    }


def wrong(stack: Stack, project: Labeling) -> list[str]:
    """What `doctor` finds wrong."""
    return [check["detail"] for check in stack.doctor(project)["checks"] if check["status"] == "wrong"]


def test_connecting_twice_leaves_the_same(stack: Stack, connected: Labeling) -> None:
    before = connection(connected)
    assert [len(before[kind]) for kind in ("backends", "webhooks", "tabs")] == [1, 1, 1]
    assert before["backends"][0]["state"] == "CO"
    assert before["webhooks"][0]["url"] == f"{stack.product.url}/webhook"
    assert list(before["webhooks"][0]["headers"].values()) == [stack.product.settings["PRELABEL_WEBHOOK_SECRET"]]
    stack.connect(connected)
    assert connection(connected) == before
    assert wrong(stack, connected) == []


def test_columns_that_a_user_has_arranged_stay(stack: Stack, connected: Labeling) -> None:
    (tab,) = connected.tabs()
    mine = tab["data"] | {"columnsWidth": {"tasks:data.text": 333}, "ordering": ["tasks:id"]}
    connected.call("PATCH", f"/api/dm/views/{tab['id']}", json={"project": connected.id, "data": mine})
    stack.connect(connected)
    (after,) = connected.tabs()
    assert after["data"]["columnsWidth"] == {"tasks:data.text": 333}
    assert after["data"]["ordering"] == ["tasks:predictions_score"]


def lose_the_webhook(project: Labeling) -> None:
    project.call("DELETE", f"/api/webhooks/{project.webhooks()[0]['id']}/")


def lose_the_secret(project: Labeling) -> None:
    project.call("PATCH", f"/api/webhooks/{project.webhooks()[0]['id']}/", json={"headers": {}})


def rename_the_backend(project: Labeling) -> None:
    backend = project.backends()[0]
    # Label Studio checks the backend again with nothing but what stands in the change.
    needed = {key: backend[key] for key in ("url", "project", "auth_method", "basic_auth_user")}
    body = {**needed, "basic_auth_pass": "", "title": "My model"}
    project.call("PATCH", f"/api/ml/{backend['id']}", json=body)


def delete_the_tab(project: Labeling) -> None:
    project.call("DELETE", f"/api/dm/views/{project.tabs()[0]['id']}")


def delete_the_backend(project: Labeling) -> None:
    """Label Studio leaves the webhook behind."""
    project.call("DELETE", f"/api/ml/{project.backends()[0]['id']}")


@pytest.mark.parametrize(
    "damages",
    [
        {
            rename_the_backend: "the backend's title is 'My model'",
            lose_the_webhook: "there is no active webhook",
            delete_the_tab: 'the tab "Least certain first" is missing',
        },
        {lose_the_secret: "the webhook does not carry the secret"},
        {delete_the_backend: "no backend is connected"},
    ],
    ids=["webhook, title and tab", "secret", "backend"],
)
def test_half_connected_is_named_and_repaired(
    stack: Stack, connected: Labeling, damages: dict[Callable[[Labeling], None], str]
) -> None:
    version = connected.details()["model_version"]
    for damage in damages:
        damage(connected)
    found = wrong(stack, connected)
    for expected in damages.values():
        assert any(expected in problem for problem in found), found
    (line,) = found  # one line with one next step, however much is to be repaired
    assert line.count(f"prelabel connect --project {connected.id}") == 1
    stack.connect(connected)
    after = connection(connected)
    assert [len(after[kind]) for kind in ("backends", "webhooks", "tabs")] == [1, 1, 1]
    assert after["backends"][0]["title"] == after["version"] == version
    assert list(after["webhooks"][0]["headers"].values()) == [stack.product.settings["PRELABEL_WEBHOOK_SECRET"]]


@pytest.mark.parametrize("command", ["connect", "run", "doctor"])
def test_a_wrong_key_is_one_sentence(stack: Stack, feedback: Labeling, command: str) -> None:
    options = ["--backend-url", stack.product.url] if command == "connect" else []
    done = stack.prelabel(command, "--project", feedback.id, *options, LABEL_STUDIO_API_KEY="0" * 40)
    if command == "doctor":
        assert done.code == 1
        assert "wrong label studio key: Label Studio does not accept LABEL_STUDIO_API_KEY" in done.out
    else:
        assert "does not accept LABEL_STUDIO_API_KEY" in done.only_sentence


@pytest.mark.parametrize("command", ["connect", "run", "doctor"])
def test_an_unknown_project_is_one_sentence(stack: Stack, command: str) -> None:
    options = ["--backend-url", stack.product.url] if command == "connect" else []
    done = stack.prelabel(command, "--project", 999_999, *options)
    if command == "doctor":
        assert done.code == 1
        assert "wrong project: Label Studio has no project 999999" in done.out
    else:
        assert "check --project" in done.only_sentence


def test_json_holds_the_sentence_too(stack: Stack) -> None:
    done = stack.prelabel("run", "--project", 999_999, "--json")
    assert done.code == 1
    assert "check --project" in done.answer["error"]


def test_an_address_at_which_nobody_serves(stack: Stack) -> None:
    project = stack.project("Nobody there", FEEDBACK)
    done = stack.prelabel("connect", "--project", project.id, "--backend-url", f"http://127.0.0.1:{free_port()}")
    assert "check that `prelabel serve` runs there" in done.only_sentence


def test_a_config_of_which_nothing_is_supported_is_refused_by_name(stack: Stack) -> None:
    project = stack.project("Boxes", ALL_REFUSED)
    done = stack.prelabel("connect", "--project", project.id, "--backend-url", stack.product.url)
    assert 'Labels "calls" on Audio "sound" marks moments of a recording' in done.only_sentence
    assert any('Labels "calls"' in problem for problem in wrong(stack, project))
    assert project.backends() == []


def test_a_project_of_another_backend_is_left_alone(stack: Stack, connected: Labeling) -> None:
    before = connection(connected)
    other = f"http://127.0.0.1:{free_port()}"
    done = stack.prelabel("connect", "--project", connected.id, "--backend-url", other)
    assert "is already connected to" in done.only_sentence
    assert connection(connected) == before


NO_BASIC_AUTH = {"PRELABEL_BASIC_AUTH_USER": "", "PRELABEL_BASIC_AUTH_PASSWORD": ""}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (NO_BASIC_AUTH, "asks for Basic auth: set PRELABEL_BASIC_AUTH_USER and PRELABEL_BASIC_AUTH_PASSWORD here as"),
        ({"PRELABEL_WEBHOOK_SECRET": "another"}, "wants another secret: set PRELABEL_WEBHOOK_SECRET here as for"),
        (
            {"PRELABEL_TEMPERATURE": "0.5"},
            "other settings than this command (different: PRELABEL_TEMPERATURE): restart",
        ),
    ],
    ids=["no Basic auth", "another secret", "another temperature"],
)
def test_settings_that_differ_from_the_services_are_told_and_nothing_is_changed(
    stack: Stack, connected: Labeling, settings: dict[str, str], sentence: str
) -> None:
    before = connection(connected)
    url = stack.product.url
    told = stack.prelabel("connect", "--project", connected.id, "--backend-url", url, **settings)
    assert sentence in told.only_sentence
    assert sentence in stack.prelabel("run", "--project", connected.id, **settings).only_sentence
    lines = stack.doctor(connected, **settings)["checks"]
    assert any(line["status"] == "wrong" and sentence in line["detail"] for line in lines), lines
    assert not any("prelabel connect" in line["detail"] for line in lines), lines
    assert connection(connected) == before


def test_a_worker_with_another_model_is_told_before_a_run(stack: Stack, connected: Labeling) -> None:
    """The project has no service that could be asked."""
    project = stack.project("Another model", FEEDBACK, FEEDBACK_ROWS[:1])
    told = stack.prelabel("run", "--project", project.id, PRELABEL_MODEL="another")
    assert (
        "A worker was started with other settings than this command (different: PRELABEL_MODEL)" in told.only_sentence
    )


def test_a_key_that_the_model_endpoint_refuses_is_found_although_it_was_good_before(
    stack: Stack, connected: Labeling
) -> None:
    stack.model.change(fail=[{"status": 401, "count": None}])
    try:
        lines = {line["name"]: line for line in stack.doctor(connected)["checks"]}
    finally:
        stack.model.change(fail=[])
    assert lines["model endpoint"]["status"] == "wrong"
    assert "set OPENAI_API_KEY to a key of that endpoint" in lines["model endpoint"]["detail"]


def test_the_status_of_a_project_that_is_not_known_is_one_sentence(stack: Stack) -> None:
    assert "is not known here: check --project" in stack.prelabel("status", "--project", 999_999).only_sentence


def test_a_server_that_is_no_label_studio_is_one_sentence(stack: Stack, connected: Labeling) -> None:
    for url in (stack.model.base_url, stack.product.url):
        done = stack.prelabel("run", "--project", connected.id, LABEL_STUDIO_URL=url)
        assert "LABEL_STUDIO" in done.only_sentence
    done = stack.prelabel("run", "--project", connected.id, LABEL_STUDIO_URL="127.0.0.1:8080")
    assert "is no URL: write http://HOST:PORT" in done.only_sentence
