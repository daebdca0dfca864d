"""Every kind of request that Label Studio 1.23.2 sends, as it was recorded, gets a valid answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.labeling.parsing import parse_config
from backend.web.app import create_app
from tests.fakes.installation import Installation, replying

ANSWER = json.dumps({"ner": [{"text": "John", "label": "PER"}], "sentiment": "Positive", "why": "No reason."})


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((shared_data / "label_studio/requests_1.23.2.json").read_text())
    return found


def send(client: FlaskClient, name: str, request: dict[str, Any]) -> Any:
    method, path = name.split()[:2]
    headers = {k: v for k, v in request["headers"].items() if k.lower() != "content-length"}
    return client.open(path, method=method, headers=headers, json=request["body"])


def is_valid(name: str, request: dict[str, Any], answer: Any) -> bool:
    """As `label_studio.ml` reads it: an entry a task, each `[]` or a prediction that the SDK's check accepts."""
    if not name.startswith("POST /predict"):
        return answer.status_code == (201 if "/webhook" in name else 200) and isinstance(answer.json, dict)
    entries = answer.json["results"]
    config = parse_config(request["body"]["label_config"])
    return len(entries) == len(request["body"]["tasks"]) and all(
        entry == []
        or (isinstance(entry["model_version"], str) and config.validate(entry["result"], entry.get("score")) == [])
        for entry in entries
    )


def test_each_by_itself(recorded: dict[str, dict[str, Any]]) -> None:
    for name, request in recorded.items():
        client = create_app(Installation(deadline_s=0.1).parts()).test_client()
        assert is_valid(name, request, send(client, name, request)), name


def test_in_their_order_with_a_worker(recorded: dict[str, dict[str, Any]]) -> None:
    """The project is Label Studio's number 17; after the worker's turn, the tasks have real predictions."""
    installation = Installation(lambda r: replying(ANSWER), chunk_size=10)
    client = create_app(installation.parts()).test_client()
    setup = recorded["POST /setup"]["body"]
    number = installation.labels.add_project(setup["schema"])
    installation.labels.projects[17] = installation.labels.projects.pop(number)
    installation.labels.projects[17].tasks.update({363: {"text": "John works at Acme."}, 364: {"text": "two"}})
    for name, request in recorded.items():
        assert is_valid(name, request, send(client, name, request)), name
        for message in [m for m in installation.queue.messages if m.work == "annotate_chunk"]:
            installation.queue.messages.remove(message)
            installation.handle(message)
    interactive = recorded["POST /predict (interactive)"]
    (entry,) = send(client, "POST /predict", interactive).json["results"]
    assert {region["from_name"] for region in entry["result"]} == {"ner", "sentiment", "why"}
    # START_TRAINING comes with Basic auth and as a project id; the others as a whole project.
    counted = installation.store.event_counts(17)
    webhooks = [name.split()[-1] for name in recorded if "/webhook" in name]
    assert set(counted) == set(webhooks)


def test_the_annotations_of_recorded_events_are_looked_at(recorded: dict[str, dict[str, Any]]) -> None:
    installation = Installation()
    client = create_app(installation.parts()).test_client()
    send(client, "POST /setup", recorded["POST /setup"])
    for name in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"):
        send(client, f"POST /webhook {name}", recorded[f"POST /webhook {name}"])
    looked_at = [m.arguments for m in installation.queue.messages if m.work == "look_at_annotations"]
    assert looked_at == [(17, [363], [2]), (17, [363], [2]), (17, [], [2])]


def test_predictions_of_the_current_version_in_a_request_are_seen(recorded: dict[str, dict[str, Any]]) -> None:
    installation = Installation(deadline_s=0.1)
    client = create_app(installation.parts()).test_client()
    version = send(client, "POST /setup", recorded["POST /setup"]).json["model_version"]
    body = json.loads(json.dumps(recorded["POST /predict (interactive)"]["body"]))
    body["params"]["context"] = None
    body["tasks"][0]["predictions"][0]["model_version"] = version
    installation.queue.messages.clear()
    assert client.post("/predict", json=body).json == {"results": [[]]}
    assert not [m for m in installation.queue.messages if m.work == "annotate_chunk"]
