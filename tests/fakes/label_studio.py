"""Label Studio's HTTP API, as much of it as the product calls, over `MemoryLabels`.

A WSGI application: `httpx.WSGITransport(app=application(labels))` needs no socket, `serving(labels)` opens one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

from backend.core.errors import LabelStudioError, LabelStudioUnauthorized, LabelStudioUnreachable
from backend.core.values import Prediction
from backend.ports.labels import Annotation, NewTask
from tests.fakes.memory_labels import MemoryLabels

KEY = "a-legacy-token"


def application(labels: MemoryLabels) -> Flask:
    """The application. A call without the key gets 401; `labels.reachable` False is a 502."""
    app = Flask("label-studio", static_folder=None)
    app.register_error_handler(LabelStudioError, _answer_error)

    @app.before_request
    def check_key() -> ResponseReturnValue | None:
        if request.headers.get("Authorization") == f"Token {KEY}":
            return None
        return jsonify(status_code=401, detail="Invalid token."), 401

    _installation(app, labels)
    _projects(app, labels)
    _tasks(app, labels)
    _predictions(app, labels)
    _backends(app, labels)
    _webhooks(app, labels)
    _tabs(app, labels)
    return app


def _installation(app: Flask, labels: MemoryLabels) -> None:
    @app.get("/api/version")
    def version() -> ResponseReturnValue:
        return {"release": labels.version()}

    @app.get("/api/current-user/whoami")
    def whoami() -> ResponseReturnValue:
        return {"email": labels.whoami()}

    @app.get("/api/users")
    def users() -> ResponseReturnValue:
        return jsonify([{"id": user, "first_name": name, "email": "x"} for user, name in labels.people().items()])


def _projects(app: Flask, labels: MemoryLabels) -> None:
    @app.get("/api/projects/<int:number>")
    def project(number: int) -> ResponseReturnValue:
        found = labels.project(number)
        return {
            "id": found.id,
            "title": found.title,
            "label_config": found.label_config,
            "expert_instruction": found.instructions,
            "model_version": found.model_version or "",
            "task_number": found.task_count,
            "total_annotations_number": labels.annotation_total(number) - _skipped(labels, number),
            "skipped_annotations_number": _skipped(labels, number),
        }

    @app.patch("/api/projects/<int:number>")
    def set_project(number: int) -> ResponseReturnValue:
        labels.set_project(number, request.json or {})
        return project(number)

    @app.get("/api/projects/<int:number>/model-versions")
    def versions(number: int) -> ResponseReturnValue:
        return dict(labels.version_counts(number))

    @app.get("/api/tasks")
    def tasks() -> ResponseReturnValue:
        number, query = int(request.args["project"]), json.loads(request.args["query"])
        if "annotations" in request.args["include"]:
            return {"tasks": _annotated_page(labels, number, query)[: int(request.args["page_size"])]}
        if _changed(query):
            found = [task.id for task in labels.changed_tasks(number, [], since=datetime.now(UTC))]
        else:
            found = list(labels.task_ids(number, **_wanted(query)))
        labels.project(number)
        if query.get("ordering") == ["-tasks:id"]:
            found.reverse()
        all_data = labels.projects[number].tasks
        page = [{"id": task_id, "data": all_data[task_id]} for task_id in found]
        return {"tasks": page[: int(request.args["page_size"])], "total": len(page)}


def _tasks(app: Flask, labels: MemoryLabels) -> None:
    @app.post("/api/projects/<int:number>/import")
    def import_tasks(number: int) -> ResponseReturnValue:
        found = [
            NewTask(
                data=item["data"],
                model_version=prediction["model_version"],
                result=tuple(prediction["result"]),
                score=prediction.get("score"),
            )
            for item in request.get_json()
            for prediction in item["predictions"]
        ]
        ids = labels.import_tasks(number, found)
        return {"task_count": len(ids)} | ({"task_ids": ids} if "return_task_ids" in request.args else {}), 201

    @app.post("/api/dm/actions")
    def delete_tasks() -> ResponseReturnValue:
        assert request.args["id"] == "delete_tasks"
        selected = request.get_json()["selectedItems"]
        assert selected["included"]
        assert selected["all"] is False
        labels.delete_tasks(int(request.args["project"]), selected["included"])
        return {"processed_items": len(selected["included"])}

    @app.patch("/api/tasks/<int:task_id>/")
    def change_task(task_id: int) -> ResponseReturnValue:
        labels.set_overlap(task_id, request.get_json()["overlap"])
        return {"id": task_id}


def _skipped(labels: MemoryLabels, number: int) -> int:
    tasks = labels.annotated_tasks(number, list(labels.projects[number].tasks))
    return sum(annotation.was_cancelled for task in tasks for annotation in task.annotations)


def _annotated_page(labels: MemoryLabels, number: int, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks with their annotations and predictions, or with the numbers of their annotations."""
    if request.args["fields"] == "all":
        found = labels.annotated_tasks(number, query["selectedItems"]["included"])
        included = request.args["include"].split(",")
        return [
            {
                "id": task.id,
                "data": task.data,
                "annotations": [
                    {name: value for name, value in _annotation(one).items() if name in included}
                    for one in task.annotations
                ],
                "predictions": [
                    {"id": p.id, "model_version": p.version, "result": p.result, "created_at": _iso(p.created_at)}
                    for p in task.predictions
                ],
            }
            for task in found
        ]
    labels.project(number)
    after, condition = query["filters"]["items"]
    changed = condition["filter"] == "filter:tasks:updated_at"
    page = []
    for task in labels.annotated_tasks(number, list(labels.projects[number].tasks)):
        skipped = sum(annotation.was_cancelled for annotation in task.annotations)
        counts = {"total_annotations": len(task.annotations) - skipped, "cancelled_annotations": skipped}
        wanted = task.id in labels.changed if changed else counts[condition["filter"].rpartition(":")[2]] > 0
        if wanted and task.id > after["value"]:
            page.append({"id": task.id, **counts})
    return page


