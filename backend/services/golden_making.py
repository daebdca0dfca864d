"""Golden questions made and taken away again.

Each is a copy of a task, imported as a new one together with its prediction. A task that is opened again would not do:
who has annotated it is not given it again, a second prediction would stand beside the first, and its score would be
the average of both. A copy has the data of the original and nothing else; which tasks are copies is kept in the
database alone. So that everybody is asked every question, each copy is to be annotated by several people.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backend.core.errors import LabelStudioError, LabelStudioUnreachable, QueueError
from backend.core.golden import GoldenTask
from backend.labeling.config import LabelingConfig
from backend.learning.golden import smallest_exam
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels, NewTask
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.golden_choosing import GoldenChoosing
from backend.services.golden_copies import name_to_write
from backend.services.golden_material import one_label
from backend.services.projects import answerable
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
            self._recover(row)
            tasks, data, weak = self._choosing.chosen(row, version, count, control)
            made = self._import(row, tasks, data)
        for one in made if people > 1 else ():
            if one.task_id is not None:
                self.labels.set_overlap(one.task_id, people)
        _log.info("golden questions were made", extra={"project": project_id, "tasks": len(made)})
        return self._made(made, people, weak)

    def end(self, project_id: int) -> int:
        """Delete the copies with what was said of them; how many. Who is left out stays so."""
        row, _ = known(self.store, project_id)
        with self._alone(project_id):
            self._recover(row)
            tasks = self.store.golden_tasks(project_id)
            there = self.labels.existing_tasks(project_id, [one.task_id for one in tasks if one.task_id is not None])
            self.labels.delete_tasks(project_id, sorted(there))
            self.store.update_golden([replace(one, ended_at=self.clock()) for one in tasks])
        return len(there)

    @property
    def _choosing(self) -> GoldenChoosing:
        return GoldenChoosing(store=self.store, labels=self.labels, clock=self.clock)

    @contextmanager
    def _alone(self, project_id: int) -> Iterator[None]:
        """Nobody else writes to the project, nor makes golden questions of it."""
        with self.queue.writer_lock(project_id) as keep:
            if keep is None:
                raise _busy(project_id)
            yield

    def _recover(self, row: ProjectRow) -> None:
        """What a command that died left: copies whose ids were not noted are found by their data and prediction."""
        waiting = [one for one in self.store.golden_tasks(row.id) if one.task_id is None]
        if not waiting:
            return
        hashes, above = {one.data_hash for one in waiting}, min(one.above for one in waiting)
        config = answerable(row.label_config)
        later = self.labels.tasks(row.id, config.variables, after=above)
        alike = {task.id: task.data_hash for task in later if task.data_hash in hashes}
        alike = {i: alike[i] for i in alike.keys() - self.store.golden_copies(row.id, sorted(alike))}
        for task in self.labels.annotated_tasks(row.id, sorted(alike)):
            for one in waiting:
                if one.data_hash == alike[task.id] and task.id > one.above and _has_prediction(config, task, one):
                    self.store.update_golden([replace(one, task_id=task.id)])
                    waiting.remove(one)
                    break
        self.store.drop_golden([one.id for one in waiting if one.id is not None])

    def _import(
        self, row: ProjectRow, tasks: Sequence[GoldenTask], data: Mapping[int, AnnotatedTask]
    ) -> list[GoldenTask]:
        """Noted first, so that a worker that hears of the new tasks does not take them for ordinary ones."""
        stored = self.store.add_golden(tasks)
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
        except LabelStudioUnreachable:  # they may be there nevertheless: see `_recover`
            raise
        except LabelStudioError:
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


def _has_prediction(config: LabelingConfig, task: AnnotatedTask, one: GoldenTask) -> bool:
    """Whether the task came with the question's prediction."""
    control = next((control for control in config.controls if control.name == one.control), None)
    return control is not None and any(
        p.version == one.written_as and one_label(control.as_json(control.value_of(p.result).value)) == one.shown
        for p in task.predictions
    )
