"""The service as it answers the commands: the real application behind the client, with no socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backend.adapters.service import ServiceApi
from backend.core.errors import SettingsError
from backend.services.connect import WEBHOOK_HEADER
from backend.web.app import create_app
from tests.fakes.installation import Installation

URL = "http://here:9090"
AUTH = {"basic_auth_user": "ann", "basic_auth_password": "pw"}


def ask(
    installation: Installation, auth: tuple[str, str] | None = None, secret: str | None = None, **settings: Any
) -> Any:
    transport = httpx.WSGITransport(app=create_app(installation.parts(**settings)))
    header = {WEBHOOK_HEADER: secret} if secret else {}
    return ServiceApi(basic_auth=auth, webhook_header=header, transport=transport).started_with(f"{URL}/")


def test_it_tells_what_it_was_started_with_and_notes_no_event() -> None:
    installation = Installation()
    assert ask(installation) == installation.same_settings.here
    assert installation.store.event_counts(1) == {}


def test_the_same_credentials_are_taken() -> None:
    installation = Installation()
    secret = installation.parts(**AUTH).settings.effective_webhook_secret
    assert ask(installation, ("ann", "pw"), secret, **AUTH) == installation.same_settings.here


@pytest.mark.parametrize(
    ("auth", "words"), [(None, "asks for Basic auth"), (("ann", "wrong"), "refuses this Basic auth")]
)
def test_other_credentials_are_told_with_the_variables_to_set(auth: tuple[str, str] | None, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        ask(Installation(), auth, **AUTH)
    assert str(raised.value) == (
        f"The service at {URL} {words}: set PRELABEL_BASIC_AUTH_USER and PRELABEL_BASIC_AUTH_PASSWORD here as for "
        "`prelabel serve`."
    )


@pytest.mark.parametrize("secret", [None, "another"])
def test_another_webhook_secret_is_told(secret: str | None) -> None:
    with pytest.raises(SettingsError, match="set PRELABEL_WEBHOOK_SECRET here"):
        ask(Installation(), None, secret, webhook_secret="s3cret")


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize(
    "handler",
    [
        raising(httpx.ConnectError("refused")),
        raising(httpx.ReadTimeout("slow")),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(200, json=[1]),
        lambda _: httpx.Response(200, json={"status": "UP", "model_class": "SAM"}),
        lambda _: httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="other"'}),
        lambda _: httpx.Response(401),
        lambda _: httpx.Response(502),
    ],
)
@pytest.mark.parametrize("url", [URL, "here:9090", "http://[::1", ""])
def test_what_cannot_be_asked_from_here_proves_nothing(
    handler: Callable[[httpx.Request], httpx.Response], url: str
) -> None:
    service = ServiceApi(basic_auth=None, webhook_header={}, transport=httpx.MockTransport(handler))
    assert service.started_with(url) is None
