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
from functools import cached_property

from backend.core.scorings import content_version
from backend.core.values import JSON
from backend.ports.labels import Labels, Tab
from backend.ports.store import Store
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

    kind: str  # `VERIFY`, `CONFLICTS` or `AUDIT`: its title, unless its users have a tab of that title
    tab: Tab
    tasks: int  # that it shows now
    beyond: int  # that would take more ranges: tasks that it lacks; in "Verify next", repeats that it shows


@dataclass(frozen=True, kw_only=True)
class _Tabs:
    """The tabs of one project. Those that were not made here are left alone: their users may have made them."""

    store: Store
    labels: Labels
    columns: Sequence[str]
    project_id: int

    @cached_property
    def _there(self) -> Sequence[Tab]:
        return self.labels.tabs(self.project_id)

    @cached_property
    def _own(self) -> set[int]:
        return self.store.own_tabs(self.project_id)

    def known(self, kind: str) -> Tab | None:
        """The one that was made here and is still called so."""
        return next((tab for tab in self._there if tab.id in self._own and tab.title in (kind, _beside(kind))), None)

    def save(self, kind: str, filters: Sequence[Mapping[str, JSON]], ordering: str) -> Tab:
        known = self.known(kind)
        taken = any(tab.title == kind for tab in self._there)
        order: dict[str, JSON] = {
            "title": known.title if known else _beside(kind) if taken else kind,
            "type": "list",
            "target": "tasks",
            "ordering": [ordering],
            "filters": {"conjunction": "and", "items": list(filters)},
        }
        data = {**tab_layout(self.columns), **(known.data if known else {}), **order}
        saved = self.labels.save_tab(self.project_id, known.id if known else None, data)
        self.store.note_tab(self.project_id, saved.id)
        return saved


def save_tabs(
    store: Store, labels: Labels, columns: Sequence[str], remaining: Remaining, *, audit: bool = False
) -> list[SavedTab]:
    """Make the tabs, or bring them up to date: "Verify next"; "Conflicts" where conflicts were looked for; "Audit"
    where it is asked for or was. Which columns are shown, and how wide, stays as the users have arranged it."""
    tabs = _Tabs(store=store, labels=labels, columns=columns, project_id=remaining.project_id)
    saved = [_verify_next(tabs, remaining)]
    if remaining.conflicts is not None:
        saved.append(_only(tabs, remaining, CONFLICTS, remaining.conflicts, _BY_SCORE))
    if audit or tabs.known(AUDIT) is not None:
        saved.append(_only(tabs, remaining, AUDIT, remaining.ids("audit"), _BY_ID))
    return saved


def _beside(kind: str) -> str:
    """The title where the users have a tab of the other."""
    return f"{kind} (Prelabel)"


def _verify_next(tabs: _Tabs, remaining: Remaining) -> SavedTab:
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
    tab = tabs.save(VERIFY, filters, _BY_SCORE)
    repeats = remaining.counts["repeat"]
    return SavedTab(kind=VERIFY, tab=tab, tasks=remaining.counts["verify"] + repeats - hidden, beyond=repeats - hidden)


def _only(tabs: _Tabs, remaining: Remaining, kind: str, wanted: Sequence[int], ordering: str) -> SavedTab:
    """The first of the wanted tasks, as many as fit."""
    shown, ranges = showing(wanted, {*remaining.places, *remaining.golden})
    filters = [*map(_none_of, _NOBODY_YET), *map(_without, ranges)]
    tab = tabs.save(kind, filters, ordering)
    return SavedTab(kind=kind, tab=tab, tasks=shown, beyond=len(wanted) - shown)


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
