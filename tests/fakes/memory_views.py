"""What a Data Manager view shows, for the few columns and operators that tests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backend.core.values import JSON

_HOLDS: Mapping[str, Callable[[JSON, JSON], bool]] = {
    "equal": lambda have, want: str(have) == str(want),
    "not_equal": lambda have, want: str(have) != str(want),
    "contains": lambda have, want: str(want).lower() in str(have).lower(),
    "greater": lambda have, want: float(have) > float(want),
    "less": lambda have, want: float(have) < float(want),
}


def shown(view: Mapping[str, JSON], task_id: int, data: Mapping[str, JSON]) -> bool:
    """Whether the view has this task. Knows `tasks:id` and `tasks:data.KEY`."""
    selected = view.get("selectedItems") or {"all": True}
    if selected["all"] and task_id in selected.get("excluded", ()):
        return False
    if not selected["all"] and selected.get("included") and task_id not in selected["included"]:
        return False
    filters = view.get("filters") or {"conjunction": "and", "items": []}
    found = [_holds(item, task_id, data) for item in filters["items"]]
    return any(found) if filters["conjunction"] == "or" and found else all(found)


def _holds(item: Mapping[str, JSON], task_id: int, data: Mapping[str, JSON]) -> bool:
    column = item["filter"].removeprefix("filter:tasks:")
    have = task_id if column == "id" else data.get(column.removeprefix("data."), "")
    return _HOLDS[item["operator"]](have, item["value"])
