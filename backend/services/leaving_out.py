"""Annotators whose verifications count for nothing: in reports, fits, certificates, examples and comparisons.

What is left out is left out where verifications are read (`adapters/sql/counted.py`), so that nothing else needs to
know of it, and nothing is lost: whoever counts again, counts with all that was ever read.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.errors import InputError
from backend.ports.queue import Queue
from backend.ports.store import Store
from backend.services.golden_panel import panel
from backend.services.rescoring import known


@dataclass(frozen=True, kw_only=True)
class LeavingOut:
    """Raises `ConfigError` for a project that is not known, `InputError`, `StoreError` and `QueueError`."""

    store: Store
    queue: Queue

    def leave_out(self, project_id: int, annotator_id: int) -> int:
        """How many annotations count for nothing from now on. The scores are fitted anew."""
        row, _ = known(self.store, project_id)
        people = sorted({*self.store.annotators(project_id), *panel(self.store, row).people})
        if annotator_id not in people:
            named = ", ".join(map(str, people)) or "nobody"
            raise InputError(
                f"Annotator {annotator_id} has annotated nothing in project {project_id} that was read here: those who "
                f"have are {named}."
            )
        if annotator_id in self.store.left_out(project_id):
            raise InputError(
                f"Annotator {annotator_id} is left out of project {project_id} already: --undo counts them again."
            )
        self.queue.ping()  # before anything is changed
        left_out = self.store.leave_out(project_id, annotator_id)
        self.queue.enqueue_refit(project_id)
        return left_out

    def take_back(self, project_id: int, annotator_id: int) -> int:
        """How many annotations count again. The scores are fitted anew."""
        known(self.store, project_id)
        people = self.store.left_out(project_id)
        if annotator_id not in people:
            named = ", ".join(map(str, people)) or "nobody"
            raise InputError(
                f"Annotator {annotator_id} is not left out of project {project_id}: those who are: {named}."
            )
        self.queue.ping()
        taken_back = self.store.take_back(project_id, annotator_id)
        self.queue.enqueue_refit(project_id)
        return taken_back
