"""Settings come from the environment, and the README tells all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from backend.core.errors import SettingsError
from backend.settings import Settings, load_settings

ROW = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| (?P<default>.*?) \| (?P<about>.*) \|$", re.M)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def told(field: FieldInfo) -> tuple[str, str]:
    """The default and the description, as the table writes them."""
    default: Any = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, Path):
        default = f"{default.name}/"
    return ("" if default in (None, "") else f"`{default}`"), str(field.description)


def test_the_readmes_table_is_the_settings(repository: Path) -> None:
    section = (repository / "README.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    in_readme = {row["name"]: (row["default"].strip(), row["about"]) for row in ROW.finditer(section)}
    assert in_readme == {str(field.alias): told(field) for field in Settings.model_fields.values()}


def test_the_example_for_docker_names_settings_that_exist(repository: Path) -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()}
    text = (repository / ".env.example").read_text()
    named = set(re.findall(r"\b((?:PRELABEL|OPENAI|LABEL_STUDIO)_[A-Z_]+)=", text))
    assert named & known
    assert {name for name in named - known if name.startswith(("PRELABEL_", "OPENAI_"))} == set()


def test_all_wrong_settings_are_named_at_once_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_CONCURRENCY", "zero-secret")
    monkeypatch.setenv("PRELABEL_PORT", "70000")
    with pytest.raises(SettingsError, match=r"PRELABEL_CONCURRENCY.*PRELABEL_PORT") as caught:
        load_settings()
    assert "zero-secret" not in str(caught.value)


def test_half_of_basic_auth_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_BASIC_AUTH_USER", "label-studio")
    with pytest.raises(SettingsError, match="PRELABEL_BASIC_AUTH_PASSWORD"):
        load_settings()


def test_the_webhooks_secret_comes_from_the_password_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().effective_webhook_secret is None
    load_settings.cache_clear()
    monkeypatch.setenv("PRELABEL_BASIC_AUTH_USER", "label-studio")
    monkeypatch.setenv("PRELABEL_BASIC_AUTH_PASSWORD", "pw")
    derived = load_settings().effective_webhook_secret
    assert derived is not None
    assert len(derived) == 40
    assert "pw" not in derived
    load_settings.cache_clear()
    monkeypatch.setenv("PRELABEL_WEBHOOK_SECRET", "given")
    assert load_settings().effective_webhook_secret == "given"


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "LABEL_STUDIO_API_KEY", "PRELABEL_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "sk-hidden")
    settings = load_settings()
    assert "sk-hidden" not in repr(settings)
    assert "sk-hidden" not in settings.model_dump_json()
