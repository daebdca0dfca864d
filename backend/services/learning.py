"""Truer scores: fitted again as people verify, stored with what was tried and why, and told."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from backend.confidence.adoption import Raw
from backend.core.errors import ConfigError
from backend.core.scorings import Scoring, ScoringState
from backend.learning.fitting import ControlFit, fit_control
from backend.ports.clock import Clock
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.fitting_rows import predicted, said_of
from backend.services.projects import answerable
from backend.services.report import judgements
from backend.services.scorings import scores_in_use

_log = logging.getLogger(__name__)
EVERY = 25  # submitted annotations
_COUNTED = ("confirmed", "corrected", "blind")  # outcomes


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The fitted scores of an installation."""

    store: Store
    queue: Queue
    clock: Clock

    def submitted(self, project_id: int) -> None:
        """To be told whenever annotations were read: asks for a fit when enough are new. Raises `QueueError`."""
        row = self.store.project(project_id)
        if row is None or row.version is None:
            return
        last = next(iter(self.store.scorings(project_id, row.version)), None)
        if abs(self._annotations(project_id) - (last.annotations if last else 0)) >= EVERY:
            self.queue.enqueue_refit(project_id)

    def refit(self, project_id: int) -> Scoring:
        """Fit the scores of the current version on all that is verified now, and keep what was found.

        Raises `ConfigError` for a project that is not known, or of which nothing can be answered."""
        row, version = self._known(project_id)
        fits = self._fits(row, version)
        last = next(iter(self.store.scorings(project_id, version)), None)
        scoring = Scoring(
            project_id=project_id,
            version=version,
            number=last.number + 1 if last else 1,
            state=ScoringState.TOLD,
            annotations=self._annotations(project_id),
            controls=tuple(fit.told(control) for control, fit in fits.items()),
            created_at=self.clock(),
        )
        self.store.save_scoring(scoring)
        _log.info("scores were fitted", extra={"project": project_id, "fit": scoring.number})
        return scoring

    def _fits(self, row: ProjectRow, version: str) -> dict[str, ControlFit]:
        config = answerable(row.label_config)
        rows = predicted(config, self.store.scored_answers(row.id, version))
        said = said_of(config, judgements(self.store, row, version, list(self.store.verifications(row.id))))
        used = scores_in_use(self.store.scorings(row.id, version))
        return {
            control: fit_control(answers, said.get(control, {}), in_use=used.get(control, Raw()))
            for control, answers in rows.items()
        }

    def _annotations(self, project_id: int) -> int:
        counts = self.store.verification_counts(project_id)
        return sum(counts.get(outcome, 0) for outcome in _COUNTED)

    def _known(self, project_id: int) -> tuple[ProjectRow, str]:
        row = self.store.project(project_id)
        if row is None or row.version is None:
            raise ConfigError(f"Nothing is known of project {project_id}: run `prelabel connect` for it first.")
        return row, row.version
