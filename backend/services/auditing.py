"""The blind audit of a project: begun with its first batch, released task by task, ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from backend.core.audit import AuditPlan, AuditRule
from backend.core.errors import InputError, LabelStudioNotFound
from backend.core.scorings import content_version
from backend.core.verifications import VerificationOutcome
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import Store


@dataclass(frozen=True, kw_only=True)
class AuditProgress:
    """How far an audit is: numbers of tasks that the plan draws and Label Studio has."""

    drawn: int
    annotated_blind: int
    annotated_shown: int  # a prediction was visible: they tell nothing of what labels are worth
    skipped: int  # and not annotated by anybody
    answered: int  # by the project's version
    withheld: int  # of these: made, and not shown

    @property
    def to_annotate(self) -> int:
        return self.drawn - self.annotated_blind - self.annotated_shown

    @property
    def released(self) -> int:
        return self.answered - self.withheld


@dataclass(frozen=True, kw_only=True)
class Auditing:
    """The blind audits of an installation. `secret`: 32 hex digits or more that nobody can guess, a new one a call."""

    store: Store
    labels: Labels
    queue: Queue
    rule: AuditRule
    clock: Clock
    secret: Callable[[], str]

    def begin(self, project_id: int) -> AuditPlan | None:
        """The project's plan: the one that it has, or a new one where the rule begins one by itself; else None.

        To be called before tasks are enlisted: what was shown is not blind any more.
        """
        known = self.store.audit_plan(project_id)
        if known is not None or not self.rule.on:
            return known
        return self._begin(project_id, self.rule)

    def draw(self, project_id: int, about: int) -> AuditPlan:
        """A plan that somebody asks for, of about so many tasks; a plan that is there is extended by exactly so many
        (one that was ended goes on, with what of it nobody has annotated), and where predictions were shown already
        exactly so many are drawn of what nobody has annotated. Raises `InputError` where too few tasks are left."""
        known = self.store.audit_plan(project_id)
        if known is not None:
            return self._extend(project_id, known, about)
        count = self.labels.project(project_id).task_count
        if about > count:
            raise InputError(f"Project {project_id} has {count} tasks: ask for no more.")
        if self.labels.untouched(project_id)[0] < count:
            return self._begin_late(project_id, about)
        rule = replace(self.rule, on=True, first=about, first_share=0.0, fewest_tasks=about)
        plan = self._begin(project_id, rule)
        if plan is None:
            raise InputError(f"The tasks of project {project_id} changed meanwhile: try again.")
        return plan

    def progress(self, project_id: int, plan: AuditPlan) -> AuditProgress:
        """From the annotations as they were read last."""
        drawn = {task_id for task_id in self.labels.task_ids(project_id) if plan.holds(task_id)}
        found = [v for v in self.store.verifications(project_id) if v.task_id in drawn]
        labelled = {v.task_id for v in found if v.is_label}
        shown = {v.task_id for v in found if v.is_label and v.shown}
        blind = {v.task_id for v in found if v.is_label and not v.shown}
        row = self.store.project(project_id)
        version = row.version if row is not None else None
        answered = [i for i, _ in self.store.scores(project_id, version)] if version is not None else []
        return AuditProgress(
            drawn=len(drawn),
            annotated_blind=len(blind),
            annotated_shown=len(shown - blind),
            skipped=len({v.task_id for v in found if v.outcome is VerificationOutcome.SKIPPED} - labelled),
            answered=len(drawn.intersection(answered)),
            withheld=self.store.withheld(project_id, version) if version is not None else 0,
        )

    def none_because(self, project_id: int) -> str:
        """Why a project has no audit, and what to do next: one sentence."""
        self.labels.project(project_id)  # that there is none is told first
        draw = f"draw one of as many as you can have annotated with `prelabel audit begin --project {project_id} -n N`"
        if not self.rule.on:
            return f"No blind audit begins by itself, because PRELABEL_AUDIT is false: {draw}."
        tasks, _ = self.labels.untouched(project_id)
        return (
            f"Project {project_id} has {tasks} tasks without annotation and prediction, and an audit begins by itself "
            f"only where there are {self.rule.fewest_tasks} or more: {draw}."
        )

    def _begin(self, project_id: int, rule: AuditRule) -> AuditPlan | None:
        tasks, up_to = self.labels.untouched(project_id)
        plan = rule.begin(tasks=tasks, up_to=up_to, secret=self.secret(), now=self.clock())
        return None if plan is None else self.store.save_audit_plan(project_id, plan)

    def _begin_late(self, project_id: int, count: int) -> AuditPlan:
        """Where predictions were shown before, or tasks annotated: an audit of none, extended."""
        none = AuditPlan(secret=self.secret(), up_to=0, first_share=0.0, later_share=0.0, begun_at=self.clock())
        return self._extend(project_id, none, count, later_share=self.rule.later_share)

    def _extend(self, project_id: int, plan: AuditPlan, further: int, *, later_share: float | None = None) -> AuditPlan:
        """Draw of the tasks that nobody has annotated or skipped, whether they have a prediction or not: those of this
        backend are taken out of Label Studio, and withheld from then on.

        Should that end halfway, a prediction that is left in Label Studio has its annotation count as not blind.
        `later_share`: `plan` draws nothing and is not stored yet; this is the share of what will be imported later.
        """
        if accepted := self.store.verification_counts(project_id).get(VerificationOutcome.ACCEPTED.value, 0):
            # Nobody has looked at them, and they can no longer be drawn: what is drawn would not stand for them.
            raise InputError(
                f"{accepted} predictions of project {project_id} were accepted unseen: take that back first, with "
                f"`prelabel certify --project {project_id} --undo`, then draw."
            )
        task_ids = list(self.labels.task_ids(project_id))
        annotated = {task_id for task_id, _ in self.labels.annotation_counts(project_id)}
        free = [task_id for task_id in task_ids if task_id not in annotated and not plan.holds(task_id)]
        if further > len(free):
            raise InputError(
                f"{len(free)} tasks of project {project_id} are neither annotated nor in the audit: ask for no more."
            )
        longer = replace(plan.extended(free, further, highest=max(task_ids)), ended_at=None)
        if later_share is not None:  # where nothing was annotated, what is drawn stands for all tasks
            longer = replace(longer, later_share=later_share, begun_share=None, late=bool(annotated))
            if self.store.save_audit_plan(project_id, longer).secret != longer.secret:
                raise InputError(f"An audit of project {project_id} was begun meanwhile: look at it, then try again.")
        again = set(task_ids) - annotated if plan.ended_at is not None else set(free)  # shown since then
        drawn = [task_id for task_id in task_ids if task_id in again and longer.holds(task_id)]
        self.store.extend_audit(project_id, longer, drawn)
        ours = set(self.store.answered_versions(project_id))
        for task in self.labels.annotated_tasks(project_id, drawn):
            for prediction in task.predictions:
                if prediction.version is not None and content_version(prediction.version) in ours:
                    self._delete(prediction.id)
        return longer

    def _delete(self, prediction_id: int) -> None:
        try:
            self.labels.delete_prediction(prediction_id)
        except LabelStudioNotFound:
            return  # somebody else deleted it

    def release(self, project_id: int, task_ids: Collection[int]) -> None:
        """These tasks have been annotated: their predictions are written."""
        if task_ids and self.store.release_withheld(project_id, task_ids):
            self.queue.enqueue_write_back(project_id, at_once=True)

    def end(self, project_id: int) -> None:
        """Everything is shown. What was annotated blind stays what the labels' worth is told from."""
        self.store.end_audit(project_id)
        self.queue.enqueue_write_back(project_id, at_once=True)
