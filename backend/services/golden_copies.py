"""The copies that golden questions are, in Label Studio: each has its prediction under the version that is shown, as
every other task has, and goes on having it when scores are fitted anew or the version changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from backend.core.errors import ConfigError
from backend.core.golden import GoldenTask
from backend.core.scorings import shown_version
from backend.core.values import Prediction
from backend.labeling.config import LabelingConfig
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Store
from backend.services.projects import answerable
from backend.services.scorings import to_write

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GoldenCopies:
    """Of an installation. Raises a `LabelStudioError` and `StoreError`."""

    store: Store
    labels: Labels

    def write(self, row: ProjectRow) -> int:
        """For the project's writer: give the copies that lack it their prediction under the name that is written now;
        how many. Nothing is asked of Label Studio where none lacks it."""
        if row.version is None:
            return 0
        name = name_to_write(self.store, row.id, row.version)
        behind = [one for one in fitting(self.store, row) if one.written_as != name]
        if not behind:
            return 0
        lacking = set(self.labels.task_ids(row.id, ids=_ids(behind), without_version=name))
        records = self.store.records(row.id, row.version, [one.source_task_id for one in behind])
        scores = {task_id: record.score for task_id, record in records.items()}
        predictions = [
            Prediction(
                task_id=one.task_id,
                model_version=name,
                result=one.result,
                score=scores.get(one.source_task_id, one.score),
            )
            for one in behind
            if one.task_id is not None and one.task_id in lacking
        ]
        created = self.labels.import_predictions(row.id, predictions) if predictions else 0
        if created < len(predictions):  # of which ones is told next time
            extra = {"project": row.id, "sent": len(predictions), "written": created}
            _log.warning("import wrote fewer predictions of golden questions than were sent", extra=extra)
            return created
        self.store.update_golden([replace(one, written_as=name) for one in behind])
        return created

    def check(self, row: ProjectRow, shown: str, clock: Callable[[], datetime]) -> bool:
        """Compare with Label Studio: copies that somebody deleted end, those that lost their prediction are to be
        written again; whether any is."""
        known = [one for one in self.store.golden_tasks(row.id) if one.task_id is not None]
        if not known:
            return False
        there = self.labels.existing_tasks(row.id, _ids(known))
        gone = [replace(one, ended_at=clock()) for one in known if one.task_id not in there]
        lacking = set(self.labels.task_ids(row.id, ids=_ids(known), without_version=shown))
        lost = [replace(one, written_as=None) for one in known if one.task_id in lacking and one.written_as == shown]
        if gone or lost:
            _log.info("golden questions lack", extra={"project": row.id, "deleted": len(gone), "lost": len(lost)})
            self.store.update_golden([*gone, *lost])
        return bool(lost)

    def written(self, project_id: int, shown: str) -> int:
        """How many predictions of that version Label Studio has for golden questions."""
        return sum(one.written_as == shown for one in self.store.golden_tasks(project_id))


def name_to_write(store: Store, project_id: int, version: str) -> str:
    """The name under which predictions are written now, which is not shown yet while scores come into use."""
    fit = to_write(store.scorings(project_id, version))
    return shown_version(version, fit.number if fit is not None else 0)


def fitting(store: Store, row: ProjectRow) -> list[GoldenTask]:
    """The golden questions that can be answered under the project's labeling config as it is."""
    known = [one for one in store.golden_tasks(row.id) if one.task_id is not None]
    try:
        config = answerable(row.label_config) if known else None
    except ConfigError:
        return []
    return [one for one in known if config is not None and fits(config, one)]


def fits(config: LabelingConfig, one: GoldenTask) -> bool:
    """Whether the control is still there, and both its labels are."""
    values = {
        option.value for control in config.controls if control.name == one.control for option in control.closed_options
    }
    return {one.label, one.shown} <= values


def _ids(tasks: Sequence[GoldenTask]) -> list[int]:
    return sorted(one.task_id for one in tasks if one.task_id is not None)
