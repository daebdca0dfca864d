"""Golden questions made and taken away again.

Each is a copy of a task, imported as a new one together with its prediction. A task that is opened again would not do:
who has annotated it is not given it again, a second prediction would stand beside the first, and its score would be
the average of both. A copy has the data of the original and nothing else; which tasks are copies is kept in the
database alone. So that everybody is asked every question, each copy is to be annotated by several people.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backend.core.errors import LabelStudioError, QueueError
from backend.core.golden import UNDER_WAY, GoldenTask
from backend.core.values import canonical_hash
from backend.learning.golden import smallest_exam
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels, NewTask
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.golden_choosing import GoldenChoosing
from backend.services.golden_copies import name_to_write
from backend.services.golden_recovering import GoldenRecovering
from backend.services.rescoring import known

_log = logging.getLogger(__name__)
_LEAST_PEOPLE = 2


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made, or would be."""

    questions: tuple[GoldenTask, ...]
    annotators: int  # so many people are asked each
    weak: int  # questions whose answer rests on one person, who saw the prediction
    notes: tuple[str, ...]  # what the one who asked should know: sentences


@dataclass(frozen=True, kw_only=True)
class GoldenMaking:
    """Raises `ConfigError` for a project that is not known, `InputError` for what cannot be made, `QueueError` while
    predictions are being written, `StoreError`, and a `LabelStudioError`."""

    store: Store
    labels: Labels
    queue: Queue
    clock: Clock

    def make(
        self,
        project_id: int,
        count: int,
        *,
        control: str | None = None,
        annotators: int | None = None,
        dry_run: bool = False,
    ) -> Made:
        """`count` golden questions, for so many `annotators`: by default as many as have annotated, and two or more."""
        row, version = known(self.store, project_id)
        people = annotators or max(_LEAST_PEOPLE, len(self.store.annotators(project_id)))
        if dry_run:
            tasks, _, weak = self._choosing.chosen(row, version, count, control)
            return self._made(tasks, people, weak)
        with self._alone(project_id):
            if name_to_write(self.store, project_id, version) != self.store.shown_version(project_id, version):
                raise _busy(project_id)
            self._need_certainty(row)
            tasks, data, weak = self._choosing.chosen(row, version, count, control)
            made = self._import(row, tasks, data, people)
            self._recovering.tell_overlaps(made)
        _log.info("golden questions were made", extra={"project": project_id, "tasks": len(made)})
        return self._made(made, people, weak)

    def end(self, project_id: int) -> int:
        """Delete the copies with what was said of them; how many. Who is left out stays so."""
        row, _ = known(self.store, project_id)
        with self._alone(project_id):
            self._need_certainty(row)
            tasks = self.store.golden_tasks(project_id)
            there = self.labels.existing_tasks(project_id, [one.task_id for one in tasks if one.task_id is not None])
            self.labels.delete_tasks(project_id, sorted(there))
            self.store.update_golden([replace(one, ended_at=self.clock()) for one in tasks])
        return len(there)

    @property
    def _choosing(self) -> GoldenChoosing:
        return GoldenChoosing(store=self.store, labels=self.labels, clock=self.clock)

    @property
    def _recovering(self) -> GoldenRecovering:
        return GoldenRecovering(store=self.store, labels=self.labels, clock=self.clock)

    def _need_certainty(self, row: ProjectRow) -> None:
        """Make up for what an earlier command left; raises where that cannot be told yet."""
        coming = self._recovering.recover(row)
        if coming:
            over = max(one.made_at for one in coming) + UNDER_WAY - self.clock()
            raise QueueError(
                f"An import of golden questions into project {row.id} was cut off, and Label Studio may still be at "
                f"it: repeat this in {math.ceil(over.total_seconds() / 60) + 1} minutes."
            )

    @contextmanager
    def _alone(self, project_id: int) -> Iterator[None]:
        """Nobody else writes to the project, nor makes golden questions of it."""
        with self.queue.writer_lock(project_id) as keep:
            if keep is None:
                raise _busy(project_id)
            yield

    def _import(
        self, row: ProjectRow, tasks: Sequence[GoldenTask], data: Mapping[int, AnnotatedTask], people: int
    ) -> list[GoldenTask]:
        """Noted first, so that a worker that hears of the new tasks does not take them for ordinary ones."""
        overlap = people if people > 1 else None
        hashes = {task_id: canonical_hash(dict(task.data)) for task_id, task in data.items()}
        stored = self.store.add_golden(
            [replace(one, overlap=overlap, whole_hash=hashes[one.source_task_id]) for one in tasks]
        )
        new = [
            NewTask(
                data=data[one.source_task_id].data,
                model_version=one.written_as or "",
                result=one.result,
                score=one.score,
            )
            for one in stored
        ]
        try:
            ids = self.labels.import_tasks(row.id, new)
        except LabelStudioError as error:
            if not error.may_be_done:  # else the copies are looked for: see `GoldenRecovering`
                self.store.drop_golden([one.id for one in stored if one.id is not None])
            raise
        made = [replace(one, task_id=task_id) for one, task_id in zip(stored, ids, strict=True)]
        self.store.update_golden(made)
        return made

    def _made(self, tasks: Sequence[GoldenTask], annotators: int, weak: int) -> Made:
        notes = []
        least, all_ids = smallest_exam().questions, {one.id for one in tasks}
        earlier = [one for one in self.store.golden_tasks(tasks[0].project_id) if one.id not in all_ids]
        if len(earlier) + len(tasks) < least:
            notes.append(f"Nobody can pass with fewer than {least} questions: make more before you judge anybody.")
        if weak:
            notes.append(
                f"{weak} of the answers rest on one person who saw the prediction: look at them before you rely on "
                "them, or mark tasks as ground truth in Label Studio and make others."
            )
        return Made(questions=tuple(tasks), annotators=annotators, weak=weak, notes=tuple(notes))


def _busy(project_id: int) -> QueueError:
    return QueueError(f"Predictions of project {project_id} are being written: repeat this in a minute.")
