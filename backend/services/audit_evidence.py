"""What a project's blind audit says of one version: the evidence of its certificate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backend.confidence.certificate import Audited
from backend.core.audit import AuditPlan
from backend.core.values import canonical_hash
from backend.core.verifications import Verification, VerificationOutcome
from backend.learning.report import one_a_task
from backend.ports.store import ProjectRow, Store
from backend.services.report import judgements
from backend.services.scorings import to_write
from backend.services.students import has_met_the_audit

_UNLOOKED = VerificationOutcome.ACCEPTED


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All tasks that the version has answered, by what people know of them."""

    audit: Sequence[tuple[int, Audited]]  # task, what the audit found
    waiting: Sequence[float | None]  # scores, as `certify` takes them
    checked: Sequence[float | None]
    left_open: Sequence[float | None]
    unseen: Sequence[tuple[int, float | None]]  # task, score
    unanswered: int | None  # tasks that were annotated blind and that the version has not answered; None: no audit
    accepted_before: Collection[int]
    cross_fitted: bool
    made_by: str  # the version, and the fit that its scores are by

    def key(self, *asked: str | float) -> str:
        """The same for the same labels of the same answers, where the same was asked."""
        labels = [(task_id, one.right) for task_id, one in self.audit]
        return canonical_hash([self.made_by, labels, list(asked)])


def evidence(store: Store, row: ProjectRow, version: str) -> Evidence:
    """From the annotations as they were read last. Of the audit's tasks those at which somebody looked unseen and of
    which no label is settled (skipped, people disagree, or what they said fits no more) count as wrong."""
    verified = list(store.verifications(row.id))
    scores = list(store.scores(row.id, version))
    plan = store.audit_plan(row.id)
    share = plan.reached_share(task_id for task_id, _ in scores) if plan is not None else None
    begun = 0.0 if plan is None or plan.late else plan.even_share(task_id for task_id, _ in scores)
    judged = one_a_task([j for j in judgements(store, row, version, verified, share=share) if j.audit])
    right = {judgement.task_id: ok for judgement, ok in judged}
    labelled = {v.task_id for v in verified if v.is_label}
    touched = {v.task_id for v in verified if v.outcome is not _UNLOOKED}  # skipped, too, and what fits no more
    blindly = {v.task_id for v in verified if v.outcome is not _UNLOOKED and not v.shown}
    audit, waiting, checked, left_open, unseen = [], [], [], [], []
    for task_id, score in scores:
        undecided = task_id not in right
        if not undecided or (task_id in blindly and plan is not None and plan.holds(task_id, share)):
            extension = plan is not None and not plan.holds(task_id, begun)
            ok = right.get(task_id, False)
            audit.append((task_id, Audited(score=score, right=ok, undecided=undecided, extension=extension)))
        elif task_id in labelled:
            checked.append(score)
        elif plan is not None and plan.holds(task_id):
            waiting.append(score)
        elif task_id in touched:
            left_open.append(score)
        else:
            unseen.append((task_id, score))
    fit = to_write(store.scorings(row.id, version))
    return Evidence(
        audit=audit,
        waiting=waiting,
        checked=checked,
        left_open=left_open,
        unseen=unseen,
        unanswered=None if plan is None else _unanswered(plan, verified, {task_id for task_id, _ in scores}),
        accepted_before={v.task_id for v in verified if v.outcome is _UNLOOKED},
        cross_fitted=(fit is not None and fit.fitted) or has_met_the_audit(store, row.id, version),
        made_by=f"{version}.r{fit.number if fit is not None else 0}",
    )


def _unanswered(plan: AuditPlan, verified: Sequence[Verification], answered: Collection[int]) -> int:
    blind = {v.task_id for v in verified if v.is_label and not v.shown and plan.holds(v.task_id)}
    return len(blind.difference(answered))
