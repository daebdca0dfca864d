"""The service under gunicorn: one process, many threads, because every request is short or only waits."""

from __future__ import annotations

from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from backend.web.app import create_app
from backend.wiring import Parts

_TIMEOUT_S = 120


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's messages in our log lines instead of its own format."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.access_log.propagate = False


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn with our settings instead of its command line."""

    def __init__(self, parts: Parts, *, host: str, port: int) -> None:
        self._parts = parts
        self._bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._parts.settings.web_threads,
            "timeout": _TIMEOUT_S,
            "graceful_timeout": 10,
            "logger_class": PlainLogger,
            "proc_name": "prelabel",
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return create_app(self._parts)