def _annotation(one: Annotation) -> dict[str, Any]:
    """As the API writes it; what it holds in place of `lead_time_s` and `annotator_id`."""
    told = {name: value for name, value in vars(one).items() if name not in ("lead_time_s", "annotator_id")}
    times = {name: _iso(getattr(one, name)) for name in ("created_at", "updated_at")}
    return {**told, **times, "lead_time": one.lead_time_s, "completed_by": one.annotator_id}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _wanted(query: dict[str, Any]) -> dict[str, Any]:
    """The query as a view, and the version that its tasks are to lack."""
    filters = query.get("filters") or {"conjunction": "and", "items": []}
    by_version = [i for i in filters["items"] if i["filter"] == "filter:tasks:predictions_model_versions"]
    others = [item for item in filters["items"] if item not in by_version]
    view = {"filters": {**filters, "items": others}, "selectedItems": query.get("selectedItems")}
    return {"view": view, "without_version": by_version[0]["value"][0] if by_version else None}


def _changed(query: dict[str, Any]) -> bool:
    items = query.get("filters", {}).get("items", [])
    return any(
        item["filter"] == "filter:tasks:updated_at" and datetime.fromisoformat(item["value"]).tzinfo for item in items
    )


def _predictions(app: Flask, labels: MemoryLabels) -> None:
    @app.post("/api/projects/<int:number>/import/predictions")
    def import_predictions(number: int) -> ResponseReturnValue:
        sent = request.get_json()
        if [item["task"] for item in sent] == [-1]:
            return _refused("task ID -1 not found in project" if labels.fast else "Invalid task ID -1")
        return {"created": labels.import_predictions(number, [_prediction(item) for item in sent])}, 201

    @app.get("/api/predictions")
    def predictions() -> ResponseReturnValue:
        number = int(request.args["project"])
        found = labels.predictions(number, int(request.args["task"]))
        return jsonify([{"id": p.id, "task": p.task_id, "model_version": p.model_version} for p in found])

    @app.post("/api/predictions")
    def create() -> ResponseReturnValue:
        return {"id": labels.create_prediction(_prediction(request.get_json()))}, 201

    @app.patch("/api/predictions/<int:number>")
    def update(number: int) -> ResponseReturnValue:
        labels.update_prediction(number, _prediction({"task": 0, "model_version": "", **request.get_json()}))
        return {"id": number}

    @app.delete("/api/predictions/<int:number>")
    def delete(number: int) -> ResponseReturnValue:
        labels.delete_prediction(number)
        return Response(status=204)


