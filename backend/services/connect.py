"""Connect a project to this backend, or repair what is half connected. Every step is safe to repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from backend.core.errors import ConfigError, LabelStudioError
from backend.core.values import JSON
from backend.ports.labels import Backend, Labels, Tab
from backend.ports.store import Store
from backend.services.projects import Projects, answerable
from backend.services.same_settings import RESTART

WEBHOOK_HEADER = "X-Prelabel-Webhook-Secret"
TAB_TITLE = "Least certain first"
_RESERVED = "reserved network address"
_VARIABLES = {"backend": "ML_BLOCK_LOCAL_IP=false", "webhook": "SSRF_PROTECTION_ENABLED=false"}
_STEPS = ("the backend", "the webhook", "the project's settings", "the tab")
_RESULTS_PIXELS, _DATA_PIXELS, _LEAST_DATA_PIXELS = 460, 460, 240
_HIDDEN_COLUMNS = (
    *("inner_id", "cancelled_annotations", "total_predictions", "annotators", "annotations_results"),
    *("annotations_ids", "predictions_model_versions", "file_upload", "storage_filename", "created_at"),
    *("updated_at", "updated_by", "avg_lead_time", "draft_exists", "completed_at"),
)


# Not by the number of annotations: golden questions are there until everybody has answered them.
NOT_LABELLED: tuple[Mapping[str, JSON], ...] = (
    {"filter": "filter:tasks:completed_at", "operator": "empty", "type": "Datetime", "value": "True"},
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What `connect` left behind."""

    project_id: int
    version: str
    backend: Backend
    tab: Tab
    refusals: tuple[str, ...]
    label_config: str

    def as_json(self) -> dict[str, Any]:
        return {
            "project": self.project_id,
            "version": self.version,
            "backend": {"id": self.backend.id, "url": self.backend.url, "state": self.backend.state},
            "tab": {"id": self.tab.id, "title": self.tab.title},
            "refused": list(self.refusals),
        }


def connect(
    labels: Labels,
    projects: Projects,
    store: Store,
    project_id: int,
    backend_url: str,
    *,
    basic_auth: tuple[str, str] | None,
    webhook_secret: str | None,
    auto_start: bool | None,
) -> Connection:
    """Backend, version, webhook, project settings, tab. Raises a `PrelabelError` with the next step."""
    url = backend_url.rstrip("/")
    row = projects.sync(labels, project_id)
    answerable(row.label_config)
    if row.version is None:
        raise ConfigError("The labeling config cannot be pre-annotated.")
    problem = address_problem(labels, url)
    if problem is not None:
        raise LabelStudioError(problem)
    if auto_start is not None and auto_start != row.auto_start:
        store.save_project(replace(row, auto_start=auto_start))
    version = store.shown_version(project_id, row.version)
    backend = _connect_backend(labels, project_id, url, version, basic_auth)
    with _half_way(1):
        _connect_webhook(labels, project_id, url, webhook_secret)
    with _half_way(2):
        _set_project(labels, project_id, version)
    with _half_way(3):
        tab = _save_tab(labels, project_id, answerable(row.label_config).columns)
    return Connection(
        project_id=project_id,
        version=version,
        backend=backend,
        tab=tab,
        refusals=row.refusals,
        label_config=row.label_config,
    )


@contextmanager
def _half_way(done: int) -> Iterator[None]:
    """Adds to an error which steps are done, and that the rest is made up for by connecting again."""
    try:
        yield
    except LabelStudioError as error:
        rest = f"done: {', '.join(_STEPS[:done])}; missing: {', '.join(_STEPS[done:])}"
        message = f"{str(error).rstrip('.')} ({rest}); when that is mended, connect again."
        raise LabelStudioError(message, status=error.status, detail=error.detail) from error


