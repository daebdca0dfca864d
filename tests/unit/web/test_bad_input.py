"""Malformed requests: a status below 500, a short JSON answer with an id that the log has, and task text nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import (
    ConfigError,
    LabelStudioUnreachable,
    PrelabelError,
    QueueError,
    StoreError,
    TemplateError,
)
from backend.logs import JsonFormatter
from backend.web.app import create_app
from tests.fakes.installation import CONFIG, Installation

SECRET = "the-text-of-a-task"
ROUTES = ["/setup", "/predict", "/webhook", "/train"]
NO_OBJECTS = {
    "empty": b"",
    "not JSON": b"{" + SECRET.encode(),
    "list": b"[1, 2]",
    "string": b'"text"',
    "null": b"null",
    "number": b"7",
    "not UTF-8": b'{"project": "\xff\xfe"}',
    "NUL": b'{"project": "1"\x00}',
    "deep list": b'{"project": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"a": ' * 100_000 + b"1" + b"}" * 100_000,
    "half": b'{"project": "1.1", "tasks": [{"id":',
    "huge number": b'{"project": ' + b"9" * 5_000 + b"}",
    "form": b"project=1&tasks=2",
}
ODD_BODIES: list[dict[str, Any]] = [
    {},
    {"project": None},
    {"project": ""},
    {"project": "abc"},
    {"project": "1;DROP TABLE records"},
    {"project": "-1"},
    {"project": "٣"},
    {"project": "1" * 30},
    {"project": 10**30},
    {"project": 1.5e300},
    {"project": True},
    {"project": []},
    {"project": {"id": "1"}},
    {"project": {"id": 10**30}},
    {"project": {"id": -1}},
    {"project": "1.1", "schema": 7},
    {"project": "1.1", "schema": ["<View>"]},
    {"project": "1.1", "schema": "\ud800\x00"},
    {"project": "1.1", "schema": "<View>" * 5_000},
    {"project": "1.1", "schema": '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>'},
    {"project": "1.1", "label_config": 7, "tasks": [{"id": 1}]},
    {"project": "1.1", "label_config": CONFIG, "tasks": None},
    {"project": "1.1", "label_config": CONFIG, "tasks": "all"},
    {"project": "1.1", "label_config": CONFIG, "tasks": 7},
    {"project": "1.1", "label_config": CONFIG, "tasks": [None, [], 1, "a", {"id": 10**40}]},
    {"project": "1.1", "label_config": CONFIG, "tasks": [{"id": 1, "data": {"text": [[[SECRET]]]}}]},
    {"project": "1.1", "label_config": CONFIG, "tasks": [{"id": 1, "data": {"text": "\ud800\x00"}}]},
    {"project": "1.1", "label_config": CONFIG, "tasks": [{"id": 1}] * 3, "params": {"context": 7}},
    {"action": None},
    {"action": 7},
    {"action": ["TASKS_CREATED"]},
    {"action": ""},
    {"action": "\ud800\x00"},
    {"action": "A" * 10_000, "project": 7},
    {"action": "TASKS_CREATED", "tasks": "all", "project": {"id": 1}},
    {"action": "TASKS_CREATED", "tasks": [None, {"id": "x"}, {"id": 2**70}], "project": {"id": 1}},
    {"action": "ANNOTATIONS_CREATED", "annotations": [{"task": {"id": 1}}, 5, None], "project": {"id": 1}},
    {"action": "ANNOTATION_CREATED", "annotation": "x", "task": [], "project": {"id": 1}},
    {"action": "PROJECT_UPDATED", "project": {"id": 1, "label_config": 7, "expert_instruction": 7}},
    {"action": "PROJECT_UPDATED", "project": {"id": 1, "label_config": "\ud800", "expert_instruction": ["x"]}},
]


@pytest.fixture
def seen(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> Callable[[Any], None]:
    """Looks at an answer: short JSON, no 5xx, nothing of the task in it or in the log."""
    client.post("/setup", json={"project": "1.1", "schema": CONFIG})
    caplog.set_level(logging.INFO)

    def look(answer: Any) -> None:
        assert answer.status_code < 500, answer.get_data(as_text=True)
        lines = "\n".join(JsonFormatter(tracebacks=False).format(record) for record in caplog.records)
        for text in (answer.get_data(as_text=True), lines):
            assert SECRET not in text
            assert "Traceback" not in text
        if answer.status_code >= 400:
            assert set(answer.json) == {"error", "id"}
            assert len(answer.json["error"]) < 300
            assert answer.json["id"] in lines

    return look


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", NO_OBJECTS)
def test_a_body_that_is_no_object(client: FlaskClient, seen: Callable[[Any], None], route: str, name: str) -> None:
    answer = client.post(route, data=NO_OBJECTS[name], content_type="application/json")
    seen(answer)
    assert answer.status_code == (201 if route == "/train" else 400)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_odd_values(client: FlaskClient, seen: Callable[[Any], None], route: str, body: dict[str, Any]) -> None:
    data = json.dumps(body)  # escapes keep lone surrogates and NUL as a client could send them
    seen(client.post(route, data=data, content_type="application/json"))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_the_content_type_does_not_matter(client: FlaskClient, content_type: str) -> None:
    data = json.dumps({"project": "1.1", "schema": CONFIG})
    assert client.post("/setup", data=data, content_type=content_type).status_code == 200


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = ["project", "tasks", "schema", "label_config", "params", "action", "task", "annotation", "annotations"]


@given(body=st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=5), project=st.sampled_from(["1.1", None]))
def test_no_object_makes_the_service_fail(body: dict[str, Any], project: str | None) -> None:
    client = create_app(_SHARED.parts()).test_client()
    body = {**body, **({"project": project} if project else {})}
    for route in ROUTES:
        answer = client.post(route, data=json.dumps(body), content_type="application/json")
        assert answer.status_code < 500, (route, answer.get_data(as_text=True))


_SHARED = Installation(deadline_s=0.0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/setup", 405), ("POST", "/health", 405), ("DELETE", "/predict", 405)],
)
def test_other_paths_and_methods(
    client: FlaskClient, seen: Callable[[Any], None], method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    seen(answer)
    assert ("Allow" in answer.headers) is (status == 405)


def test_a_request_that_is_too_large(installation: Installation, seen: Callable[[Any], None]) -> None:
    app = create_app(installation.parts())
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = app.test_client().post("/predict", data=b" " * 2000, content_type="application/json")
    assert answer.status_code == 413
    seen(answer)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (StoreError("The database is away."), 503, "The database is away."),
        (QueueError("Redis is away."), 503, "Redis is away."),
        (ConfigError("The config is odd."), 422, "The config is odd."),
        (TemplateError("No such template."), 500, "No such template."),
        (LabelStudioUnreachable("Label Studio is away."), 500, "Label Studio is away."),
        (PrelabelError("Something."), 500, "Something."),
        (ZeroDivisionError(SECRET), 500, "Something went wrong here: the log has it under this id."),
        (KeyError(SECRET), 500, "Something went wrong here: the log has it under this id."),
    ],
)
def test_an_error_is_told_in_one_sentence_with_an_id(
    installation: Installation,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    told: str,
) -> None:
    client = create_app(installation.parts()).test_client()

    def fail(*_: Any, **__: Any) -> None:
        raise error

    installation.store.versions = fail  # type: ignore[method-assign]
    answer = client.get("/versions")
    assert (answer.status_code, answer.json["error"]) == (status, told)
    (record,) = [r for r in caplog.records if r.message == "request failed"]
    line = json.loads(JsonFormatter(tracebacks=False).format(record))
    assert line["error_id"] == answer.json["id"]
    assert (line["path"], line["status"]) == ("/versions", status)
    assert line.get("error_type") == (type(error).__name__ if status >= 500 else None)
    assert SECRET not in json.dumps(line)
    assert "traceback" not in line
    assert ("traceback" in json.loads(JsonFormatter(tracebacks=True).format(record))) is (status >= 500)
