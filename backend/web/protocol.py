"""What Label Studio calls: `/`, `/health`, `/setup`, `/predict`, `/versions`, `/webhook`, `/train`; and `/metrics`.

Label Studio waits 1 s for `/health` and `/webhook`, 3 s for `/setup` and 100 s for `/predict`, all inside its own
web requests: nothing here waits for a model but `/predict`, for one or two tasks and a few seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from backend import __version__
from backend.core.errors import QueueError
from backend.core.log_fields import add_log_fields
from backend.core.text import storable
from backend.services.jobs import start_created
from backend.wiring import Parts

_log = logging.getLogger(__name__)
protocol = Blueprint("protocol", __name__)
MAX_EVENT_TASKS = 100_000
MOST_LOOKED_AT = 200  # tasks and annotations of one event
ANNOTATION_ACTIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"}
)


@protocol.get("/")
@protocol.get("/health")
def health() -> ResponseReturnValue:
    """From memory: a slow database must not make Label Studio call us disconnected."""
    return jsonify(status="UP", model_class="Prelabel", version=__version__, started_with=_parts().started_with)


@protocol.post("/setup")
def setup() -> ResponseReturnValue:
    """Remember the project's config and answer its current version."""
    body, parts = _body(), _parts()
    project_id = _project_id(body.get("project"))
    said = {"extra_params": body["extra_params"]} if "extra_params" in body else {}
    row, changed = parts.projects.remember(project_id, str(body.get("schema") or ""), **said)
    if changed:
        try:
            parts.queue.enqueue_sync(project_id)
        except QueueError:
            _log.exception("the project was not aligned", extra={"project": project_id})
    return jsonify(model_version=parts.projects.setup_version(row))


@protocol.post("/predict")
def predict() -> ResponseReturnValue:
    """One entry per task, in order: a prediction, or `[]` for "later"."""
    body, parts = _body(), _parts()
    tasks = body.get("tasks")
    if isinstance(tasks, Mapping):
        tasks = [tasks]
    if not isinstance(tasks, list):
        abort(400, "`tasks` must be a list.")
    params = body.get("params")
    context = params.get("context") if isinstance(params, Mapping) else None
    config = body.get("label_config")
    project_id = _project_id(body.get("project"))
    add_log_fields(**_told([i for task in tasks if (i := _id_of(task)) is not None]))
    results = parts.predictor.answer(
        project_id,
        tasks,
        config if isinstance(config, str) else None,
        interactive=bool(context),
    )
    return jsonify(results=results)


@protocol.get("/versions")
def versions() -> ResponseReturnValue:
    return jsonify(versions=_parts().store.versions())


@protocol.post("/webhook")
def webhook() -> ResponseReturnValue:
    """Note the event; what is to be done about it is queued. Label Studio does not try again."""
    body, parts = _body(), _parts()
    if not body:  # a command asks whether the secret is right
        return jsonify(status="nothing to note")
    action = body.get("action")
    if not isinstance(action, str) or not action:
        abort(400, "`action` is missing.")
    project = body.get("project")
    project_id = _id_of(project)
    task_ids = _task_ids(body)
    add_log_fields(project=project_id, **_told(task_ids))
    parts.store.add_event(project_id, storable(action), task_ids)
    if project_id is not None and isinstance(project, Mapping):
        _react(parts, action, project_id, project, body)
    return jsonify(status="noted"), 201


@protocol.post("/train")
def train() -> ResponseReturnValue:
    """Label Studio before 1.4.1 called this; there is nothing to start."""
    return jsonify(job=None, detail="There is no training to start: annotations arrive through the webhook."), 201


@protocol.get("/metrics")
def metrics() -> ResponseReturnValue:
    return Response(_parts().metrics.render(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _react(parts: Parts, action: str, project_id: int, project: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Of a project that is not known nothing is done."""
    known, task_ids = parts.store.project(project_id), _task_ids(body)
    if known is None:
        return
    if action in ANNOTATION_ACTIONS:
        _look_at_annotations(parts, project_id, task_ids, _annotation_ids(body))
    if action == "TASKS_CREATED" and task_ids:
        start_created(parts.store, parts.queue, known, task_ids)
    config = project.get("label_config")
    if action == "PROJECT_UPDATED" and isinstance(config, str):
        _, changed = parts.projects.remember(project_id, config, str(project.get("expert_instruction") or ""))
        if changed:
            parts.queue.enqueue_sync(project_id)


def _look_at_annotations(parts: Parts, project_id: int, task_ids: list[int], annotation_ids: list[int]) -> None:
    """The worker reads them from Label Studio: what stands in the body is believed of nobody. Many are left to the
    catching up, which reads in pages and is not cut off."""
    if len(task_ids) + len(annotation_ids) > MOST_LOOKED_AT:
        parts.queue.enqueue_catch_up(project_id)
    elif task_ids or annotation_ids:
        parts.queue.enqueue_annotations(project_id, task_ids, annotation_ids)


def _parts() -> Parts:
    parts: Parts = current_app.extensions["prelabel"]
    return parts


def _body() -> dict[str, Any]:
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:
        abort(400, "The body is nested too deeply.")
    if not isinstance(body, dict):
        abort(400, "The body must be a JSON object.")
    return body


def _project_id(raw: object) -> int:
    """Label Studio writes "<id>.<unix timestamp>"."""
    text = str(raw).partition(".")[0]
    if isinstance(raw, bool) or not text.isascii() or not text.isdigit() or len(text) > 9:
        abort(400, "`project` must be a project's id.")
    add_log_fields(project=int(text))
    return int(text)


def _told(task_ids: list[int]) -> dict[str, int]:
    """For the log: the task where it is one, else how many."""
    return {"task": task_ids[0]} if len(task_ids) == 1 else {"tasks": len(task_ids)}


def _id_of(raw: object) -> int | None:
    """An object's id, or the id itself."""
    value = raw.get("id") if isinstance(raw, Mapping) else raw
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _task_ids(body: Mapping[str, Any]) -> list[int]:
    """The ids of the tasks that an event is about, whatever its form."""
    annotations = (one.get("task") for one in _items(body, "annotation") if isinstance(one, Mapping))
    return _ids([*_items(body, "task"), *annotations])


def _annotation_ids(body: Mapping[str, Any]) -> list[int]:
    """The ids of the annotations that an event is about."""
    return _ids(_items(body, "annotation"))


def _items(body: Mapping[str, Any], name: str) -> list[Any]:
    """What an event holds under a name or its plural: Label Studio writes one, or a list, under either."""
    found = [body.get(name), body.get(f"{name}s")]
    items = [item for one in found for item in (one if isinstance(one, list) else [one])]
    return items[:MAX_EVENT_TASKS]


def _ids(items: list[Any]) -> list[int]:
    """The different ids among them, in their order."""
    return list(dict.fromkeys(i for item in items if (i := _id_of(item)) is not None))
