"""The options of `prelabel run` that choose tasks, as a `Selection`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.core.errors import InputError
from backend.ports.labels import Labels, Tab
from backend.ports.store import Store
from backend.services.differing import resolved_version
from backend.services.selection import ALL, BELOW, DIFFER, MISSING, Selection

_OPERATORS = {
    "=": "equal",
    "!=": "not_equal",
    "<": "less",
    ">": "greater",
    "<=": "less_or_equal",
    ">=": "greater_or_equal",
    "contains": "contains",
    "not_contains": "not_contains",
    "regex": "regex",
    "empty": "empty",
}
_SHORT = re.compile(r"\s*([A-Za-z_][\w.:-]*?)\s*(!=|<=|>=|=|<|>|\bcontains\b|\bnot_contains\b|\bregex\b|\bempty\b)(.*)")
_HELP = "write 'COLUMN OPERATOR VALUE', for example 'data.lang = en' or 'total_annotations > 0'"
_MOST_BYTES = 100_000_000


def selection_of(
    labels: Labels,
    store: Store,
    project_id: int,
    *,
    everything: bool = False,
    again: bool = False,
    tab: str | None = None,
    filters: Sequence[str] = (),
    task_ids: Sequence[int] = (),
    ids_file: Path | None = None,
    below: float | None = None,
    differ: tuple[str, str] | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Selection:
    """Raises `InputError` where the options make no sense together or name what is not there."""
    ids = [*task_ids, *(_ids_of(ids_file) if ids_file is not None else ())]
    named = bool(ids) or ids_file is not None
    if sum([tab is not None, bool(filters), named]) > 1:
        raise InputError("--tab, --filter and --task (or --ids-file) cannot be combined: give one of them.")
    if sum([everything, below is not None, differ is not None]) > 1:
        raise InputError("--all, --below and --differ cannot be combined: give one of them.")
    view = (
        _view_of(labels, project_id, tab) if tab is not None else {"filters": filters_of(filters)} if filters else None
    )
    # Tasks that are named are all meant; of a tab or filter only when nothing else is said.
    keep = BELOW if below is not None else DIFFER if differ is not None else MISSING
    if keep == MISSING and (everything or named or (again and view is not None)):
        keep = ALL
    versions = None
    if differ is not None:
        versions = tuple(resolved_version(store, project_id, name) for name in differ)
        if versions[0] == versions[1]:
            raise InputError(f"--differ names {versions[0]} twice: give two agents or versions.")
    return Selection(
        keep=keep,
        view=view,
        task_ids=tuple(ids) if named else None,
        below=below,
        differ=(versions[0], versions[1]) if versions is not None else None,
        sample=sample,
        seed=seed,
        again=again,
    )


def filters_of(texts: Sequence[str]) -> dict[str, Any]:
    """Data Manager filters, as JSON or in the short form; several must all hold."""
    if len(texts) == 1 and texts[0].lstrip().startswith("{"):
        return _checked(_json(texts[0]))
    return {"conjunction": "and", "items": [_short(text) for text in texts]}


def _short(text: str) -> dict[str, Any]:
    match = _SHORT.fullmatch(text)
    if match is None:
        raise InputError(f"--filter {text!r} cannot be read: {_HELP}, or Data Manager filters as JSON.")
    column, operator, value = match[1], _OPERATORS[match[2]], match[3].strip().strip("\"'")
    column = column.removeprefix("filter:").removeprefix("tasks:")
    if operator == "empty":
        return _item(column, operator, "Boolean", value.lower() not in ("false", "no", "0"))
    is_number = operator not in ("contains", "not_contains", "regex") and _is_number(value)
    return _item(column, operator, "Number" if is_number else "String", _number(value) if is_number else value)


def _item(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


def _checked(filters: Any) -> dict[str, Any]:
    """Label Studio leaves out, without a word, an item that it does not know: then everything would be selected."""
    items = filters.get("items") if isinstance(filters, Mapping) else None
    if not isinstance(items, list) or filters.get("conjunction", "and") not in ("and", "or"):
        raise InputError('--filter must be {"conjunction": "and", "items": [...]}, as the Data Manager has it.')
    for item in items:
        wrong = not isinstance(item, Mapping) or not str(item.get("filter")).startswith("filter:tasks:")
        if wrong or item.get("value") is None or not all(isinstance(item.get(k), str) for k in ("operator", "type")):
            raise InputError(
                '--filter: each item needs "filter" (it begins with "filter:tasks:"), "operator", "type" and "value".'
            )
    return {"conjunction": filters.get("conjunction", "and"), "items": items}


def _view_of(labels: Labels, project_id: int, named: str) -> dict[str, Any]:
    """What the tab with this id or title shows."""
    tabs = labels.tabs(project_id)
    found = [tab for tab in tabs if tab.title == named] or [tab for tab in tabs if str(tab.id) == named]
    if len(found) != 1:
        told = ", ".join(f'{tab.id} "{tab.title}"' for tab in tabs[:10]) or "none"
        why = "several tabs have that title: give its id" if found else "there is no such tab"
        raise InputError(f"--tab {named!r}: {why}; project {project_id} has {told}.")
    return _shown(found[0])


def _shown(tab: Tab) -> dict[str, Any]:
    """The order in which a tab shows its tasks says nothing about which they are."""
    view: dict[str, Any] = {}
    filters = tab.data.get("filters")
    if isinstance(filters, Mapping) and filters.get("items"):
        items = [item for item in filters["items"] if isinstance(item, Mapping) and item.get("value") is not None]
        view["filters"] = {
            "conjunction": filters.get("conjunction", "and"),
            "items": items,
        }  # empty ones hold back none
    selected = tab.data.get("selectedItems")
    if isinstance(selected, Mapping) and (selected.get("included") or selected.get("excluded")):
        view["selectedItems"] = dict(selected)
    return view


def _ids_of(path: Path) -> list[int]:
    """Task ids from a file: one a line, or a JSON list."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than 100 MB: give a file of task ids, one a line.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}): give a file of task ids.") from error
    words: list[Any] = _json(text) if text.lstrip().startswith("[") else text.split()
    try:
        ids = [int(word) for word in words if not isinstance(word, bool | float)]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: what is no number is no task id: give one id a line.") from error
    if not ids or len(ids) != len(words):
        raise InputError(f"{path} has no task ids: give one id a line.")
    return ids


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"That is no JSON ({type(error).__name__}): {_HELP}.") from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text) is not None


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)
