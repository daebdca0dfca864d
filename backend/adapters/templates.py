"""Prompt templates from the prompts folder."""

from __future__ import annotations

from pathlib import Path

from backend.core.errors import TemplateError


def read_template(folder: Path, name: str) -> str:
    """The source of the template `name`. Raises `TemplateError` with the names that there are."""
    try:
        return (folder / f"{name}.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        known = ", ".join(sorted(p.stem for p in folder.glob("*.jinja"))) or "none"
        raise TemplateError(f"There is no prompt template {name!r} in {folder} (there: {known}).") from None
