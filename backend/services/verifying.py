"""What people did with a project's predictions, read from Label Studio and stored: one reading for the webhook, which
names tasks, and for the catching up, which finds them. What is stored first is what holds when a prediction is deleted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

from backend.core.errors import ConfigError, LabelStudioError, ProjectUnknown, not_connected
from backend.core.scorings import content_version
from backend.core.values import JSON
from backend.core.verifications import Verification, VerificationOutcome
from backend.labeling.config import LabelingConfig
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels
from backend.ports.store import ProjectRow, Store
from backend.ports.verifications import CaughtUp
from backend.services.judging import Circumstances, judge
from backend.services.projects import answerable

_log = logging.getLogger(__name__)
_PAGE = 100  # tasks that are held at a time with all that was said of them
_UNSEEN = timedelta(minutes=5)  # of two readings overlaps: the clocks of two machines differ, and changes take time


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one reading found. Adds."""

    tasks: int = 0  # that were looked at, with their annotations
    changed: int = 0  # verifications that are new or other than before
    deleted: int = 0  # annotations that are gone
    outcomes: Mapping[str, int] = field(default_factory=dict)  # of the annotations that were looked at

    def __add__(self, other: Read) -> Read:
        return Read(
            tasks=self.tasks + other.tasks,
            changed=self.changed + other.changed,
            deleted=self.deleted + other.deleted,
            outcomes=dict(Counter(self.outcomes) + Counter(other.outcomes)),
        )


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Raises a `LabelStudioError` and `StoreError`."""

    store: Store
    labels: Labels
    clock: Clock
    annotated: Callable[[int, Collection[int]], None]  # told the project and the tasks that have an annotation
    submitted: Callable[[int], None] = lambda project_id: None  # told the project whenever annotations were read
    slice_columns: tuple[str, ...] = ()

    def look(self, project_id: int, task_ids: Sequence[int], annotation_ids: Sequence[int] = ()) -> Read:
        """Read these tasks, and those of these annotations, which may be gone. Of an unknown project: nothing."""
        asked = self._asked(project_id)
        if asked is None:
            _log.info("annotations of a project that is not known", extra={"project": project_id})
            return Read()
        ids = {*task_ids, *self.store.tasks_annotated(project_id, annotation_ids)}
        found = self._read(*asked, sorted(ids))
        self.submitted(project_id)
        return found

    def catch_up(self, project_id: int, *, everything: bool = False) -> Read:
        """Read the tasks that changed since the last time; all, with `everything`, under another labeling config and
        the first time. Then compare the number of annotations, and find the tasks where it differs.

        Raises `ProjectUnknown`, also where nothing of the labeling config can be answered.
        """
        asked = self._asked(project_id)
        if asked is None:
            raise ProjectUnknown(not_connected(project_id))
        row, config = asked
        began, before = self.clock(), self.store.caught_up(project_id)
        known = self.store.annotations_known(project_id)
        if everything or before is None or before.config_fingerprint != config.fingerprint:
            there = {task_id for task_id, _ in self.labels.annotation_counts(project_id)}
            found = self._read(row, config, sorted(there | known.keys()))
        else:
            changed = self.labels.annotation_counts(project_id, since=before.since - _UNSEEN)
            found = self._read(row, config, (task_id for task_id, n in changed if n or task_id in known))
            found += self._where_counts_differ(row, config)
        self.store.set_caught_up(project_id, CaughtUp(since=began, config_fingerprint=config.fingerprint))
        extra = {"project": project_id, "tasks": found.tasks, "changed": found.changed, "deleted": found.deleted}
        self.submitted(project_id)
        _log.info("annotations were read", extra=extra)
        return found

    def keep_up(self, project_id: int) -> None:
        """`catch_up` for whoever comes back anyway: a Label Studio that is away, or lost the project, is logged."""
        try:
            self.catch_up(project_id)
        except (LabelStudioError, ProjectUnknown) as error:
            extra = {"project": project_id, "reason": error.for_log}
            _log.warning("annotations were not read: tried again in a few minutes", extra=extra)

    def _where_counts_differ(self, row: ProjectRow, config: LabelingConfig) -> Read:
        """What no task's time of change tells: tasks that were deleted, and what clocks hid. Two counts where all is
        well."""
        known = self.store.annotations_known(row.id)
        if self.labels.annotation_total(row.id) == sum(known.values()):
            return Read()
        there = dict(self.labels.annotation_counts(row.id))
        differing = sorted(i for i in there.keys() | known.keys() if there.get(i, 0) != known.get(i, 0))
        return self._read(row, config, differing)

    def _asked(self, project_id: int) -> tuple[ProjectRow, LabelingConfig] | None:
        row = self.store.project(project_id)
        try:
            return (row, answerable(row.label_config)) if row is not None else None
        except ConfigError:
            return None

    def _read(self, row: ProjectRow, config: LabelingConfig, task_ids: Iterable[int]) -> Read:
        waiting, found = iter(task_ids), Read()
        while ids := list(islice(waiting, _PAGE)):
            found += self._page(row, config, ids)
        return found

    def _page(self, row: ProjectRow, config: LabelingConfig, ids: Sequence[int]) -> Read:
        # Before Label Studio is asked: what somebody stores meanwhile is not taken for deleted.
        known = {v.annotation_id: v for v in self.store.verifications(row.id, task_ids=ids, everything=True)}
        answers = self.store.answers_of(row.id, ids)
        judged: list[Verification] = []
        for found in self.labels.annotated_tasks(row.id, ids):
            task = _by_content(found)
            around = Circumstances(
                project_id=row.id,
                version=row.version,
                config=config,
                slice_columns=self.slice_columns,
                answers=answers.get(task.id, ()),
            )
            judged += [judge(one, task, known.get(one.id), around) for one in task.annotations]
        changed = self.store.save_verifications(judged)
        self.annotated(row.id, {v.task_id for v in judged if v.outcome is not VerificationOutcome.SKIPPED})
        gone = known.keys() - {v.annotation_id for v in judged}
        return Read(
            tasks=len(ids),
            changed=changed,
            deleted=self.store.delete_verifications(row.id, gone) if gone else 0,
            outcomes=Counter(v.outcome.value for v in judged),
        )


def _by_content(task: AnnotatedTask) -> AnnotatedTask:
    """The task with its predictions' versions as they are stored: a fit of the scores changes no answer."""
    predictions = (p if p.version is None else replace(p, version=content_version(p.version)) for p in task.predictions)
    return replace(task, predictions=tuple(predictions))


def in_numbers(store: Store, project_id: int) -> dict[str, JSON]:
    """What is known of a project's annotations."""
    caught_up = store.caught_up(project_id)
    counts = store.verification_counts(project_id)
    outcomes = ("confirmed", "corrected", "skipped", "blind", "accepted")
    return {
        "verified_tasks": len(store.verified_task_ids(project_id)),
        "outcomes": {name: counts[name] for name in outcomes if name in counts},
        "stale": counts.get("stale", 0),
        "unfit": counts.get("problem", 0),
        "deleted": counts.get("deleted", 0),
        "taken_back": counts.get("taken_back", 0),
        "golden": counts.get("golden", 0),
        "left_out": counts.get("left_out", 0),
        "read_at": caught_up.since.isoformat() if caught_up else None,
    }
