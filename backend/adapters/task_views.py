"""What a Data Manager tab shows, as queries of `/api/tasks` that can be read page by page in the order of ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backend.core.values import JSON

_EVERYTHING: Mapping[str, JSON] = {"all": True, "excluded": []}


def view_queries(view: Mapping[str, JSON]) -> list[dict[str, Any]]:
    """The filters of a view as lists of items that must all hold, with its selection; a task is in the view when it
    is in one of them. An "or" is one query for each of its items: a condition on the id can be added to none else."""
    filters = view.get("filters") or {}
    items = list(filters.get("items") or [])
    selected = dict(view.get("selectedItems") or _EVERYTHING)
    alternatives = [[item] for item in items] if filters.get("conjunction") == "or" and items else [items]
    return [{"items": alternative, "selectedItems": selected} for alternative in alternatives]


def unique(ordered: Iterable[int]) -> Iterator[int]:
    """Ascending numbers, each once."""
    last: int | None = None
    for number in ordered:
        if number != last:
            yield number
        last = number


def task_filter(column: str, operator: str, kind: str, value: JSON) -> dict[str, JSON]:
    """One condition of a view on a column of its tasks."""
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
