"""What Label Studio calls, and what it is answered."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from backend.core.errors import StoreError
from backend.web.app import create_app
from tests.fakes.installation import CONFIG, Installation


class TestAsLabelStudioMl:
    """The API tests of label-studio-ml-backend, over HTTP."""

    def test_health(self, client: FlaskClient) -> None:
        answer = client.get("/health")
        assert answer.status_code == 200
        assert answer.json["status"] == "UP"
        assert answer.json["model_class"]

    def test_metrics(self, client: FlaskClient) -> None:
        assert client.get("/metrics").status_code == 200

    def test_predict_with_one_task_as_an_object_and_an_empty_config(self, client: FlaskClient) -> None:
        body = {
            "tasks": {"id": 1},
            "label_config": "<View></View>",
            "project": "1.1000000000",
            "params": {"context": {}},
        }
        answer = client.post("/predict", json=body)
        assert (answer.status_code, answer.json) == (200, {"results": [[]]})

    @pytest.mark.parametrize("extra_params", [{}, None, "text", '{"a": 1}'])
    def test_setup(self, client: FlaskClient, extra_params: Any) -> None:
        body = {"project": "1.1000000000", "schema": "<View></View>", "extra_params": extra_params}
        answer = client.post("/setup", json=body)
        assert answer.status_code == 200
        assert isinstance(answer.json["model_version"], str)

    def test_webhook(self, client: FlaskClient) -> None:
        body = {"action": "ANNOTATION_CREATED", "project": {"id": 1, "label_config": "<View></View>"}}
        assert client.post("/webhook", json=body).status_code == 201


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_touches_neither_database_nor_redis(installation: Installation, path: str) -> None:
    client = create_app(installation.parts()).test_client()

    def fail(*_: Any, **__: Any) -> None:
        raise StoreError("touched")

    installation.store._begin = fail  # type: ignore[method-assign,assignment]
    installation.queue.reachable = False
    assert client.get(path).status_code == 200


class TestSetup:
    def test_answers_the_version_of_the_predictions(self, client: FlaskClient, installation: Installation) -> None:
        project_id, _ = installation.project("good")
        body = {"project": f"{project_id}.1700000000", "schema": CONFIG}
        version = client.post("/setup", json=body).json["model_version"]
        installation.run(project_id)
        written = installation.labels.projects[project_id].predictions.values()
        assert {p.model_version for p in written} == {version}

    def test_a_change_is_aligned_by_a_worker_and_the_same_again_is_not(
        self, client: FlaskClient, installation: Installation
    ) -> None:
        project_id, _ = installation.project("good")
        body = {"project": f"{project_id}.1700000000", "schema": CONFIG}
        for _ in range(3):
            client.post("/setup", json=body)
        assert [m.work for m in installation.queue.messages] == ["sync_project"]

    def test_answers_without_redis(self, client: FlaskClient, installation: Installation) -> None:
        installation.queue.reachable = False
        answer = client.post("/setup", json={"project": "1.1", "schema": CONFIG})
        assert answer.status_code == 200
        assert answer.json["model_version"].startswith("tests@")

    def test_an_unsupported_config_gets_a_version_too(self, client: FlaskClient) -> None:
        """A null one would switch off Label Studio's own deduplication."""
        answer = client.post("/setup", json={"project": "1.1", "schema": "no XML"})
        assert answer.json == {"model_version": "tests@unsupported"}

    def test_the_token_that_comes_along_is_not_kept(
        self, client: FlaskClient, installation: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        client.post("/setup", json={"project": "1.1", "schema": CONFIG, "access_token": "tok123secret"})
        assert "tok123secret" not in caplog.text
        assert "tok123secret" not in repr(installation.store.project(1))


class TestPredict:
    def test_one_entry_a_task_in_order(self, client: FlaskClient, installation: Installation) -> None:
        project_id, task_ids = installation.project("good", "bad", "fine")
        installation.run(project_id)
        installation.labels.projects[project_id].predictions.clear()
        installation.clock.sleep(60)
        tasks = installation.raw_tasks(project_id, task_ids)
        body = {"tasks": [tasks[2], {"id": 999, "data": {"text": "new"}}, tasks[1]], "project": f"{project_id}.17"}
        results = client.post("/predict", json={**body, "label_config": CONFIG}).json["results"]
        chosen = [r["result"][0]["value"]["choices"] if r else r for r in results]
        assert chosen == [["positive"], [], ["negative"]]

    @pytest.mark.parametrize("params", [None, {}, [], "x", {"context": None}, {"context": {}}])
    def test_not_interactive(self, client: FlaskClient, installation: Installation, params: Any) -> None:
        """A stored prediction is handed over: the next one that asks at once gets none."""
        project_id, task_ids = installation.project("good")
        installation.run(project_id)
        installation.labels.projects[project_id].predictions.clear()
        installation.clock.sleep(60)
        tasks = installation.raw_tasks(project_id, task_ids)
        body = {"tasks": tasks, "project": str(project_id), "label_config": CONFIG, "params": params}
        assert [bool(client.post("/predict", json=body).json["results"][0]) for _ in range(2)] == [True, False]

    def test_interactive(self, client: FlaskClient, installation: Installation) -> None:
        project_id, task_ids = installation.project("good")
        installation.run(project_id)
        tasks = installation.raw_tasks(project_id, task_ids)
        body = {"tasks": tasks, "project": str(project_id), "params": {"context": {"result": []}}}
        assert [bool(client.post("/predict", json=body).json["results"][0]) for _ in range(2)] == [True, True]

    def test_without_redis_and_with_nothing_stored(self, client: FlaskClient, installation: Installation) -> None:
        installation.queue.reachable = False
        body = {"tasks": [{"id": 1, "data": {"text": "x"}}], "project": "1.1", "label_config": CONFIG}
        answer = client.post("/predict", json=body)
        assert answer.status_code == 503
        assert "REDIS_URL" in answer.json["error"]

    def test_300_tasks_are_acknowledged_quickly(self, client: FlaskClient) -> None:
        tasks = [{"id": n, "data": {"text": f"text {n}"}, "predictions": []} for n in range(1, 301)]
        body = {"tasks": tasks, "project": "1.1", "label_config": CONFIG}
        started = time.monotonic()
        assert client.post("/predict", json=body).json == {"results": [[]] * 300}
        assert time.monotonic() - started < 5  # far below Label Studio's 100 s; the benchmark measures


class TestWebhook:
    def test_events_are_counted_by_action(self, client: FlaskClient, installation: Installation) -> None:
        for action in ("ANNOTATION_CREATED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            body = {"action": action, "project": {"id": 5}, "task": {"id": 7}, "annotation": {"task": 7}}
            assert client.post("/webhook", json=body).status_code == 201
        assert installation.store.event_counts(5) == {"ANNOTATION_CREATED": 2, "ANNOTATION_UPDATED": 1}

    def test_an_unknown_action_is_noted(self, client: FlaskClient, installation: Installation) -> None:
        assert client.post("/webhook", json={"action": "X" * 500, "project": {"id": 5}}).status_code == 201
        assert installation.store.event_counts(5) == {"X" * 60: 1}

    @pytest.mark.parametrize("switched_on", [False, True])
    def test_created_tasks_start_only_where_it_is_switched_on(
        self, client: FlaskClient, installation: Installation, switched_on: bool
    ) -> None:
        project_id, _ = installation.project("good")
        row = installation.projects.sync(installation.labels, project_id)
        installation.store.save_project(type(row)(**{**vars(row), "auto_start": switched_on}))
        (new,) = installation.labels.add_tasks(project_id, [{"text": "bad"}])
        body = {"action": "TASKS_CREATED", "tasks": [{"id": new}], "project": {"id": project_id}}
        assert client.post("/webhook", json=body).status_code == 201
        installation.work_off()
        assert installation.choices(project_id)[new] == (["negative"] if switched_on else [])

    def test_an_updated_project_is_remembered(self, client: FlaskClient, installation: Installation) -> None:
        project_id, _ = installation.project("good")
        before = installation.projects.sync(installation.labels, project_id)
        project = {"id": project_id, "label_config": CONFIG, "expert_instruction": "<p>Be strict.</p>"}
        client.post("/webhook", json={"action": "PROJECT_UPDATED", "project": project})
        after = installation.store.project(project_id)
        assert after is not None
        assert after.instructions == "Be strict."
        assert after.version != before.version
        assert [m.work for m in installation.queue.messages] == ["sync_project"]

    def test_a_project_that_was_never_set_up_is_not_begun(
        self, client: FlaskClient, installation: Installation
    ) -> None:
        body = {"action": "TASKS_CREATED", "tasks": [{"id": 1}], "project": {"id": 5, "label_config": CONFIG}}
        client.post("/webhook", json=body)
        assert installation.store.project(5) is None
        assert not installation.queue.messages


def test_versions_are_those_of_the_projects(client: FlaskClient) -> None:
    assert client.get("/versions").json == {"versions": []}
    version = client.post("/setup", json={"project": "1.1", "schema": CONFIG}).json["model_version"]
    assert client.get("/versions").json == {"versions": [version]}


def test_train_says_that_there_is_nothing_to_start(client: FlaskClient) -> None:
    assert client.post("/train", json={}).status_code == 201


class TestMetrics:
    def read(self, client: FlaskClient) -> dict[tuple[str, ...], float]:
        text = client.get("/metrics").get_data(as_text=True)
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_count_tasks_and_messages(self, client: FlaskClient, installation: Installation) -> None:
        project_id, _ = installation.project("good", "bad")
        installation.run(project_id)
        installation.queue.enqueue_sync(project_id)
        found = self.read(client)
        assert found["prelabel_tasks", str(project_id), "done"] == 2
        assert found["prelabel_tasks", str(project_id), "failed"] == 0
        assert found["prelabel_queue_messages", "interactive", "waiting"] == 1
        assert found["prelabel_up", "redis"] == found["prelabel_up", "database"] == 1

    def test_without_redis(self, client: FlaskClient, installation: Installation) -> None:
        installation.queue.reachable = False
        found = self.read(client)
        assert (found["prelabel_up", "redis"], found["prelabel_up", "database"]) == (0, 1)


class TestAnnotations:
    def body(self, project_id: int, action: str, **content: Any) -> dict[str, Any]:
        return {"action": action, "project": {"id": project_id, "label_config": CONFIG}, **content}

    @pytest.mark.parametrize(
        ("action", "content", "arguments"),
        [
            ("ANNOTATION_CREATED", {"annotation": {"id": 5, "task": 7}, "task": {"id": 7, "data": {}}}, ([7], [5])),
            ("ANNOTATION_UPDATED", {"annotation": {"id": 5, "task": 7}}, ([7], [5])),
            (
                "ANNOTATIONS_CREATED",
                {"annotation": [{"id": 5, "task": 7}, {"id": 6, "task": 8}], "task": [{"id": 7}, {"id": 8}]},
                ([7, 8], [5, 6]),
            ),
            ("ANNOTATIONS_DELETED", {"annotations": [{"id": 5}, {"id": 6}]}, ([], [5, 6])),
        ],
    )
    def test_ids_are_queued(
        self,
        client: FlaskClient,
        installation: Installation,
        action: str,
        content: dict[str, Any],
        arguments: tuple[list[int], list[int]],
    ) -> None:
        project_id, _ = installation.project("good")
        installation.projects.remember(project_id, CONFIG)
        assert client.post("/webhook", json=self.body(project_id, action, **content)).status_code == 201
        (message,) = installation.queue.messages
        assert (message.work, message.arguments) == ("look_at_annotations", (project_id, *arguments))
        assert installation.store.event_counts(project_id) == {action: 1}

    def test_a_submitted_annotation_is_compared(self, client: FlaskClient, installation: Installation) -> None:
        project_id, (task_id,) = installation.project("good")
        installation.run(project_id)
        region = {"id": "a", "from_name": "sentiment", "to_name": "text", "type": "choices"}
        made = installation.labels.annotate(task_id, [{**region, "value": {"choices": ["negative"]}}])
        content = {"annotation": {"id": made, "task": task_id, "result": "of no interest"}}
        client.post("/webhook", json=self.body(project_id, "ANNOTATION_CREATED", **content))
        installation.work_off()
        (found,) = installation.store.verifications(project_id)
        assert (found.annotation_id, found.outcome) == (made, "corrected")
        installation.labels.delete_annotation(made)
        client.post("/webhook", json=self.body(project_id, "ANNOTATIONS_DELETED", annotations=[{"id": made}]))
        installation.work_off()
        assert list(installation.store.verifications(project_id)) == []

    def test_many_are_left_to_the_catching_up(self, client: FlaskClient, installation: Installation) -> None:
        project_id, _ = installation.project("good")
        installation.projects.remember(project_id, CONFIG)
        many = [{"id": n} for n in range(1, 50_000)]
        client.post("/webhook", json=self.body(project_id, "ANNOTATIONS_DELETED", annotations=many))
        assert [m.work for m in installation.queue.messages] == ["catch_up"]

    @pytest.mark.parametrize(
        "content",
        [
            {},
            {"annotation": None},
            {"annotation": 1.5, "task": "7"},
            {"annotation": {"id": "5", "task": []}},
            {"annotations": "abc", "tasks": {"id": -1}},
            {"annotation": [[{"id": 5}]], "task": [None, True]},
        ],
    )
    def test_what_names_nothing_queues_nothing(
        self, client: FlaskClient, installation: Installation, content: dict[str, Any]
    ) -> None:
        project_id, _ = installation.project("good")
        installation.projects.remember(project_id, CONFIG)
        body = self.body(project_id, "ANNOTATION_CREATED", **content)
        assert client.post("/webhook", json=body).status_code == 201
        assert not installation.queue.messages

    def test_of_an_unknown_project_nothing_is_looked_at(self, client: FlaskClient, installation: Installation) -> None:
        body = self.body(77, "ANNOTATION_CREATED", annotation={"id": 5, "task": 7})
        assert client.post("/webhook", json=body).status_code == 201
        assert not installation.queue.messages
        assert installation.store.event_counts(77) == {"ANNOTATION_CREATED": 1}
