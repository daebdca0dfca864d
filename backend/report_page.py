"""A report as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

Labels, columns and versions come from outside: everything is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.core.text import percent

_TEMPLATES = Path(__file__).parent / "templates"


def page(report: Mapping[str, Any]) -> str:
    """The page of a report as `services/report.py` makes it."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": _percent, "number": _number}
    environment.globals |= {"axis_top": _axis_top}
    return environment.get_template("report.html.jinja").render(report=report)


def _percent(share: float | None) -> str:
    return "not known" if share is None else percent(share)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _axis_top(points: Sequence[Mapping[str, float]]) -> float:
    """Where the axis of risks ends: the next step above the highest one, so that a good curve does not lie flat."""
    highest = max((point["risk"] for point in points), default=0.0)
    return next((step for step in (0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if highest <= step), 1.0)