def address_problem(labels: Labels, url: str) -> str | None:
    """Why Label Studio would not take this address for backend or webhook, and which of its variables to set; None
    when it takes it. Saves nothing."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{url!r} is no http(s) URL: give one, such as http://this-machine:9090."
    refusals = labels.address_refusals(url)
    if not refusals:
        return None
    if any("reserved" in words for words in refusals.values()):
        variables = " and ".join(_VARIABLES[what] for what in refusals)
        return (
            f"Label Studio refuses {url} because it is a local or private address: set {variables} in Label Studio's "
            "environment and restart it."
        )
    return f"Label Studio refuses {url} ({next(iter(refusals.values())).rstrip('.')}): give an address that it can use."


def _set_project(labels: Labels, project_id: int, version: str) -> None:
    fields = {"model_version": version, "show_collab_predictions": True, "evaluate_predictions_automatically": False}
    try:
        labels.set_project(project_id, fields)
    except LabelStudioError as error:
        if "model version" not in error.detail.lower():
            raise
        # The backend has just got this title: somebody else gives it another one.
        message = f"The service or a worker was started with other settings than this command: {RESTART}."
        raise LabelStudioError(message, status=error.status, detail=error.detail) from error


def _connect_backend(
    labels: Labels, project_id: int, url: str, version: str, basic_auth: tuple[str, str] | None
) -> Backend:
    """Update the backend of this URL, or make it. Label Studio calls us back while it does."""
    fields: dict[str, JSON] = {"url": url, "title": version, "is_interactive": False}
    if basic_auth is not None:
        fields |= {
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": basic_auth[0],
            "basic_auth_pass": basic_auth[1],
        }
    else:
        fields["auth_method"] = "NONE"
    known = [b for b in labels.backends(project_id) if b.url.rstrip("/") == url]
    others = [b for b in labels.backends(project_id) if b.url.rstrip("/") != url]
    if others and not known:
        raise LabelStudioError(
            f"Project {project_id} is already connected to {others[0].url}: Label Studio asks only one backend, "
            "so remove that one in Settings > Model first."
        )
    try:
        backend = labels.save_backend(project_id, known[0].id if known else None, fields)
    except LabelStudioError as error:
        raise _explained(error, url) from error
    state = next((b for b in labels.backends(project_id) if b.id == backend.id), backend)
    if state.state in ("DI", "ER"):
        raise LabelStudioError(
            f"Label Studio saved the backend and cannot reach it at {url}: check that `prelabel serve` runs there "
            "and that the address is right as seen from Label Studio's machine."
        )
    return state


def _explained(error: LabelStudioError, url: str) -> LabelStudioError:
    """The two answers of Label Studio's address rules, in one sentence."""
    detail = error.detail.lower()
    if _RESERVED in detail or "ssrf" in detail or (error.status == 403 and "permission" not in detail):
        return LabelStudioError(
            f"Label Studio refuses {url} because it is a local or private address: set ML_BLOCK_LOCAL_IP=false and "
            "SSRF_PROTECTION_ENABLED=false in Label Studio's environment, restart it, and connect again.",
            status=error.status,
            detail=error.detail,
        )
    if "can't connect" in detail or "not responding" in detail or "successfully connect" in detail:
        return LabelStudioError(
            f"Label Studio cannot reach {url}: check that `prelabel serve` runs there and that the address is right "
            "as seen from Label Studio's machine.",
            status=error.status,
            detail=error.detail,
        )
    return error


def _connect_webhook(labels: Labels, project_id: int, url: str, secret: str | None) -> None:
    """Exactly one webhook to us, with the secret. Label Studio makes one by itself when a backend is connected, and
    leaves it behind when that is deleted."""
    target = f"{url}/webhook"
    ours = [w for w in labels.webhooks(project_id) if w.url.rstrip("/") == target]
    fields: dict[str, JSON] = {
        "url": target,
        "send_payload": True,
        "send_for_all_actions": True,
        "is_active": True,
        "headers": {WEBHOOK_HEADER: secret} if secret else {},
    }
    try:
        labels.save_webhook(project_id, ours[0].id if ours else None, fields)
    except LabelStudioError as error:
        raise _explained(error, target) from error
    for extra in ours[1:]:
        labels.delete_webhook(extra.id)


def _save_tab(labels: Labels, project_id: int, variables: Sequence[str]) -> Tab:
    """The tab that sorts unlabelled tasks by score, lowest first; a tab of that title is brought back into order.

    Which columns are shown, and how wide, stays as the users have arranged it.
    """
    order: dict[str, JSON] = {
        "title": TAB_TITLE,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "filters": {"conjunction": "and", "items": list(NOT_LABELLED)},
    }
    known = [t for t in labels.tabs(project_id) if t.title == TAB_TITLE]
    data = {**tab_layout(variables), **(known[0].data if known else {}), **order}
    return labels.save_tab(project_id, known[0].id if known else None, data)


def tab_layout(variables: Sequence[str]) -> dict[str, JSON]:
    """Column widths at which a row of a wide screen shows the score, two predicted labels and the data."""
    hidden = [f"tasks:{name}" for name in _HIDDEN_COLUMNS]
    aside = ["tasks:total_annotations", "tasks:predictions_results"]  # the list beside an opened task is narrow
    widths = {"tasks:id": 80, "tasks:predictions_score": 140, "tasks:predictions_results": _RESULTS_PIXELS}
    data_width = max(_LEAST_DATA_PIXELS, _DATA_PIXELS // max(1, len(variables)))
    return {
        "hiddenColumns": {"explore": hidden, "labeling": [*hidden, *aside]},
        "columnsWidth": {**widths, **{f"tasks:data.{name}": data_width for name in variables}},
    }


def connection_problems(labels: Labels, project_id: int, version: str, secret: str | None) -> list[str]:
    """What is not as `connect` leaves it; for `doctor`."""
    problems: list[str] = []
    backends = labels.backends(project_id)
    if not backends:
        return ["no backend is connected"]
    backend = backends[0]
    if backend.state in ("DI", "ER"):
        problems.append(f"Label Studio cannot reach the backend at {backend.url}")
    if backend.title != version:
        problems.append(f"the backend's title is {backend.title!r} and not the version {version!r}")
    hooks = [w for w in labels.webhooks(project_id) if w.url.rstrip("/") == f"{backend.url.rstrip('/')}/webhook"]
    if not any(w.active for w in hooks):
        problems.append("there is no active webhook to the backend")
    elif secret and not any(_header(w.headers) == secret for w in hooks):
        problems.append("the webhook does not carry the secret")
    current = labels.project(project_id).model_version
    if current != version:
        problems.append(f"the project's model version is {current!r} and not {version!r}: scores cannot be sorted")
    if not any(t.title == TAB_TITLE for t in labels.tabs(project_id)):
        problems.append(f'the tab "{TAB_TITLE}" is missing')
    return problems


def _header(headers: Mapping[str, str]) -> str | None:
    return headers.get(WEBHOOK_HEADER)
