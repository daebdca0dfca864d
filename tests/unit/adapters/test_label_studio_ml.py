"""The annotator under label-studio-ml's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from label_studio_ml import api
from label_studio_ml.model import LabelStudioMLManager

from backend.adapters.label_studio_ml import PrelabelModel
from backend.adapters.templates import read_template
from backend.core.errors import ModelError, ModelServerError, ModelUnauthorized, StoreError
from backend.core.values import Reply, Request
from backend.services.annotate import Caller
from tests.fakes.function_model import FunctionModel
from tests.fakes.installation import AGENT, CONFIG, PROMPTS, Installation, by_mood
from tests.fakes.memory_media import MemoryMedia

TASKS = [{"id": 1, "data": {"text": "good"}}, {"id": 2, "data": {"text": "bad"}}, {"id": 3, "data": {}}]


@pytest.fixture
def behaviour() -> dict[str, Any]:
    """What the model does, under "answer"; a test may change it."""
    return {"answer": by_mood}


@pytest.fixture
def client(behaviour: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    async def sleep(seconds: float) -> None:
        return None

    def answer(request: Request) -> Reply | ModelError:
        given: Reply | ModelError = behaviour["answer"](request)
        return given

    @asynccontextmanager
    async def caller() -> AsyncIterator[Caller]:
        yield Caller(model=FunctionModel(answer), media=MemoryMedia(), sleep=sleep, random=lambda: 0.0)

    monkeypatch.setattr(LabelStudioMLManager, "_current_model", {})
    app = api.init_app(
        PrelabelModel,
        model_dir=str(tmp_path),
        agent=AGENT,
        template_source=read_template(PROMPTS, AGENT.template),
        caller=caller,
    )
    with app.test_client() as client:
        yield client


def predict(client: FlaskClient, config: str = CONFIG) -> Any:
    setup = client.post("/setup", json={"project": "1.1", "schema": config, "hostname": "", "access_token": ""})
    assert setup.status_code == 200, setup.get_data(as_text=True)
    answer = client.post("/predict", json={"tasks": TASKS, "project": "1.1", "label_config": config, "params": {}})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json["results"]


def test_health(client: FlaskClient) -> None:
    assert client.get("/health").json["status"] == "UP"


def test_predictions_come_in_order_and_a_task_without_data_is_score_0(client: FlaskClient) -> None:
    good, bad, empty = predict(client)
    assert [entry["result"][0]["value"]["choices"] for entry in (good, bad)] == [["positive"], ["negative"]]
    assert (empty["result"], empty["score"]) == ([], 0.0)
    assert {entry["model_version"] for entry in (good, bad, empty)} == {good["model_version"]}
    assert good["model_version"].startswith("tests@")


@pytest.mark.parametrize("tag", ["Text", "Image", "Pdf"])
def test_the_version_is_that_of_the_service(client: FlaskClient, tag: str) -> None:
    config = CONFIG.replace("<Text", f"<{tag}")
    row, _ = Installation().projects.remember(1, config)
    assert {entry["model_version"] for entry in predict(client, config)} == {row.version}


def test_a_failing_model_fails_its_tasks_and_not_the_request(client: FlaskClient, behaviour: dict[str, Any]) -> None:
    behaviour["answer"] = lambda request: ModelServerError("down")
    assert [entry["score"] for entry in predict(client)] == [0.0, 0.0, 0.0]


def test_a_bad_key_fails_the_tasks_and_not_the_request(client: FlaskClient, behaviour: dict[str, Any]) -> None:
    """That server answers an exception with its traceback, task text included."""
    behaviour["answer"] = lambda request: ModelUnauthorized("The key is refused.")
    good, bad, without_data = predict(client)
    assert (good, bad) == ([], [])
    assert without_data["score"] == 0.0


def test_a_database_that_fails_fails_the_tasks_and_not_the_request(
    client: FlaskClient, behaviour: dict[str, Any]
) -> None:
    def away(_: Request) -> Reply:
        raise StoreError("The database does not answer.")

    behaviour["answer"] = away
    good, bad, without_data = predict(client)
    assert (good, bad) == ([], [])
    assert without_data["score"] == 0.0


def test_an_unsupported_config_gives_no_labels(client: FlaskClient) -> None:
    config = '<View><Text name="t" value="$text"/><Ranker name="r" toName="t"/></View>'
    assert [entry["result"] for entry in predict(client, config)] == [[], [], []]


def test_an_annotation_starts_no_training_that_fails(client: FlaskClient) -> None:
    assert PrelabelModel.fit is not None
    predict(client)
    model = LabelStudioMLManager._current_model.model
    assert model.process_event("ANNOTATION_CREATED", {}, "job", {}) == {}
