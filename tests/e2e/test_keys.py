"""Keys of both kinds. Personal access tokens are refresh tokens; legacy ones may be switched off."""

from __future__ import annotations

import httpx
import pytest

from scripts.demo_project import call
from scripts.services import LabelStudio
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def personal_token(label_studio: LabelStudio) -> str:
    return str(call(label_studio, "POST", "/api/token/")["token"])


def allow_legacy_tokens(server: LabelStudio, personal_token: str, allowed: bool) -> None:
    refreshed = httpx.post(f"{server.url}/api/token/refresh", json={"refresh": personal_token}, trust_env=False)
    httpx.post(
        f"{server.url}/api/jwt/settings",
        json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed},
        headers={"Authorization": f"Bearer {refreshed.json()['access']}"},
        trust_env=False,
    ).raise_for_status()


def test_a_personal_token_does_every_job_where_legacy_ones_are_off(stack: Stack, personal_token: str) -> None:
    """Also without Basic auth and without a webhook secret."""
    project = stack.project("Personal token", FEEDBACK, FEEDBACK_ROWS[:3])
    tasks = project.task_ids()
    plain = {"PRELABEL_BASIC_AUTH_USER": "", "PRELABEL_BASIC_AUTH_PASSWORD": "", "PRELABEL_WEBHOOK_SECRET": ""}
    with stack.beside("personal", {**plain, "LABEL_STUDIO_API_KEY": personal_token}, database=3, serve=True) as other:
        allow_legacy_tokens(stack.label_studio, personal_token, False)
        try:
            refused = stack.prelabel("run", "--project", project.id).only_sentence
            version = other.connect(project)["version"]
            checks = other.doctor(project)
            told = other.run(project)
            assert other.status(project)["by_state"] == {"done": 3}
        finally:
            allow_legacy_tokens(stack.label_studio, personal_token, True)
        assert "legacy tokens may be switched off" in refused
        assert checks["ok"], checks
        key = next(check for check in checks["checks"] if check["name"] == "label studio key")
        assert key["detail"] == f"personal access token of {stack.label_studio.user}"
        assert told["by_state"] == {"done": 3}
        assert sorted(project.of_version(version)) == tasks
        assert project.webhooks()[0]["headers"] == {}


def test_a_revoked_personal_token_is_one_sentence(stack: Stack, personal_token: str) -> None:
    forged = f"{personal_token[:-6]}AAAAAA"
    done = stack.prelabel("run", "--project", 1, LABEL_STUDIO_API_KEY=forged)
    assert "a personal access token; it may be revoked or expired" in done.only_sentence
