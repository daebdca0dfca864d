"""A report as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

Labels, columns and versions come from outside: everything is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parent / "templates"


def page(report: Mapping[str, Any]) -> str:
    """The page of a report as `services/report.py` makes it."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": _percent, "number": _number}
    return environment.get_template("report.html.jinja").render(report=report)


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
