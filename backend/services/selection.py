"""Which tasks of a project a run is about: a small value that can be stored, and the tasks that it means.

A selection begins with the whole project, the tasks that a Data Manager view shows, or named ones; keeps those that
lack the version, all, those below a score, or those where two versions differ; and may take a sample of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from backend.core.errors import InputError
from backend.core.values import JSON, Task, canonical_hash
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Store
from backend.services.differing import differing_task_ids

MISSING, ALL, BELOW, DIFFER = "missing", "all", "below", "differ"
_BATCH = 500
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Raises `InputError` where its parts make no sense together."""

    keep: str = MISSING  # "missing" (the current version, or failed under it), "all", "below" or "differ"
    view: Mapping[str, JSON] | None = None  # "filters" and "selectedItems", as Label Studio's Data Manager has them
    task_ids: tuple[int, ...] | None = None
    below: float | None = None  # with "below": the score, in (0, 1]
    differ: tuple[str, str] | None = None  # with "differ": two version strings
    sample: int | None = None  # at most as many, by chance
    seed: int = 0  # the same seed takes the same tasks
    again: bool = False  # what is answered is asked anew

    def __post_init__(self) -> None:
        if self.view is not None and self.task_ids is not None:
            raise InputError("A tab or filter and named tasks cannot be combined: give one of them.")
        if self.keep not in (MISSING, ALL, BELOW, DIFFER):
            raise InputError(f"There is no selection of {self.keep!r} tasks.")
        if (self.keep == BELOW) != (self.below is not None) or (self.keep == DIFFER) != (self.differ is not None):
            raise InputError("Give one of --all, --below and --differ.")
        if self.below is not None and not 0 < self.below <= 1:
            raise InputError(f"--below {self.below:g} is no score: give a number above 0, up to 1.")
        if self.sample is not None and self.sample < 1:
            raise InputError("--sample must be at least 1.")
        if self.again and self.keep == MISSING:
            raise InputError(
                "--again asks anew what is answered: say which tasks with --all, --tab, --filter or --task."
            )

    @property
    def asks_anew(self) -> bool:
        """Whether tasks that have an answer get a new one."""
        return self.again or self.keep in (BELOW, DIFFER)

    def to_json(self) -> dict[str, JSON]:
        """Only what differs from the default."""
        plain: dict[str, JSON] = {
            "keep": self.keep,
            "view": self.view,
            "task_ids": list(self.task_ids) if self.task_ids is not None else None,
            "below": self.below,
            "differ": list(self.differ) if self.differ is not None else None,
            "sample": self.sample,
            "seed": self.seed or None,
            "again": self.again or None,
        }
        return {name: value for name, value in plain.items() if value is not None}


def selected_tasks(
    selection: Selection, labels: Labels, store: Store, row: ProjectRow, variables: Sequence[str]
) -> Iterator[tuple[Task, bool]]:
    """The tasks, each once, with only the named data keys; and of each whether Label Studio surely lacks a prediction
    of the project's version. Reads page by page. Raises `InputError` where two versions cannot be compared."""
    whole = selection.view is None and selection.task_ids is None and selection.sample is None
    if whole and selection.keep in (MISSING, ALL):  # one pass over the tasks themselves
        version = _shown(store, row) if selection.keep == MISSING else None
        for task in labels.tasks(row.id, variables, without_version=version):
            yield task, version is not None
        if selection.keep == MISSING and row.version is not None:
            for task in labels.tasks(row.id, variables, ids=store.failed_task_ids(row.id, row.version)):
                yield task, False
        return
    for batch in _batches(selected_ids(selection, labels, store, row)):
        absent = dict(batch)
        for task in labels.tasks(row.id, variables, ids=list(absent)):
            yield task, absent[task.id]


def selected_ids(selection: Selection, labels: Labels, store: Store, row: ProjectRow) -> Iterator[tuple[int, bool]]:
    """The ids of `selected_tasks`, each once, without reading the tasks' data."""
    kept = _kept(selection, labels, store, row)
    if selection.sample is None:
        return kept
    lots = ((canonical_hash([selection.seed, task_id]), task_id, absent) for task_id, absent in kept)
    drawn = heapq.nsmallest(selection.sample, lots)
    return iter(sorted((task_id, absent) for _, task_id, absent in drawn))


def _kept(selection: Selection, labels: Labels, store: Store, row: ProjectRow) -> Iterator[tuple[int, bool]]:
    if selection.keep == MISSING:
        yield from _missing(selection, labels, store, row)
    elif selection.keep == ALL:
        for task_id in _base(selection, labels, row):
            yield task_id, False
    else:
        wanted = _below(selection, store, row) if selection.below is not None else _differing(selection, store, row)
        yield from _within(wanted, selection, labels, row)


def _shown(store: Store, row: ProjectRow) -> str | None:
    """The row's version as Label Studio knows it."""
    return None if row.version is None else store.shown_version(row.id, row.version)


def _base(selection: Selection, labels: Labels, row: ProjectRow) -> Iterator[int]:
    """The ids that the selection begins with."""
    if selection.task_ids is not None:
        return labels.task_ids(row.id, ids=sorted(set(selection.task_ids)))
    return labels.task_ids(row.id, view=selection.view)


def _missing(selection: Selection, labels: Labels, store: Store, row: ProjectRow) -> Iterator[tuple[int, bool]]:
    """Those without a prediction of the version, and those that failed under it."""
    if row.version is None:
        return
    failed = set(store.failed_task_ids(row.id, row.version))
    if selection.view is None and selection.task_ids is None:
        for task_id in labels.task_ids(row.id, without_version=_shown(store, row)):
            failed.discard(task_id)
            yield task_id, True
        for task_id in labels.task_ids(row.id, ids=sorted(failed)) if failed else ():
            yield task_id, False
        return
    for batch in _batches(_base(selection, labels, row)):
        absent = set(labels.task_ids(row.id, ids=batch, without_version=_shown(store, row)))
        for task_id in batch:
            if task_id in absent or task_id in failed:
                yield task_id, task_id in absent


def _within(wanted: Iterable[int], selection: Selection, labels: Labels, row: ProjectRow) -> Iterator[tuple[int, bool]]:
    """Of the wanted those that the selection begins with; Label Studio has predictions of them."""
    if selection.view is None and selection.task_ids is None:
        for batch in _batches(wanted):
            for task_id in labels.task_ids(row.id, ids=batch):
                yield task_id, False
        return
    known: Collection[int] = set(wanted)
    for task_id in _base(selection, labels, row) if known else ():
        if task_id in known:
            yield task_id, False


def _below(selection: Selection, store: Store, row: ProjectRow) -> Iterator[int]:
    assert selection.below is not None  # the caller has looked
    return store.task_ids_below(row.id, row.version, selection.below) if row.version is not None else iter(())


def _differing(selection: Selection, store: Store, row: ProjectRow) -> Iterator[int]:
    assert selection.differ is not None  # a selection has one of the two
    return differing_task_ids(store, row.id, *selection.differ)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
