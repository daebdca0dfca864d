"""The blind audit of a project: begun with its first batch, released task by task, ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from backend.core.audit import AuditPlan, AuditRule
from backend.core.errors import InputError
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import Store


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
        """A plan that somebody asks for, of about so many tasks. Raises `InputError` where there is one, or where too
        few tasks are without a prediction."""
        if self.store.audit_plan(project_id) is not None:
            raise InputError(f"Project {project_id} has a blind audit: end it first with `prelabel audit end`.")
        plan = self._begin(project_id, replace(self.rule, on=True, first=about, first_share=0.0, fewest_tasks=about))
        if plan is None:
            raise InputError(
                f"Fewer than {about} tasks of project {project_id} are without annotation and prediction, and what was "
                "shown cannot be audited blind: ask for fewer, or import more tasks."
            )
        return plan

    def _begin(self, project_id: int, rule: AuditRule) -> AuditPlan | None:
        tasks, up_to = self.labels.untouched(project_id)
        plan = rule.begin(tasks=tasks, up_to=up_to, secret=self.secret(), now=self.clock())
        return None if plan is None else self.store.save_audit_plan(project_id, plan)

    def release(self, project_id: int, task_ids: Collection[int]) -> None:
        """These tasks have been annotated: their predictions are written."""
        if task_ids and self.store.release_withheld(project_id, task_ids):
            self.queue.enqueue_write_back(project_id, at_once=True)

    def end(self, project_id: int) -> None:
        """No audit any more: everything is shown."""
        self.store.end_audit(project_id)
        self.queue.enqueue_write_back(project_id, at_once=True)
