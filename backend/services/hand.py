"""The tasks that a worker takes on while it is at one queue message."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from backend.ports.store import JobRow, Record, Store

GO_ON_S = 30.0  # then others in the queue have their turn
_FEWEST = 50  # that are claimed at once


class Hand:
    """What one message has in hand: its own tasks and then, for `go_on_s`, further ones of its job.

    So a message lasts long enough to be worth its start, whatever a task takes, and the calls in flight do not run dry
    at the end of each. The messages of those further tasks find nothing left to do. `few` are claimed at a time, so
    that the last ones of a job are left to whichever worker is free.
    """

    def __init__(
        self, store: Store, job: JobRow, task_ids: Sequence[int], claimant: str, *, few: int, go_on_s: float
    ) -> None:
        self._store, self._job, self._claimant = store, job, claimant
        self._own = list(task_ids)  # of those that the message names, the unclaimed ones
        self._few = max(few, _FEWEST)
        self._until = monotonic() + go_on_s
        self._task_ids: dict[int, int] = {}  # of the records that were claimed

    def more(self) -> list[Record]:
        """Claim the next few; nothing: there are no more, or it is others' turn."""
        claimed: list[Record] = []
        while self._own and not claimed:
            ids, self._own = self._own[: self._few], self._own[self._few :]
            claimed = self._store.claim(self._job.version, self._job.project_id, ids, self._claimant, alike=True)
        if not claimed and monotonic() < self._until:
            claimed = self._store.claim_further(self._job.id, self._claimant, self._few)
        self._task_ids |= {record.id: record.task_id for record in claimed}
        return claimed

    def left(self, released: Sequence[int]) -> list[int]:
        """The tasks that this message leaves to another one: of the released records, and those never claimed."""
        return sorted({*self._own, *(self._task_ids[record_id] for record_id in released)})