def _backends(app: Flask, labels: MemoryLabels) -> None:
    def told(number: int, backend_id: int) -> dict[str, Any]:
        backend = next(b for b in labels.backends(number) if b.id == backend_id)
        secrets = {k: v for k, v in labels.projects[number].secrets[backend_id].items() if k != "basic_auth_pass"}
        return {"project": number, **vars(backend), "error_message": backend.error, **secrets}

    @app.get("/api/ml")
    def backends() -> ResponseReturnValue:
        number = int(request.args["project"])
        return jsonify([told(number, backend.id) for backend in labels.backends(number)])

    @app.get("/api/ml/<int:backend_id>")
    def backend(backend_id: int) -> ResponseReturnValue:
        return told(_project_of(labels, "backends", backend_id), backend_id)

    @app.post("/api/ml")
    def connect() -> ResponseReturnValue:
        fields = request.get_json()
        if fields["project"] not in labels.projects:
            return _address_refused(labels.blocks_backends) or _no_such_project(fields["project"])
        return told(fields["project"], labels.save_backend(fields["project"], None, fields).id), 201

    @app.patch("/api/ml/<int:backend_id>")
    def change(backend_id: int) -> ResponseReturnValue:
        fields, number = request.get_json(), _project_of(labels, "backends", backend_id)
        if "url" not in fields:
            return jsonify(detail="MLBackend.healthcheck_() missing 1 required positional argument: 'url'"), 500
        known = labels.projects[number].secrets[backend_id]
        if not fields.get("basic_auth_pass") and fields.get("auth_method") == "BASIC_AUTH":
            fields["basic_auth_pass"] = known["basic_auth_pass"]
        labels.save_backend(number, backend_id, fields)
        return told(number, backend_id)


def _webhooks(app: Flask, labels: MemoryLabels) -> None:
    @app.get("/api/webhooks/")
    def webhooks() -> ResponseReturnValue:
        found = labels.webhooks(int(request.args["project"]))
        return jsonify([{"id": w.id, "url": w.url, "is_active": w.active, "headers": dict(w.headers)} for w in found])

    @app.post("/api/webhooks/")
    def add_webhook() -> ResponseReturnValue:
        fields = request.get_json()
        if fields["project"] not in labels.projects:
            return _address_refused(labels.blocks_webhooks) or _no_such_project(fields["project"])
        labels.save_webhook(fields["project"], None, fields)
        return {}, 201

    @app.patch("/api/webhooks/<int:number>/")
    def change_webhook(number: int) -> ResponseReturnValue:
        labels.save_webhook(_project_of(labels, "webhooks", number), number, request.get_json())
        return {}

    @app.delete("/api/webhooks/<int:number>/")
    def delete_webhook(number: int) -> ResponseReturnValue:
        labels.delete_webhook(number)
        return Response(status=204)


def _tabs(app: Flask, labels: MemoryLabels) -> None:
    @app.get("/api/dm/views")
    def tabs() -> ResponseReturnValue:
        found = labels.tabs(int(request.args["project"]))
        return jsonify([{"id": tab.id, "data": dict(tab.data)} for tab in found])

    @app.post("/api/dm/views")
    def add_tab() -> ResponseReturnValue:
        fields = request.get_json()
        tab = labels.save_tab(fields["project"], None, fields["data"])
        return {"id": tab.id, "data": dict(tab.data)}, 201

    @app.patch("/api/dm/views/<int:number>")
    def change_tab(number: int) -> ResponseReturnValue:
        tab = labels.save_tab(_project_of(labels, "tabs", number), number, request.get_json()["data"])
        return {"id": tab.id, "data": dict(tab.data)}


def _project_of(labels: MemoryLabels, kind: str, number: int) -> int:
    return labels._having(kind, number).project.id


def _prediction(item: dict[str, Any]) -> Prediction:
    return Prediction(
        task_id=item["task"],
        model_version=item["model_version"],
        result=tuple(item["result"]),
        score=item.get("score"),
    )


def _address_refused(blocked: bool) -> ResponseReturnValue | None:
    """The address is looked at before anything else."""
    detail = "URL resolves to a reserved network address (block: 127.0.0.0/8)"
    return (jsonify(status_code=403, detail=detail), 403) if blocked else None


def _no_such_project(number: int) -> ResponseReturnValue:
    reasons = {"project": [f'Invalid pk "{number}" - object does not exist.']}
    return jsonify(status_code=400, detail="Validation error", validation_errors=reasons), 400


def _refused(detail: str) -> ResponseReturnValue:
    return jsonify(status_code=400, detail="Validation error", validation_errors={"non_field_errors": [detail]}), 400


def _answer_error(error: LabelStudioError) -> ResponseReturnValue:
    if isinstance(error, LabelStudioUnreachable):
        return "<html>Bad gateway</html>", 502
    if isinstance(error, LabelStudioUnauthorized):
        return jsonify(status_code=401, detail="Invalid token."), 401
    if error.status == 400:
        return _refused(error.detail)
    return jsonify(status_code=error.status, detail=error.detail or str(error)), error.status or 500


@contextmanager
def serving(labels: MemoryLabels) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; the URL."""
    server = make_server("127.0.0.1", 0, application(labels), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
