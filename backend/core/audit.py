"""The blind audit: which tasks of a project are a random slice that people label without seeing a prediction.

People who are shown a suggestion tend to take it (arXiv 2507.15821), and tasks that were chosen by their score stand
for nothing but themselves. What labels are worth is told only from tasks that were drawn at random and annotated
unseen. Which these are follows from a secret of the project and the task's id alone: it does not depend on score,
label, agent or version, is the same in every process, and cannot be guessed by who knows the ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

_STEPS = 2**64


@dataclass(frozen=True, kw_only=True)
class AuditRule:
    """How large the slice is. Shares are of the tasks, in [0, 1]."""

    on: bool = True
    first: int = 50  # of the first batch at least about so many tasks
    first_share: float = 0.05
    later_share: float = 0.10  # of what comes later
    fewest_tasks: int = 250  # a smaller first batch begins no audit by itself: too much of it would be blind

    def begin(self, *, tasks: int, up_to: int, secret: str, now: datetime) -> AuditPlan | None:
        """The plan of a project whose first batch has `tasks` tasks with ids up to `up_to`; None: too few."""
        if not self.on or tasks < self.fewest_tasks:
            return None
        share = max(self.first / tasks, self.first_share)
        return AuditPlan(
            secret=secret,
            up_to=up_to,
            first_share=min(1.0, share),
            later_share=self.later_share,
            begun_at=now,
        )


@dataclass(frozen=True, kw_only=True)
class AuditLook:
    """A time when something was decided by the labels of a project's audit: each may mislead by chance, so that they
    are counted (`confidence/certificate.py`)."""

    number: int  # from 1
    kind: str  # certify, compare or improve
    evidence: str  # a hash of what was looked at, and for what: looking at the same again is no other look
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """Which tasks of one project are audited: each by chance of its own, so that their number is about the share."""

    secret: str
    up_to: int  # the highest id of a task of the first batch
    first_share: float
    later_share: float
    begun_at: datetime
    begun_share: float | None = None  # the lowest one before the audit was extended; None: it never was
    late: bool = False  # drawn when tasks were annotated already: it stands for those that were not
    ended_at: datetime | None = None  # from then on nothing is withheld; what was annotated blind still counts

    def share_of(self, task_id: int) -> float:
        """The probability with which the task was drawn: what an estimate weights it by."""
        return self.first_share if task_id <= self.up_to else self.later_share

    def holds(self, task_id: int, share: float | None = None) -> bool:
        """Whether the task is drawn; or would be, if every task's share were `share`. Those that are drawn at a lower
        share are among those that are drawn at a higher one."""
        return self._place(task_id) < (self.share_of(task_id) if share is None else share) * _STEPS

    def withholds(self, task_id: int) -> bool:
        """Whether the task's prediction is kept from its annotators, until somebody has annotated it."""
        return self.ended_at is None and self.holds(task_id)

    def even_share(self, task_ids: Iterable[int]) -> float:
        """The lowest share of these tasks: those that are drawn at it had the same chance each, whatever anybody had
        seen or labelled, so that they stand for all of them, where batches were audited at different shares."""
        lowest = self.reached_share(task_ids)
        return lowest if self.begun_share is None else min(lowest, self.begun_share)

    def reached_share(self, task_ids: Iterable[int]) -> float:
        """The same, with what extended the audit: of these tasks those had the same chance that nobody had labelled
        when it was extended. A promise holds for all of them (`confidence/certificate.py`), an average does not."""
        return min((self.share_of(task_id) for task_id in task_ids), default=self.first_share)

    def extended(self, free: Collection[int], further: int, *, highest: int) -> AuditPlan:
        """The plan that draws exactly `further` more of the tasks `free`, which nobody has labelled and which this plan
        does not hold: each with the same chance, up to the same share. `highest` is the project's highest task id.

        Raises `ValueError` where there are fewer.
        """
        places = sorted(self._place(task_id) for task_id in free)
        if not 0 < further <= len(places):
            raise ValueError("an audit is extended by one task at least, and by as many as there are at most")
        behind = places[further] if further < len(places) else _STEPS
        share = (places[further - 1] + behind) / 2 / _STEPS
        later = highest > self.up_to
        shares = (self.first_share, self.begun_share, self.later_share if later else None)
        begun = min(known for known in shares if known is not None)
        if share < self.first_share:  # all that it draws was imported later
            return replace(self, later_share=share, begun_share=begun)
        up_to = highest if later and share >= self.later_share else self.up_to
        return replace(self, first_share=share, begun_share=begun, up_to=up_to)

    def _place(self, task_id: int) -> int:
        """Where the task stands in the order in which tasks are drawn: by chance, from 0 to 2**64."""
        digest = hashlib.sha256(f"{self.secret}:{task_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big")
