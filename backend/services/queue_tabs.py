"""The Data Manager tabs by which people work through what remains.

A tab of Label Studio 1.23 has no filter by a prediction's `cluster`, and none by a list of ids: with the API's own
`in_list` the Data Manager does not open at all, and a `regex` on the id is emptied when somebody opens the tab. What
it has, and what "Label Tasks As Displayed" respects, are ranges of numbers. So ids are left out by ranges; since each
is a row of the tab's filters and takes 10 to 30 ms, there are at most `MOST_RANGES`, and what comes first goes first.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backend.core.scorings import content_version
from backend.core.values import JSON
from backend.ports.labels import Labels, Tab
from backend.services.connect import NOT_LABELLED, tab_layout
from backend.services.remaining import Remaining

VERIFY, CONFLICTS, AUDIT = "Verify next", "Conflicts", "Audit"
MOST_RANGES = 50
_BEYOND = 10**15  # an id that no task has
_BY_SCORE, _BY_ID = "tasks:predictions_score", "tasks:id"
_NOBODY_YET = ("total_annotations", "cancelled_annotations")  # neither annotated nor skipped
_TO_SHOW = ("verify", "waiting", "audit")  # now, or when they have a prediction


@dataclass(frozen=True, kw_only=True)
class SavedTab:
    """A tab as it was saved."""

    tab: Tab
    tasks: int  # that it shows now
    beyond: int  # that would take more ranges: tasks that it lacks; in "Verify next", repeats that it shows


def save_tabs(labels: Labels, columns: Sequence[str], remaining: Remaining, *, audit: bool = False) -> list[SavedTab]:
    """Make the tabs, or bring them up to date: "Verify next"; "Conflicts" where conflicts were looked for; "Audit"
    where it is asked for or there. Which columns are shown, and how wide, stays as the users have arranged it."""
    known = {tab.title: tab for tab in labels.tabs(remaining.project_id)}
    saved = [_verify_next(labels, columns, remaining, known)]
    if remaining.conflicts is not None:
        saved.append(_only(labels, columns, remaining, known, CONFLICTS, remaining.conflicts, _BY_SCORE))
    if audit or AUDIT in known:
        saved.append(_only(labels, columns, remaining, known, AUDIT, remaining.ids("audit"), _BY_ID))
    return saved


def _verify_next(labels: Labels, columns: Sequence[str], remaining: Remaining, known: Mapping[str, Tab]) -> SavedTab:
    """What has a prediction of the current version, under whichever fit's name, but the repeats."""
    coming = {task_id for task_id, place in remaining.places.items() if place in _TO_SHOW} | remaining.golden
    hidden, ranges = hiding(remaining.ids("repeat"), coming)
    version: dict[str, JSON] = {
        "filter": "filter:tasks:predictions_model_versions",
        "operator": "contains",
        "type": "List",
        "value": [content_version(remaining.version)],
    }
    filters = [*NOT_LABELLED, _none_of("cancelled_annotations"), version, *map(_without, ranges)]
    tab = _save(labels, columns, remaining.project_id, known.get(VERIFY), VERIFY, filters, _BY_SCORE)
    repeats = remaining.counts["repeat"]
    return SavedTab(tab=tab, tasks=remaining.counts["verify"] + repeats - hidden, beyond=repeats - hidden)


def _only(
    labels: Labels,
    columns: Sequence[str],
    remaining: Remaining,
    known: Mapping[str, Tab],
    title: str,
    wanted: Sequence[int],
    ordering: str,
) -> SavedTab:
    """The first of the wanted tasks, as many as fit."""
    shown, ranges = showing(wanted, {*remaining.places, *remaining.golden})
    filters = [*map(_none_of, _NOBODY_YET), *map(_without, ranges)]
    tab = _save(labels, columns, remaining.project_id, known.get(title), title, filters, ordering)
    return SavedTab(tab=tab, tasks=shown, beyond=len(wanted) - shown)


def hiding(unwanted: Sequence[int], wanted: Collection[int]) -> tuple[int, list[tuple[int, int]]]:
    """Ranges, ascending, that hold none of the wanted ids, and of the others as many of the first as fit; and how many
    of these they hold."""
    kept = sorted(wanted)
    between: dict[int, list[int]] = {}
    for task_id in unwanted:
        between.setdefault(bisect(kept, task_id), []).append(task_id)
    taken = list(between.values())[:MOST_RANGES]
    return sum(map(len, taken)), sorted((min(ids), max(ids)) for ids in taken)


def showing(wanted: Sequence[int], everything: Iterable[int]) -> tuple[int, list[tuple[int, int]]]:
    """Ranges, ascending, that hold every id, later ones too, but the wanted ones: all, or as many of the first as
    certainly fit; and how many those are."""
    known = list(everything)
    others = [-1, *known, max(known, default=0) + 1, _BEYOND]
    for shown in (wanted, wanted[: MOST_RANGES - 1]):
        kept = set(shown)
        left_out, ranges = hiding([task_id for task_id in others if task_id not in kept], kept)
        if left_out == len(others) - len(kept):
            break
    return len(shown), ranges


def _without(ids: tuple[int, int]) -> dict[str, JSON]:
    value = {"min": ids[0], "max": ids[1]}
    return {"filter": "filter:tasks:id", "operator": "not_in", "type": "Number", "value": value}


def _none_of(column: str) -> dict[str, JSON]:
    return {"filter": f"filter:tasks:{column}", "operator": "equal", "type": "Number", "value": 0}


def _save(
    labels: Labels,
    columns: Sequence[str],
    project_id: int,
    known: Tab | None,
    title: str,
    filters: Sequence[Mapping[str, JSON]],
    ordering: str,
) -> Tab:
    order: dict[str, JSON] = {
        "title": title,
        "type": "list",
        "target": "tasks",
        "ordering": [ordering],
        "filters": {"conjunction": "and", "items": list(filters)},
    }
    data = {**tab_layout(columns), **(known.data if known else {}), **order}
    return labels.save_tab(project_id, known.id if known else None, data)
