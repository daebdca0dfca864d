"""Which of a project's predictions may be accepted unseen; accepting them, and taking that back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.confidence.certificate import Audited, Certificate, ErrorOf, Refusal, certify
from backend.core.errors import ConfigError, LabelStudioNotFound, not_connected
from backend.core.verifications import VerificationOutcome
from backend.learning.report import one_a_task
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Store
from backend.services.report import judgements
from backend.services.scorings import to_write
from backend.services.students import has_met_the_audit

_UNDONE_AT_ONCE = 20  # annotations, some seconds


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found, and of which tasks."""

    version: str
    found: Certificate | Refusal
    accepted: tuple[int, ...]  # tasks that may be accepted unseen, and are not annotated yet; ascending


@dataclass(frozen=True, kw_only=True)
class Certifying:
    """Raises `ConfigError` for a project that is not known, `StoreError`, and a `LabelStudioError`."""

    store: Store
    labels: Labels

    def verdict(self, project_id: int, *, max_error: float, confidence: float, error_of: ErrorOf) -> Verdict:
        """From the annotations as they were read last. Tasks that the version has not answered are no part of it;
        what somebody skipped, or labelled in a way that fits no more, is left to people. An audit task at which
        somebody looked unseen, and of which no label is settled, counts as wrong.

        Where the scores were fitted on what people said, the audit's labels were among that; each of these tasks has
        its score from a fit without it (`learning/fitting.py`), and the promise is made at half the risk. So are the
        labels of a student (`learning/pupil.py`), and of an agent that was chosen by the audit (`calibrating.py`).
        """
        row, version = self._known(project_id)
        verified = list(self.store.verifications(project_id))
        scores = list(self.store.scores(project_id, version))
        plan = self.store.audit_plan(project_id)
        share = plan.reached_share(task_id for task_id, _ in scores) if plan is not None else None
        begun = plan.even_share(task_id for task_id, _ in scores) if plan is not None else None
        judged = one_a_task([j for j in judgements(self.store, row, version, verified, share=share) if j.audit])
        right = {judgement.task_id: ok for judgement, ok in judged}
        looked_at = {v.task_id for v in verified if v.is_label}
        unlooked = VerificationOutcome.ACCEPTED
        touched = {v.task_id for v in verified if v.outcome is not unlooked}  # skipped, too, and what fits no more
        unseen_by = {v.task_id for v in verified if v.outcome is not unlooked and not v.shown}
        fit = to_write(self.store.scorings(project_id, version))
        audit, waiting, checked, left_open, unseen = [], [], [], [], []
        for task_id, score in scores:
            if task_id in right:
                extension = plan is not None and not plan.holds(task_id, begun)
                audit.append(Audited(score=score, right=right[task_id], extension=extension))
            elif task_id in unseen_by and plan is not None and plan.holds(task_id, share):
                extension = not plan.holds(task_id, begun)
                audit.append(Audited(score=score, right=False, undecided=True, extension=extension))
            elif task_id in looked_at:
                checked.append(score)
            elif plan is not None and plan.holds(task_id):
                waiting.append(score)
            elif task_id in touched:
                left_open.append(score)
            else:
                unseen.append((task_id, score))
        found = certify(
            audit,
            [score for _, score in unseen],
            waiting=waiting,
            checked=checked,
            left_open=left_open,
            max_error=max_error,
            confidence=confidence,
            error_of=error_of,
            cross_fitted=(fit is not None and fit.fitted) or has_met_the_audit(self.store, project_id, version),
        )
        if isinstance(found, Refusal):
            return Verdict(version=version, found=found, accepted=())
        before = {v.task_id for v in verified if v.outcome is unlooked}
        accepted = [i for i, score in unseen if score is not None and score >= found.threshold and i not in before]
        return Verdict(version=version, found=found, accepted=tuple(accepted))

    def accept(self, project_id: int, verdict: Verdict) -> None:
        """Make annotations of what may be accepted, by Label Studio's own action: each has the prediction as its
        parent and nobody's time, by which they are told from what people said."""
        if verdict.accepted:
            shown = self.store.shown_version(project_id, verdict.version)
            self.labels.accept_predictions(project_id, shown, verdict.accepted)

    def undo(
        self, project_id: int, version: str | None = None, *, done: Callable[[int, int], None] = lambda n, of: None
    ) -> int:
        """Delete the annotations that were accepted unseen and that nobody has changed since, of one version or of
        all; how many. What people said stays. `done` is told now and then how many of how many are gone; interrupted,
        it goes on where it was when it is called again."""
        self._known(project_id)
        accepted = [
            v.annotation_id
            for v in self.store.verifications(project_id, everything=True)
            if v.outcome is VerificationOutcome.ACCEPTED and version in (None, v.version)
        ]
        for start in range(0, len(accepted), _UNDONE_AT_ONCE):
            done(start, len(accepted))
            some = accepted[start : start + _UNDONE_AT_ONCE]
            for annotation_id in some:
                try:
                    self.labels.delete_annotation(annotation_id)
                except LabelStudioNotFound:
                    continue  # it is gone already
            self.store.delete_verifications(project_id, some)
        done(len(accepted), len(accepted))
        return len(accepted)

    def _known(self, project_id: int) -> tuple[ProjectRow, str]:
        row = self.store.project(project_id)
        if row is None or row.version is None:
            raise ConfigError(not_connected(project_id))
        return row, row.version
