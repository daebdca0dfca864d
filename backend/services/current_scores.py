"""What is written now has the score and the name of the fit that is in use, however lately it was answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backend.confidence.adoption import Raw, Score, probability
from backend.confidence.cases import case_of
from backend.confidence.task_score import task_score
from backend.core.errors import ConfigError
from backend.core.scorings import ScoredAnswer, Scoring
from backend.labeling.config import LabelingConfig
from backend.ports.store import ProjectRow, Record, Store
from backend.services.fitting_rows import predicted
from backend.services.projects import answerable
from backend.services.scorings import scores_of, to_write


@dataclass(frozen=True, kw_only=True)
class CurrentScores:
    """A fit scores all that was answered before it (`rescoring.py`); this scores what is answered later, without the
    student, which is trained with each fit anew: until the next one the rest of the fit's numbers must do."""

    store: Store

    def brought_up(self, row: ProjectRow, records: Sequence[Record]) -> list[Record]:
        """The records with the score that they are to be written with, which is stored. All are of one version."""
        fit = to_write(self.store.scorings(row.id, records[0].version)) if records else None
        behind = [r for r in records if fit is not None and r.revision != fit.number]
        if fit is None or not behind:
            return list(records)
        own = {r.id: r.score for r in behind}
        found = {**own, **self._scores(row, fit, self.store.answers_of_records(list(own)))}
        self.store.set_scores(fit.number, found)
        return [replace(r, score=found[r.id], revision=fit.number) if r.id in found else r for r in records]

    def _scores(self, row: ProjectRow, fit: Scoring, answers: Sequence[ScoredAnswer]) -> dict[int, float | None]:
        """A labeling config of which nothing can be answered any more leaves what was answered under it as it is."""
        try:
            config = answerable(row.label_config)
        except ConfigError:
            return {}
        used, raws = scores_of(fit), confidences(answers)
        return {
            answer.record_id: lowest(raws[answer.task_id], own)
            for answer, own in zip(answers, _each(config, answers, used), strict=True)
        }


def _each(
    config: LabelingConfig, answers: Sequence[ScoredAnswer], used: Mapping[str, Score]
) -> Iterable[Mapping[str, float | None]]:
    """For each answer, what the scores give its controls."""
    found: dict[int, dict[str, float | None]] = {answer.task_id: {} for answer in answers}
    for control, rows in predicted(config, answers).items():
        for row in rows:
            case = case_of(row.raw, row.label, None)
            found[row.task_id][control] = probability(used.get(control, Raw()), case)
    return [found[answer.task_id] for answer in answers]


def confidences(answers: Iterable[ScoredAnswer]) -> dict[int, dict[str, float | None]]:
    """Task -> control -> the model's own confidence."""
    return {a.task_id: {name: told.confidence for name, told in a.controls.items()} for a in answers}


def lowest(raw: Mapping[str, float | None], fitted: Mapping[str, float | None]) -> float | None:
    """A task's score: the lowest over its controls, of each the fitted one where there is one."""
    return task_score({**raw, **{name: score for name, score in fitted.items() if score is not None}}.values())
