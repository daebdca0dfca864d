"""Truer scores: fitted again as people verify, with what was tried and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backend.confidence.adoption import Raw
from backend.core.scorings import Scoring, ScoringState
from backend.learning.fitting import ControlFit, fit_control, mean_change
from backend.ports.clock import Clock
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.current_scores import confidences, lowest
from backend.services.fitting_rows import predicted, said_of
from backend.services.projects import answerable
from backend.services.report import judgements
from backend.services.scorings import scores_of, to_write

EVERY = 25  # submitted annotations
LEAST_CHANGE = 0.01  # of unverified scores, on average: less is no reason to write all predictions anew
_COUNTED = ("confirmed", "corrected", "blind")  # outcomes


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a fit found, before anything is stored of it."""

    scoring: Scoring  # adopted, where its scores are worth writing; else only to be told
    scores: Mapping[int, tuple[str, float | None]]  # record -> the hash of its data, its new score


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The fitted scores of an installation."""

    store: Store
    queue: Queue
    clock: Clock

    def submitted(self, project_id: int) -> None:
        """To be told whenever annotations were read: asks for a fit when enough are new. Raises `QueueError`."""
        if self.due(project_id):
            self.queue.enqueue_refit(project_id)

    def due(self, project_id: int) -> bool:
        """Whether since the last fit of the current version, one that never ended included, enough was submitted, taken
        back or submitted anew, or enough of what is verified was answered; or an annotator was left out, or counts
        again. Without a fit: whether enough of what the version answered is verified."""
        row = self.store.project(project_id)
        if row is None or row.version is None:
            return False
        last = next(iter(self.store.scorings(project_id, row.version)), None)
        answers = self.store.verified_answers(project_id, row.version)
        if last is None:
            return answers >= EVERY
        left_out = self.store.left_out_changed_at(project_id)
        if left_out is not None and left_out > last.created_at:
            return True
        moved = max(abs(answers - last.answers), abs(self._annotations(project_id) - last.annotations))
        if moved >= EVERY or self.store.verification_change(project_id) == last.change:
            return moved >= EVERY
        return self.store.verified_answers(project_id, row.version, changed_after=last.change) >= EVERY

    def begin(self, row: ProjectRow, version: str) -> Scoring:
        """The next fit of the version, as of what is known now; to be stored before `find`, which may be killed."""
        before = self.store.scorings(row.id, version)
        return Scoring(
            project_id=row.id,
            version=version,
            number=before[0].number + 1 if before else 1,
            state=ScoringState.BEGUN,
            annotations=self._annotations(row.id),
            change=self.store.verification_change(row.id),
            answers=self.store.verified_answers(row.id, version),
            controls=(),
            created_at=self.clock(),
        )

    def find(self, row: ProjectRow, begun: Scoring) -> Found:
        """Fit the version's scores on all that is verified. Stores nothing. Raises `ConfigError` where nothing of the
        labeling config can be answered."""
        version = begun.version
        config = answerable(row.label_config)
        answers = list(self.store.scored_answers(row.id, version))
        said = said_of(config, judgements(self.store, row, version, list(self.store.verifications(row.id))))
        current = to_write(self.store.scorings(row.id, version))
        used = scores_of(current) if current else {}
        fits = {
            control: fit_control(rows, said.get(control, {}), in_use=used.get(control, Raw()))
            for control, rows in predicted(config, answers).items()
        }
        raws = confidences(answers)
        scores = {a.task_id: lowest(raws[a.task_id], _of(fits, a.task_id)) for a in answers}
        verified = {task_id for tasks in said.values() for task_id in tasks}
        change = mean_change([(a.score, scores[a.task_id]) for a in answers if a.task_id not in verified])
        worth = any(fit.adoption.changed for fit in fits.values()) or change >= LEAST_CHANGE
        scoring = replace(
            begun,
            state=ScoringState.ADOPTED if worth else ScoringState.TOLD,
            controls=tuple(fit.told(control) for control, fit in fits.items()),
        )
        return Found(scoring=scoring, scores={a.record_id: (a.data_hash, scores[a.task_id]) for a in answers})

    def _annotations(self, project_id: int) -> int:
        counts = self.store.verification_counts(project_id)
        return sum(counts.get(outcome, 0) for outcome in _COUNTED)


def _of(fits: Mapping[str, ControlFit], task_id: int) -> dict[str, float | None]:
    return {control: fit.scores.get(task_id) for control, fit in fits.items()}
