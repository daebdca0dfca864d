"""Basic auth on every route; the webhook's own secret, because Label Studio calls it without Basic auth."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.services.connect import WEBHOOK_HEADER
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes.installation import CONFIG, Installation

AUTH = {"basic_auth_user": "ann", "basic_auth_password": "pass:wörd"}
ROUTES = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/versions"),
    ("GET", "/metrics"),
    ("POST", "/setup"),
    ("POST", "/predict"),
    ("POST", "/train"),
]
BODY = {"project": "1.1", "schema": CONFIG, "label_config": CONFIG, "tasks": []}
EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}


def client_of(**settings: Any) -> FlaskClient:
    return create_app(Installation().parts(**settings)).test_client()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def call(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> Any:
    return client.open(path, method=method, headers=headers, json=BODY if method == "POST" else None)


@pytest.mark.parametrize(("method", "path"), ROUTES)
class TestBasicAuth:
    def test_lets_in_who_has_it(self, method: str, path: str) -> None:
        assert call(client_of(**AUTH), method, path, basic("ann", "pass:wörd")).status_code in (200, 201)

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            basic("ann", "wrong"),
            basic("wrong", "pass:wörd"),
            basic("", ""),
            basic("ann", ""),
            {"Authorization": "Basic"},
            {"Authorization": "Basic %%%"},
            {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
            {"Authorization": "Bearer ann"},
            {"Authorization": "Token pass:word"},
            {WEBHOOK_HEADER: "anything"},
        ],
    )
    def test_refuses_everybody_else(self, method: str, path: str, headers: dict[str, str]) -> None:
        answer = call(client_of(**AUTH), method, path, headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert set(answer.json) == {"error", "id"}
        assert "ann" not in answer.json["error"].split()

    def test_is_not_asked_for_where_it_is_not_set(self, method: str, path: str) -> None:
        assert call(client_of(), method, path, {}).status_code in (200, 201)

    def test_the_webhook_s_secret_opens_nothing_else(self, method: str, path: str) -> None:
        client = client_of(**AUTH, webhook_secret="s3cret")
        assert call(client, method, path, {WEBHOOK_HEADER: "s3cret"}).status_code == 401


DERIVED = Settings(**AUTH).effective_webhook_secret or ""


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 201),
        ({"webhook_secret": "s3cret"}, {}, 401),
        ({"webhook_secret": "s3cret"}, {WEBHOOK_HEADER: "s3cret"}, 201),
        ({"webhook_secret": "s3cret"}, {WEBHOOK_HEADER: "wrong"}, 401),
        ({"webhook_secret": "s3cret"}, {WEBHOOK_HEADER: ""}, 401),
        ({"webhook_secret": "s3cret"}, basic("ann", "pass:wörd"), 401),
        (AUTH, {}, 401),
        (AUTH, {WEBHOOK_HEADER: DERIVED}, 201),
        (AUTH, {WEBHOOK_HEADER: "pass:word"}, 401),
        (AUTH, basic("ann", "pass:wörd"), 201),  # START_TRAINING comes with it
        (AUTH, basic("ann", "wrong"), 401),
        ({**AUTH, "webhook_secret": "s3cret"}, {WEBHOOK_HEADER: DERIVED}, 401),
        ({**AUTH, "webhook_secret": "s3cret"}, {WEBHOOK_HEADER: "s3cret"}, 201),
        ({**AUTH, "webhook_secret": "s3cret"}, basic("ann", "pass:wörd"), 201),
    ],
)
def test_webhook(settings: dict[str, str], headers: dict[str, str], status: int) -> None:
    answer = client_of(**settings).post("/webhook", json=EVENT, headers=headers)
    assert answer.status_code == status


def test_an_empty_event_asks_whether_the_secret_is_right_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(webhook_secret="s3cret")
    assert client.post("/webhook", json={}, headers={WEBHOOK_HEADER: "wrong"}).status_code == 401
    caplog.clear()
    assert client.post("/webhook", json={}, headers={WEBHOOK_HEADER: "s3cret"}).status_code == 200
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_the_derived_secret_tells_nothing_of_the_password() -> None:
    assert len(DERIVED) == 40
    assert "pass" not in DERIVED
    assert Settings(**{**AUTH, "basic_auth_password": "other"}).effective_webhook_secret != DERIVED


def test_a_stranger_learns_nothing_of_what_routes_there_are() -> None:
    client = client_of(**AUTH)
    assert client.get("/no-such-route").status_code == 401
    assert client.get("/webhook/../setup").status_code == 401
