"""The Flask application: authentication, errors as short JSON with an id, and the routes of `protocol.py`."""

from __future__ import annotations

import hmac
import logging
import time
import uuid
from contextlib import ExitStack

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, Unauthorized

from backend.core.errors import ConfigError, PrelabelError, QueueError, StoreError
from backend.core.log_fields import only_log_fields
from backend.services.connect import WEBHOOK_HEADER
from backend.web.protocol import protocol
from backend.wiring import Parts

_log = logging.getLogger(__name__)
_OFTEN = ("/", "/health", "/metrics")
MAX_REQUEST_BYTES = 256 * 1024 * 1024  # Label Studio sends all selected tasks in one request


def create_app(parts: Parts) -> Flask:
    """The service. The database is brought up to date first."""
    parts.store.migrate()
    app = Flask("prelabel", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.extensions["prelabel"] = parts
    app.register_blueprint(protocol)
    app.before_request(_begin)
    app.before_request(lambda: _refuse_strangers(parts))
    app.after_request(_tell)
    app.teardown_request(_end)
    app.register_error_handler(Exception, _answer_error)
    return app


def _begin() -> None:
    """What the log says of this request, and of no other in this thread."""
    g.started = time.monotonic()
    g.log = ExitStack()
    g.log.enter_context(only_log_fields(path=request.path))


def _tell(response: Response) -> Response:
    """A line a request. What is asked all the time without any effect is told at DEBUG only."""
    level = logging.DEBUG if request.path in _OFTEN else logging.INFO
    seconds = round(time.monotonic() - g.started, 3)
    _log.log(level, "request done", extra={"status": response.status_code, "seconds": seconds})
    return response


def _end(_: BaseException | None) -> None:
    g.log.close()


def _refuse_strangers(parts: Parts) -> None:
    """Basic auth on every route when it is set. `/webhook` takes its own secret, because Label Studio calls it
    without Basic auth (all but START_TRAINING, which comes with it)."""
    auth = parts.settings.basic_auth
    if request.path == "/webhook":
        secret = parts.settings.effective_webhook_secret
        if secret is None or _same(request.headers.get(WEBHOOK_HEADER, ""), secret):
            return
        if auth is not None and _has_basic_auth(auth):
            return
        raise Unauthorized(f"The webhook needs its secret in the header {WEBHOOK_HEADER}.")
    if auth is None or _has_basic_auth(auth):
        return
    raise Unauthorized(
        "This backend needs Basic auth: give user and password in Label Studio's model settings.",
        www_authenticate=WWWAuthenticate("basic", {"realm": "prelabel"}),
    )


def _has_basic_auth(auth: tuple[str, str]) -> bool:
    given = request.authorization
    if given is None or given.type != "basic":
        return False
    return _same(given.username or "", auth[0]) & _same(given.password or "", auth[1])


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _answer_error(error: Exception) -> ResponseReturnValue:
    """One sentence and an id under which the log has it; never a traceback."""
    error_id = uuid.uuid4().hex[:12]
    if isinstance(error, HTTPException):
        message, status = error.description or error.name, error.code or 500
    elif isinstance(error, PrelabelError):
        message, status = str(error), _status(error)
    else:
        message, status = "Something went wrong here: the log has it under this id.", 500
    level = logging.ERROR if status >= 500 else logging.WARNING
    _log.log(
        level,
        "request failed",
        extra={"error_id": error_id, "path": request.path, "status": status},
        exc_info=error if status >= 500 else None,
    )
    answer: Response = jsonify(error=message, id=error_id)
    if isinstance(error, HTTPException):
        answer.headers.extend(h for h in error.get_headers() if h[0] in ("Allow", "WWW-Authenticate"))
    return answer, status


def _status(error: PrelabelError) -> int:
    if isinstance(error, QueueError | StoreError):
        return 503
    return 422 if isinstance(error, ConfigError) else 500
