"""What `/predict` answers: what is stored at once, what one or two tasks need within a deadline, `[]` for "later".

Label Studio stores what it is given here, and the write-back stores what it is not: each finished record goes one way
only, by a claim in the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backend.core.errors import ConfigError, QueueError
from backend.core.scorings import content_version
from backend.core.values import JSON, JobState, Task, TaskState
from backend.labeling.parsing import parse_config
from backend.ports.audits import WITHHELD
from backend.ports.clock import Clock
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Record, Store
from backend.services.current_scores import CurrentScores
from backend.services.jobs import enqueue_job
from backend.services.projects import Projects

_log = logging.getLogger(__name__)

MAX_AWAITED_TASKS = 2
_MAX_TASK_ID = 2**63 - 1  # the largest that the database takes
_POLL_S = 0.05
_HOLD_MARGIN_S = 2.0
# Label Studio reads its tasks, then calls us: a prediction written in between is missing in what it sends.
_JUST_DELIVERED = timedelta(seconds=15)

Result = dict[str, JSON] | list[JSON]  # one task's entry: a prediction, or [] for "later"


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Answers `/predict`. `waiting` bounds how many requests may wait at a time, so that others are served."""

    store: Store
    queue: Queue
    projects: Projects
    clock: Clock
    sleep: Callable[[float], None]
    deadline_s: float
    chunk_size: int
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(8))

    def answer(
        self, project_id: int, tasks: Sequence[JSON], label_config: str | None, *, interactive: bool
    ) -> list[Result]:
        """One entry per task, in order. `interactive`: the editor asks and stores nothing of the answer.

        Raises `QueueError` when nothing can be queued and nothing is stored.
        """
        row = self._project(project_id, label_config)
        if row is None or row.version is None:
            return [[] for _ in tasks]
        wanted = [_task(raw, row) for raw in tasks]
        given = [task for task in wanted if task is not None]
        golden = self.store.golden_copies(row.id, [task.id for task in given])  # the write-back gives them theirs
        known = [task for task in given if task.id not in golden]
        records = self.store.records(row.id, row.version, [t.id for t in known])
        usable = {t.id: r for t in known if (r := records.get(t.id)) is not None and _is_usable(r, t)}
        shown = _ids_shown_with(tasks, row.version)
        answered = [r for r in usable.values() if r.delivery != WITHHELD]  # nobody sees it: `core/audit.py`
        offered = [r for r in answered if interactive or r.task_id not in shown]
        answers = self._hand_over(row, offered, interactive=interactive)
        missing = [t for t in known if t.id not in usable and (interactive or t.id not in shown)]
        if missing:
            try:
                answers |= self._queue_and_wait(row, row.version, missing, interactive=interactive)
            except QueueError:
                if not answers:
                    raise
                _log.exception("tasks could not be queued", extra={"project": row.id, "tasks": len(missing)})
        return [answers.get(task.id, []) if task is not None else [] for task in wanted]

    def _project(self, project_id: int, label_config: str | None) -> ProjectRow | None:
        if not label_config:
            return self.store.project(project_id)
        row, changed = self.projects.remember(project_id, label_config)
        if changed:
            try:
                self.queue.enqueue_sync(project_id)
            except QueueError:
                _log.exception("the project was not aligned", extra={"project": project_id})
        return row

    def _hand_over(self, row: ProjectRow, records: Sequence[Record], *, interactive: bool) -> dict[int, Result]:
        """Not what a writer is at, nor what was delivered so lately that Label Studio may not have seen it yet."""
        if interactive:
            return {r.task_id: _result(r) for r in records}
        got = self.store.hand_over([r.id for r in records], lost_before=self.clock() - _JUST_DELIVERED)
        handed = CurrentScores(store=self.store).brought_up(row, [r for r in records if r.id in got])
        return {r.task_id: _result(r) for r in handed}

    def _queue_and_wait(
        self, row: ProjectRow, version: str, tasks: Sequence[Task], *, interactive: bool
    ) -> dict[int, Result]:
        few = len(tasks) <= MAX_AWAITED_TASKS
        waits = few and self.deadline_s > 0 and self.waiting.acquire(blocking=False)
        try:
            started = self.clock()
            hold_s = self.deadline_s + _HOLD_MARGIN_S if waits else 0.0
            job_id = self.store.create_job(row.id, version, "predict")
            self.store.enlist(job_id, tasks, absent=True, hold_s=hold_s)
            try:
                enqueue_job(self.store, self.queue, job_id, chunk_size=self.chunk_size, interactive=few)
            except QueueError as error:
                self.store.set_job_state(job_id, JobState.STOPPED, str(error))
                raise
            if not waits:
                return {}
            deadline = started + timedelta(seconds=self.deadline_s)
            return self._wait(row, version, {t.id for t in tasks}, deadline, interactive=interactive)
        finally:
            if waits:
                self.waiting.release()

    def _wait(
        self, row: ProjectRow, version: str, task_ids: set[int], deadline: datetime, *, interactive: bool
    ) -> dict[int, Result]:
        """Poll until all are there or the deadline has passed; then leave the rest to the write-back."""
        while True:
            records = self.store.records(row.id, version, sorted(task_ids))
            finished = [r for r in records.values() if r.state.finished]
            late = self.clock() >= deadline
            if len(finished) == len(task_ids) or late:
                answers = self._hand_over(
                    row, [r for r in finished if r.delivery == "pending"], interactive=interactive
                )
                self.store.end_hold([r.id for r in records.values()])
                return answers
            self.sleep(_POLL_S)


def _task(raw: JSON, row: ProjectRow) -> Task | None:
    """A task of a `/predict` request, with only the data that is shown; None for anything that is no task."""
    if not isinstance(raw, Mapping) or isinstance(raw.get("id"), bool) or not isinstance(raw.get("id"), int):
        return None
    if not 0 < raw["id"] <= _MAX_TASK_ID:
        return None
    data = raw.get("data")
    try:
        variables = set(parse_config(row.label_config).variables)
    except ConfigError:
        return None
    shown = {k: v for k, v in data.items() if k in variables} if isinstance(data, Mapping) else {}
    return Task(id=raw["id"], project_id=row.id, data=shown)


def _is_usable(record: Record, task: Task) -> bool:
    """An answer to this very data. A failed one is asked again."""
    answered = record.state in (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID, TaskState.SKIPPED)
    return answered and record.data_hash == task.data_hash


def _ids_shown_with(tasks: Sequence[JSON], version: str) -> set[int]:
    """Ids of tasks that came with a prediction of the version, by whichever fit's name: Label Studio has it, another
    would be a duplicate. One whose scores come into use just now is found by the write-back."""
    return {
        raw["id"]
        for raw in tasks
        if isinstance(raw, Mapping)
        and isinstance(raw.get("id"), int)
        and isinstance(raw.get("predictions"), list)
        and any(
            isinstance(p, Mapping) and content_version(str(p.get("model_version"))) == version
            for p in raw["predictions"]
        )
    }


def _result(record: Record) -> Result:
    answer = record.prediction.to_label_studio()
    del answer["task"]
    return answer
