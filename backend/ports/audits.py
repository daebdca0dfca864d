"""What the store keeps of blind audits: a plan a project, and predictions that are made and withheld."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from backend.core.audit import AuditLook, AuditPlan

WITHHELD = "withheld"  # the delivery of a record that is not shown before its task has been annotated


class Audits(Protocol):
    """Whatever enlists a task that the project's plan holds, and that nobody has annotated, makes its record withheld;
    so it stays, through every further answer, until it is released."""

    def audit_plan(self, project_id: int) -> AuditPlan | None: ...

    def save_audit_plan(self, project_id: int, plan: AuditPlan) -> AuditPlan:
        """The project's plan from now on: the one that is there already, where another process was first."""
        ...

    def extend_audit(self, project_id: int, plan: AuditPlan, task_ids: Iterable[int]) -> None:
        """`plan`, of the same secret, takes the place of the project's one; what every version answered to these
        tasks, which it draws besides, counts as not given to Label Studio, and is withheld."""
        ...

    def end_audit(self, project_id: int) -> None:
        """The plan stays, ended as of now: no task is withheld any more, what is withheld is to be delivered."""
        ...

    def release_withheld(self, project_id: int, task_ids: Iterable[int]) -> int:
        """Deliver the predictions of these tasks, of every version; how many are due now."""
        ...

    def audit_looks(self, project_id: int) -> list[AuditLook]:
        """All looks at the project's audit, the first first."""
        ...

    def add_audit_look(self, project_id: int, kind: str, evidence: str) -> int:
        """The look's number: the next one, or that which this evidence has already."""
        ...

    def withheld(self, project_id: int, version: str) -> int:
        """How many answers of a version are made and not shown."""
        ...
