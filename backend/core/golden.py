"""Golden questions as they are kept: copies of tasks with a known answer. Frozen, as all values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.core.values import JSON

UNDER_WAY = timedelta(minutes=10)  # longer than an import takes, also one that nobody waits for any more


@dataclass(frozen=True, kw_only=True)
class GoldenTask:
    """One golden question. Nothing in Label Studio tells its task from others."""

    id: int | None = None  # None: not stored yet
    project_id: int
    source_task_id: int  # of which it is a copy
    task_id: int | None  # None: it is being imported just now
    above: int  # the highest id of a task before it was imported
    data_hash: str  # of the data that the labeling config shows
    whole_hash: str | None = None  # of all columns; None: not kept, by an earlier release
    control: str
    label: str  # the right answer: an option's value
    shown: str  # that of the prediction that is shown
    result: tuple[Mapping[str, JSON], ...]  # the prediction's regions
    score: float | None  # the prediction's, as it was first written
    written_as: str | None  # the version under which Label Studio was given it last; None: it lacks it
    made_at: datetime
    overlap: int | None = (
        None  # so many people are to annotate it, which Label Studio is to be told yet; None: it knows
    )
    ended_at: datetime | None = None  # when its task was deleted; what was said of it counts for nothing ever after

    @property
    def trap(self) -> bool:
        """Whether the prediction that is shown is deliberately wrong."""
        return self.shown != self.label
