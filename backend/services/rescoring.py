"""A better score comes into use: the predictions are written anew under a name of their own, then switched, then the
old ones are deleted. At every moment a task has one prediction of the current version.

1. **Adopted.** What people said is read. In one transaction each answer gets its new score, the model's own being kept
   beside it; what Label Studio holds is to be written again; the fit is stored as adopted.
2. **Written.** The write-back writes as always, now under the new name (`name@hash.r2`). Verified tasks too: with the
   old predictions deleted they would have none, an opened one would be asked for again, and the column of scores would
   be empty for them. What the blind audit withholds stays withheld, and is written under the new name when released.
3. **Switched.** `/setup`, the backend's title and the project's model version name the new one. By now everything that
   could be seen has it.
4. **Deleted.** Not at once: who has a task open submits what he was shown, and Label Studio refuses an annotation that
   was started from a prediction that is gone. Before, what people said is read once more.

Each step may end anywhere and be repeated; the sweeper comes back until the last is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from backend.core.errors import ConfigError, PrelabelError, not_connected
from backend.core.scorings import Scoring, ScoringState, content_version, shown_version
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.learning import Found, Learning
from backend.services.projects import Projects
from backend.services.scorings import in_use, to_write
from backend.services.writeback import Writer

_log = logging.getLogger(__name__)
GRACE = timedelta(minutes=10)  # between 3 and 4


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """The re-scoring of an installation. Raises a `LabelStudioError`, `StoreError` and `QueueError`."""

    store: Store
    labels: Labels
    queue: Queue
    projects: Projects
    writer: Writer
    learning: Learning
    read: Callable[[int], object]  # what people said of a project, up to now; asks for no fit
    clock: Clock
    grace: timedelta = GRACE

    def work(self, project_id: int) -> None:
        """What is to do now: the steps that are left of the last fit, and a new one when enough was submitted."""
        self.settle(project_id)
        if self.learning.due(project_id):
            self.refit(project_id)

    def refit(self, project_id: int) -> Scoring | None:
        """Fit the scores of the current version on all that is verified, and bring a better one into use. None while
        an earlier one is still being written, another writer is at the project, or another fit was quicker: to be
        tried again. A fit that is killed, or takes longer than its message may, stays stored as begun: the next one
        follows when as much is new as after any other, and not at once, which would end in the same way.

        Raises `ConfigError` for a project that is not known, or of which nothing can be answered."""
        row, version = known(self.store, project_id)
        if self.queue.writer_at(project_id):
            return None
        self.read(project_id)
        fit = to_write(self.store.scorings(project_id, version))
        if fit is not None and fit.state is ScoringState.ADOPTED:
            return None
        begun = self.learning.begin(row, version)
        if not self.store.begin_scoring(begun):
            return None
        kept = False
        try:
            found = self.learning.find(row, begun)
            kept = self._keep(found, instead_of=fit)
        except (PrelabelError, KeyboardInterrupt):
            self.store.drop_begun_scoring(project_id, version, begun.number)
            raise
        if not kept:
            self.store.drop_begun_scoring(project_id, version, begun.number)
            return None
        scoring = found.scoring
        extra = {"project": project_id, "fit": scoring.number, "state": scoring.state.value}
        _log.info("scores were fitted", extra=extra)
        self.settle(project_id)
        return scoring

    def _keep(self, found: Found, *, instead_of: Scoring | None) -> bool:
        """False where another writer is at the project, or where another fit than `instead_of`, which was in use when
        this one began, is by now."""
        project_id = found.scoring.project_id
        if found.scoring.state is ScoringState.TOLD:
            self.store.save_scoring(found.scoring)
            return True
        with self.queue.writer_lock(project_id) as keep:
            used = to_write(self.store.scorings(project_id, found.scoring.version))
            if keep is None or (used and used.number) != (instead_of and instead_of.number):
                return False
            self.store.unclaim_deliveries(project_id)
            self.store.adopt_scoring(found.scoring, found.scores)
        return True

    def settle(self, project_id: int) -> None:
        """Go as far as can be gone now."""
        row = self.store.project(project_id)
        if row is None or row.version is None:
            return
        fit = to_write(self.store.scorings(project_id, row.version))
        if fit is not None and fit.state is ScoringState.ADOPTED:
            self.writer.write_back(project_id)
            if self.store.rewrites(project_id, row.version):
                return  # and come again: what is half written is not to be taken for old
            self.store.show_scoring(project_id, row.version, fit.number)
        shown = in_use(self.store.scorings(project_id, row.version))
        if shown is None or shown.cleared:
            return
        self._align(row, shown)
        if shown.shown_at is not None and shown.shown_at + self.grace <= self.clock():
            self._clear(row, shown)

    def _align(self, row: ProjectRow, shown: Scoring) -> None:
        if self.labels.project(row.id).model_version != shown_version(shown.version, shown.number):
            self.projects.sync(self.labels, row.id)

    def _clear(self, row: ProjectRow, shown: Scoring) -> None:
        """Delete what the fit replaced, once nothing hangs on it: what people said is read, and no task has an old
        prediction only, which one that was given in a `/predict` answer at the wrong moment may have."""
        current = shown_version(shown.version, shown.number)
        counts = self.labels.version_counts(row.id)
        old = [v for v in counts if content_version(v) == shown.version and v != current]
        old.sort(key=lambda version: counts[version])  # the one before is with most of the tasks
        if old:
            self.read(row.id)
            held = self.store.delivered_task_ids(row.id, shown.version, before=self.clock())
            lacking = sorted(held & set(self.labels.task_ids(row.id, without_version=current)))
            if lacking:
                self.store.offer_again(row.id, shown.version, lacking)
                self.writer.write_back(row.id)
                return  # and come again
            self.projects.stand_aside(self.labels, row.id, title=old[-1], version=current)
            for version in old:
                self.labels.delete_version(row.id, version)
        self.projects.sync(self.labels, row.id)
        self.store.set_cleared(row.id, shown.version, shown.number)


def known(store: Store, project_id: int) -> tuple[ProjectRow, str]:
    """The project and its current version. Raises `ConfigError`."""
    row = store.project(project_id)
    if row is None or row.version is None:
        raise ConfigError(not_connected(project_id))
    return row, row.version
