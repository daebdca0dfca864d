"""The service over HTTP, asked as Label Studio asks it: with Basic auth, and its webhook with the secret."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from backend.core.errors import SettingsError

_TIMEOUT_S = 3.0
_OURS = "realm=prelabel"


class ServiceApi:
    """`backend.ports.service.Service`."""

    def __init__(
        self,
        *,
        basic_auth: tuple[str, str] | None,
        webhook_header: Mapping[str, str],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._auth = basic_auth
        self._webhook_header = dict(webhook_header)
        self._transport = transport

    def started_with(self, url: str) -> Mapping[str, str] | None:
        base = url.rstrip("/")
        if not base.startswith(("http://", "https://")):
            return None
        try:
            with httpx.Client(timeout=_TIMEOUT_S, transport=self._transport) as client:
                health = client.get(f"{base}/health", auth=self._auth)
                self._need_credentials(health, base)
                told = _settings(health)
                if told is not None:
                    # An empty one, which is noted nowhere.
                    event = client.post(f"{base}/webhook", json={}, headers=self._webhook_header)
                    self._need_secret(event, base)
                return told
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    def _need_credentials(self, health: httpx.Response, url: str) -> None:
        if health.status_code != 401 or _OURS not in health.headers.get("WWW-Authenticate", "").replace('"', ""):
            return
        what = "refuses this Basic auth" if self._auth else "asks for Basic auth"
        raise SettingsError(
            f"The service at {url} {what}: set PRELABEL_BASIC_AUTH_USER and PRELABEL_BASIC_AUTH_PASSWORD here as for "
            "`prelabel serve`."
        )

    def _need_secret(self, event: httpx.Response, url: str) -> None:
        if event.status_code == 401:
            raise SettingsError(
                f"The webhook of the service at {url} wants another secret: set PRELABEL_WEBHOOK_SECRET here as for "
                "`prelabel serve`."
            )


def _settings(health: httpx.Response) -> Mapping[str, str] | None:
    try:
        body = health.json()
    except ValueError:
        return None
    told = body.get("started_with") if isinstance(body, dict) else None
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else None
