"""How far a job is and when it may end: from what the store counts, looked at now and then."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from backend.ports.store import Counts, JobRow

WINDOW_S = 180.0  # the rate is that of the last minutes
LEAST_S = 3.0  # of looking on before a rate is told


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A job at one moment."""

    job: JobRow
    counts: Counts
    per_minute: float | None  # tasks finished; None: not known yet
    eta_s: float | None  # until all are finished; None: not known, or nothing goes on

    @property
    def total(self) -> int:
        return sum(self.counts.states.values())

    @property
    def finished(self) -> int:
        return self.total - self.counts.unfinished

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen soon: ended and written back, or paused with nothing in flight."""
        if self.job.state == "done":
            return not self.counts.undelivered
        return self.job.state.ended or (self.job.state == "paused" and not self.counts.states.get("running"))

    def as_json(self) -> dict[str, Any]:
        return {
            "job": self.job.id,
            "state": state_in_words(self.job),
            "reason": self.job.reason,
            "tasks": self.total,
            "finished": self.finished,
            "by_state": dict(self.counts.states),
            "undelivered": self.counts.undelivered,
            "per_minute": None if self.per_minute is None else round(self.per_minute, 1),
            "eta_s": None if self.eta_s is None else round(self.eta_s),
        }


@dataclass
class Watch:
    """Looks at a job from time to time and knows its rate from that."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)  # when, how many were finished

    def look(self, job: JobRow, counts: Counts, *, now: float) -> Progress:
        """`now` in seconds of any clock that does not step."""
        finished = sum(counts.states.values()) - counts.unfinished
        self.seen.append((now, finished))
        while now - self.seen[0][0] > WINDOW_S:
            self.seen.popleft()
        since, before = self.seen[0]
        known = now - since >= LEAST_S and finished > before
        rate = (finished - before) / (now - since) if known else None
        goes_on = job.state in ("queued", "running") and not job.reading and counts.unfinished > 0
        return Progress(
            job=job,
            counts=counts,
            per_minute=None if rate is None else 60 * rate,
            eta_s=counts.unfinished / rate if rate is not None and goes_on else None,
        )


def state_in_words(job: JobRow) -> str:
    """The job's state as it is shown: a pause at the budget has a name of its own."""
    return "stopped at budget" if job.state == "paused" and job.paused_by == "budget" else str(job.state)
