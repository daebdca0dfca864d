"""Label Studio's HTTP API. Every error that leaves here is a `LabelStudioError` with one sentence and the next step.

httpx rather than the SDK's client: half of the calls (Data Manager tabs, `import/predictions`, trimmed task pages,
webhook headers) are not in it. What was learnt of Label Studio's behaviour stands beside the call that it concerns.
"""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from backend.adapters.label_studio_annotations import AnnotationReading
from backend.adapters.label_studio_tasks import TaskWriting
from backend.adapters.task_views import task_filter, unique, view_queries
from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
)
from backend.core.values import JSON, Prediction, Task
from backend.ports.labels import Backend, Project, Tab, Webhook, WrittenPrediction

PAGE_SIZE = 500  # 0.3 s a page on a project of 10,000 tasks; larger ones take as long for each task
_NO_PROJECT = 2_000_000_000  # an id that no project has
_OF_A_PROJECT = {"/api/tasks", "/api/ml", "/api/webhooks/", "/api/dm/views", "/api/dm/actions"}
_SOON_S = 10.0  # for what is not needed
_MOST_NAME_CHARS = 80
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL)
_TIMEOUT_S = 120.0  # a predictions import of thousands takes seconds on SQLite


class LabelStudioApi(AnnotationReading, TaskWriting):
    """`backend.ports.labels.Labels` over HTTP, with a legacy token or a personal access token."""

    def __init__(
        self, url: str, key: str, *, timeout_s: float = _TIMEOUT_S, transport: httpx.BaseTransport | None = None
    ) -> None:
        key = key.strip()  # a line end that was pasted along fits no header
        self._kind = "personal access token" if _is_jwt(key) else "legacy token"
        try:
            auth = _RefreshAuth(url, key) if _is_jwt(key) else _TokenAuth(key)
            self._client = httpx.Client(base_url=url, auth=auth, timeout=timeout_s, transport=transport)
        except httpx.InvalidURL:
            raise LabelStudioError(_no_url(url)) from None
        self._url = url

    def close(self) -> None:
        self._client.close()

    # --- the installation -----------------------------------------------------------------------------------------

    def version(self) -> str:
        return str(self._get("/api/version").get("release", "unknown"))

    def whoami(self) -> str:
        return str(self._get("/api/current-user/whoami").get("email", ""))

    def people(self) -> Mapping[int, str]:
        try:
            answer = self._json(self._call("GET", "/api/users", timeout=_SOON_S))
        except LabelStudioError as error:
            if error.status in (403, 404):
                return {}
            raise
        found = answer if isinstance(answer, list) else []
        known = [raw for raw in found if isinstance(raw, dict) and isinstance(raw.get("id"), int)]
        return {raw["id"]: name for raw in known if (name := _name_of(raw))}

    def key_kind(self) -> str:
        return self._kind

    def authorization(self) -> str:
        """The header by which Label Studio knows the key now: that of a personal access token holds for minutes."""
        return str(self._call("GET", "/api/current-user/whoami").request.headers["Authorization"])

    # --- projects and tasks ---------------------------------------------------------------------------------------

    def project(self, project_id: int) -> Project:
        raw = self._get(f"/api/projects/{project_id}")
        return Project(
            id=raw["id"],
            title=raw.get("title") or "",
            label_config=raw.get("label_config") or "",
            instructions=raw.get("expert_instruction") or "",
            model_version=raw.get("model_version") or None,
            task_count=raw.get("task_number") or 0,
        )

    def set_model_version(self, project_id: int, version: str) -> None:
        # Answers 400 until a prediction or a backend of that name exists.
        self.set_project(project_id, {"model_version": version})

    def set_project(self, project_id: int, fields: Mapping[str, JSON]) -> None:
        self._call("PATCH", f"/api/projects/{project_id}", json=dict(fields))

    def tasks(
        self,
        project_id: int,
        variables: Sequence[str],
        *,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
        after: int = 0,
    ) -> Iterator[Task]:
        """Pages of `id` and `data` only: other fields double the time. Pages are read by id, so that tasks which
        gain a prediction meanwhile do not shift the ones behind them out of sight."""
        items = []
        if without_version is not None:
            items.append(_lacking(without_version))
        if ids is not None:
            ids = sorted(ids)
            for start in range(0, len(ids), PAGE_SIZE):
                included = ids[start : start + PAGE_SIZE]
                query: dict[str, JSON] = {"selectedItems": {"all": False, "included": included}}
                yield from self._task_page(project_id, variables, {**query, "ordering": ["tasks:id"]})
            return
        yield from self._filtered(project_id, variables, items, after)

    def changed_tasks(self, project_id: int, variables: Sequence[str], *, since: datetime) -> Iterator[Task]:
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self._filtered(project_id, variables, [task_filter("updated_at", "greater", "Datetime", moment)])

    def _filtered(
        self, project_id: int, variables: Sequence[str], items: Sequence[Mapping[str, JSON]], after: int = 0
    ) -> Iterator[Task]:
        last = after
        while True:
            both = [task_filter("id", "greater", "Number", last), *items]
            query = {"filters": {"conjunction": "and", "items": both}, "ordering": ["tasks:id"]}
            page = self._task_page(project_id, variables, query)
            yield from page
            if len(page) < PAGE_SIZE:
                return
            last = page[-1].id

    def _task_page(self, project_id: int, variables: Sequence[str], query: Mapping[str, JSON]) -> list[Task]:
        answer = self._get(
            "/api/tasks",
            project=project_id,
            page=1,
            page_size=PAGE_SIZE,
            fields="task_only",
            include="id,data",
            query=json.dumps(query),
        )
        wanted = set(variables)
        return [
            Task(
                id=raw["id"],
                project_id=project_id,
                data={k: v for k, v in (raw.get("data") or {}).items() if k in wanted},
            )
            for raw in answer.get("tasks", [])
        ]

    def task_ids(
        self,
        project_id: int,
        *,
        view: Mapping[str, JSON] | None = None,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
    ) -> Iterator[int]:
        lacking = [] if without_version is None else [_lacking(without_version)]
        if ids is None:
            queries = view_queries(view or {})
            yield from unique(heapq.merge(*(self._ids_by_page(project_id, query, lacking) for query in queries)))
            return
        for start in range(0, len(ids), PAGE_SIZE):
            query = {
                "filters": {"conjunction": "and", "items": lacking},
                "ordering": ["tasks:id"],
                "selectedItems": {"all": False, "included": sorted(ids[start : start + PAGE_SIZE])},
            }
            yield from self._id_page(project_id, query)

    def _ids_by_page(
        self, project_id: int, query: Mapping[str, JSON], more: Sequence[Mapping[str, JSON]]
    ) -> Iterator[int]:
        """Pages are read by id: tasks that leave the view meanwhile do not shift the ones behind them out of sight."""
        last = 0
        while True:
            items = [*query["items"], *more, task_filter("id", "greater", "Number", last)]
            page = self._id_page(
                project_id,
                {
                    "filters": {"conjunction": "and", "items": items},
                    "ordering": ["tasks:id"],
                    "selectedItems": query["selectedItems"],
                },
            )
            yield from page
            if len(page) < PAGE_SIZE:
                return
            last = page[-1]

    def _id_page(self, project_id: int, query: Mapping[str, JSON]) -> list[int]:
        answer = self._get(
            "/api/tasks",
            project=project_id,
            page=1,
            page_size=PAGE_SIZE,
            fields="task_only",
            include="id",
            query=json.dumps(query),
        )
        return [raw["id"] for raw in answer.get("tasks", [])]

    def existing_tasks(self, project_id: int, ids: Sequence[int]) -> set[int]:
        return {task.id for task in self.tasks(project_id, (), ids=ids)} if ids else set()

    def untouched(self, project_id: int) -> tuple[int, int]:
        none = [task_filter(name, "equal", "Number", 0) for name in ("total_annotations", "total_predictions")]
        query = {"filters": {"conjunction": "and", "items": none}, "ordering": ["-tasks:id"]}
        first = {"page": 1, "page_size": 1, "fields": "task_only", "include": "id", "query": json.dumps(query)}
        answer = self._get("/api/tasks", project=project_id, **first)
        tasks = answer.get("tasks", [])
        return (int(answer.get("total", len(tasks))), int(tasks[0]["id"])) if tasks else (0, 0)

    def version_counts(self, project_id: int) -> Mapping[str, int]:
        found = self._get(f"/api/projects/{project_id}/model-versions")
        return {version: n for version, n in found.items() if isinstance(n, int)}

    def delete_version(self, project_id: int, version: str) -> None:
        self._call("DELETE", f"/api/projects/{project_id}/model-versions", json={"model_version": version})

    # --- predictions ----------------------------------------------------------------------------------------------

    def import_predictions(self, project_id: int, predictions: Sequence[Prediction]) -> int:
        answer = self._call(
            "POST",
            f"/api/projects/{project_id}/import/predictions",
            json=[p.to_label_studio() for p in predictions],
        )
        return int(answer.json().get("created", 0))

    def predictions(self, project_id: int, task_id: int) -> list[WrittenPrediction]:
        return [_written(raw) for raw in self._get_list("/api/predictions", task=task_id, project=project_id)]

    def update_prediction(self, prediction_id: int, prediction: Prediction) -> None:
        # A PATCH without a score keeps the old one, so that an unknown score is sent as null here.
        body = {"result": [dict(region) for region in prediction.result], "score": prediction.score}
        self._call("PATCH", f"/api/predictions/{prediction_id}", json=body)

    def create_prediction(self, prediction: Prediction) -> int:
        return int(self._call("POST", "/api/predictions", json=prediction.to_label_studio()).json()["id"])

    def delete_prediction(self, prediction_id: int) -> None:
        self._call("DELETE", f"/api/predictions/{prediction_id}")

    def accept_predictions(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        action = {"id": "predictions_to_annotations", "project": project_id}
        for start in range(0, len(task_ids), PAGE_SIZE):
            included = list(task_ids[start : start + PAGE_SIZE])
            body = {"model_version": version, "selectedItems": {"all": False, "included": included}}
            self._call("POST", "/api/dm/actions", params=action, json=body)

    def delete_annotation(self, annotation_id: int) -> None:
        self._call("DELETE", f"/api/annotations/{annotation_id}/")

    def fast_import(self, project_id: int) -> bool | None:
        """Told from how the import words its refusal of a task that cannot exist; nothing is written."""
        probe = [{"task": -1, "result": [], "model_version": "probe"}]
        try:
            self._call("POST", f"/api/projects/{project_id}/import/predictions", json=probe)
        except (LabelStudioUnauthorized, LabelStudioNotFound, LabelStudioUnreachable):
            raise
        except LabelStudioError as error:
            if "task ID -1 not found in project" in error.detail:
                return True
            if "corresponding task ID couldn" in error.detail or "Invalid task ID -1" in error.detail:
                return False
        return None

    # --- the connection -------------------------------------------------------------------------------------------

    def address_refusals(self, backend_url: str) -> dict[str, str]:
        """Asked for a project that cannot exist: the address is looked at first, and nothing is saved."""
        refusals: dict[str, str] = {}
        url = backend_url.rstrip("/")
        for what, path, target in (("backend", "/api/ml", url), ("webhook", "/api/webhooks/", f"{url}/webhook")):
            try:
                self._call("POST", path, json={"url": target, "project": _NO_PROJECT})
            except LabelStudioUnauthorized:
                raise
            except LabelStudioError as error:
                if error.status is None:
                    raise
                if error.status != 400:
                    refusals[what] = _reason(error.detail)
                elif '"url"' in error.detail:
                    refusals[what] = "it is not a URL that Label Studio takes"
        return refusals

    def backends(self, project_id: int) -> list[Backend]:
        return [_backend(raw) for raw in self._get_list("/api/ml", project=project_id)]

    def save_backend(self, project_id: int, backend_id: int | None, fields: Mapping[str, JSON]) -> Backend:
        if backend_id is None:
            answer = self._call("POST", "/api/ml", json={**fields, "project": project_id})
        else:
            answer = self._call("PATCH", f"/api/ml/{backend_id}", json={**self._address(backend_id), **fields})
        return _backend(answer.json())

    def _address(self, backend_id: int) -> dict[str, JSON]:
        """Label Studio calls a backend before it changes it, and only with what stands in the change itself: without
        the URL it answers 500, and without the extra params the backend would not see the agent that they choose. An
        empty password stands for the known one."""
        known = self._get(f"/api/ml/{backend_id}")
        fields: dict[str, JSON] = {name: known.get(name) for name in ("url", "project", "auth_method")}
        if known.get("auth_method") == "BASIC_AUTH":
            fields |= {"basic_auth_user": known.get("basic_auth_user"), "basic_auth_pass": ""}
        if known.get("extra_params") is not None:
            fields["extra_params"] = known["extra_params"]
        return fields

    def webhooks(self, project_id: int) -> list[Webhook]:
        return [
            Webhook(
                id=raw["id"],
                url=raw.get("url") or "",
                active=bool(raw.get("is_active")),
                headers=raw.get("headers") or {},
            )
            for raw in self._get_list("/api/webhooks/", project=project_id)
        ]

    def save_webhook(self, project_id: int, webhook_id: int | None, fields: Mapping[str, JSON]) -> None:
        if webhook_id is None:
            self._call("POST", "/api/webhooks/", json={**fields, "project": project_id})
        else:
            self._call("PATCH", f"/api/webhooks/{webhook_id}/", json=dict(fields))

    def delete_webhook(self, webhook_id: int) -> None:
        self._call("DELETE", f"/api/webhooks/{webhook_id}/")

    def tabs(self, project_id: int) -> list[Tab]:
        return [
            Tab(id=raw["id"], title=str((raw.get("data") or {}).get("title", "")), data=raw.get("data") or {})
            for raw in self._get_list("/api/dm/views", project=project_id)
        ]

    def save_tab(self, project_id: int, tab_id: int | None, data: Mapping[str, JSON]) -> Tab:
        body = {"project": project_id, "data": dict(data)}
        if tab_id is None:
            raw = self._call("POST", "/api/dm/views", json=body).json()
        else:
            raw = self._call("PATCH", f"/api/dm/views/{tab_id}", json=body).json()
        return Tab(id=raw["id"], title=str(raw["data"].get("title", "")), data=raw["data"])

    # --- calls ----------------------------------------------------------------------------------------------------

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._json(self._call("GET", path, params=params))
        if not isinstance(answer, dict):
            raise self._strange(path)
        return answer

    def _get_list(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = self._json(self._call("GET", path, params=params))
        if not isinstance(answer, list):
            raise self._strange(path)
        return answer

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise self._strange(response.request.url.path) from None

    def _strange(self, path: str) -> LabelStudioError:
        return LabelStudioError(
            f"{self._url}{path} does not answer as Label Studio does: check that LABEL_STUDIO_URL is its address."
        )

    def _call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **kwargs)
        except httpx.TimeoutException as error:
            raise LabelStudioUnreachable(
                f"Label Studio at {self._url} did not answer in time: try again when it is less busy.",
                may_be_done=not isinstance(error, _NEVER_SENT),
            ) from error
        except httpx.UnsupportedProtocol as error:
            raise LabelStudioUnreachable(_no_url(self._url), may_be_done=False) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LabelStudioUnreachable(
                f"Label Studio cannot be reached at {self._url}: check LABEL_STUDIO_URL and that it is running.",
                may_be_done=not isinstance(error, _NEVER_SENT),
            ) from error
        if response.is_success:
            return response
        raise self._error(method, path, response, _project_of(path, kwargs))

    def _error(self, method: str, path: str, response: httpx.Response, project: str | None) -> LabelStudioError:
        status, detail = response.status_code, response.text[:4000]
        if status == 401:
            hint = (
                "legacy tokens may be switched off for the organisation: use a personal access token"
                if self._kind == "legacy token"
                else "it may be revoked or expired: make a new one in Account & Settings"
            )
            message = f"Label Studio does not accept LABEL_STUDIO_API_KEY, a {self._kind}; {hint}."
            return LabelStudioUnauthorized(message, status=status, detail=detail)
        if status == 404 and (path == "/api/version" or not _is_label_studios(response)):
            return self._strange(path)
        if status == 404:
            message = (
                f"Label Studio has no {path}, or the key's user may not see it: check the project's number and the key."
                if project is None
                else f"Label Studio has no project {project} (or the key may not see it): check --project."
            )
            return LabelStudioNotFound(message, status=status, detail=detail)
        if 300 <= status < 400:
            target = response.headers.get("location", "another address")
            message = f"{self._url} redirects to {target[:200]}: set LABEL_STUDIO_URL to the address that answers."
            return LabelStudioError(message, status=status, detail=detail)
        if status >= 500:
            message = f"Label Studio failed at {method} {path} with HTTP {status}: see its log, then try again."
            return LabelStudioUnreachable(message, status=status, detail=detail)
        message = f"Label Studio refused {method} {path} with HTTP {status}"
        return LabelStudioError(message, status=status, detail=detail, quoted=_reason(response.text))


class _TokenAuth(httpx.Auth):
    """`Authorization: Token ...`, for legacy tokens."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Token {self._key}"
        yield request


class _RefreshAuth(httpx.Auth):
    """Personal access tokens are refresh tokens: exchanged for a short-lived Bearer token, again after a 401."""

    requires_response_body = True

    def __init__(self, url: str, key: str) -> None:
        self._url = httpx.URL(url).join("/api/token/refresh")
        self._key = key
        self._access: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._access is not None:
            request.headers["Authorization"] = f"Bearer {self._access}"
            response = yield request
            if response.status_code != 401:
                return
        refreshed = yield httpx.Request("POST", self._url, json={"refresh": self._key})
        self._access = _access_token(refreshed)
        if self._access is not None:
            request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


def _access_token(refreshed: httpx.Response) -> str | None:
    try:
        return str(refreshed.json()["access"]) if refreshed.is_success else None
    except (ValueError, LookupError, TypeError):
        return None


def _is_jwt(key: str) -> bool:
    parts = key.split(".")
    if len(parts) != 3:
        return False
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(parts[0] + "==")), dict)
    except ValueError:
        return False


def _name_of(raw: Mapping[str, Any]) -> str:
    """In one line, and short: people write it themselves."""
    parts = [raw.get("first_name"), raw.get("last_name")]
    named = " ".join(" ".join(part for part in parts if isinstance(part, str)).split())
    told = named or next((raw[key] for key in ("email", "username") if isinstance(raw.get(key), str)), "")
    return "".join(c for c in told if c.isprintable())[:_MOST_NAME_CHARS]


def _lacking(version: str) -> dict[str, JSON]:
    return task_filter("predictions_model_versions", "not_contains", "List", [version])


def _backend(raw: Mapping[str, Any]) -> Backend:
    return Backend(
        id=raw["id"],
        url=raw.get("url") or "",
        title=raw.get("title") or "",
        state=raw.get("state") or "DI",
        error=raw.get("error_message") or None,
    )


def _written(raw: Mapping[str, Any]) -> WrittenPrediction:
    return WrittenPrediction(id=raw["id"], task_id=raw["task"], model_version=raw.get("model_version"))


def _project_of(path: str, asked: Mapping[str, Any]) -> str | None:
    """The number of the project that a call is about as a whole; None where it is about one thing in it."""
    if path in _OF_A_PROJECT:
        sent = asked.get("params") or asked.get("json")
        number = sent.get("project") if isinstance(sent, Mapping) else None
        return None if number is None else str(number)
    parts = path.strip("/").split("/")
    return parts[2] if parts[:2] == ["api", "projects"] and len(parts) > 2 else None


def _no_url(url: str) -> str:
    return f"LABEL_STUDIO_URL={url} is no URL: write http://HOST:PORT."


def _is_label_studios(response: httpx.Response) -> bool:
    """Whether an error has the form of Label Studio's own: some other server's 404 says nothing about a project."""
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and "status_code" in body


def _reason(text: str) -> str:
    """Label Studio's own words in an answer, cut short; its validation messages may quote what was sent."""
    try:
        body = json.loads(text)
    except ValueError:
        return "no reason given"
    if not isinstance(body, dict):
        return "no reason given"
    errors = body.get("validation_errors") or body.get("detail") or body
    text = errors if isinstance(errors, str) else json.dumps(errors, ensure_ascii=False)
    return text[:200]
