"""Golden questions made and taken away again.

Each is a copy of a task, imported as a new one together with its prediction. A task that is opened again would not do:
who has annotated it is not given it again, a second prediction would stand beside the first, and its score would be
the average of both. A copy has the data of the original and nothing else; which tasks are copies is kept in the
database alone. So that everybody is asked every question, each copy is to be annotated by several people.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backend.core.errors import InputError, LabelStudioError, LabelStudioUnreachable, QueueError
from backend.core.golden import GoldenTask
from backend.core.values import JSON, Task
from backend.labeling.config import LabelingConfig
from backend.learning.golden import smallest_exam
from backend.learning.golden_choice import GoldenQuestion, choose
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels, NewTask
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Store
from backend.services.golden_copies import name_to_write
from backend.services.golden_material import Material, gather, golden_control, one_label
from backend.services.projects import answerable
from backend.services.rescoring import known

_log = logging.getLogger(__name__)
_LEAST_PEOPLE = 2
_Found = Mapping[int, AnnotatedTask]


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
            tasks, _, weak = self._chosen(row, version, count, control)
            return self._made(tasks, people, weak)
        with self._alone(project_id):
            if name_to_write(self.store, project_id, version) != self.store.shown_version(project_id, version):
                raise _busy(project_id)
            self._recover(row)
            tasks, data, weak = self._chosen(row, version, count, control)
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

    def _chosen(
        self, row: ProjectRow, version: str, count: int, name: str | None
    ) -> tuple[list[GoldenTask], _Found, int]:
        """The questions, the tasks of which they are copies, and how many are weak."""
        config = answerable(row.label_config)
        control = golden_control(config, name)
        earlier = self.store.golden_tasks(row.id)
        apart = self.store.golden_set_apart(row.id)
        seed = row.id + 1_000_003 * len(earlier)
        edited: set[int] = set()
        while True:
            material = gather(
                self.store, config, project_id=row.id, version=version, control=control, apart={*apart, *edited}
            )
            questions = self._questions(row.id, material, count, seed)
            found = {task.id: task for task in self.labels.annotated_tasks(row.id, [q.task_id for q in questions])}
            changed = {q.task_id for q in questions if not _as_read(config, material, found.get(q.task_id), row.id)}
            if not changed:
                break
            edited |= changed  # or deleted, and not read yet
        above = self.labels.newest_task(row.id)
        name_now = name_to_write(self.store, row.id, version)
        tasks = [self._golden(row.id, config, material, q, above=above, written_as=name_now) for q in questions]
        return tasks, found, sum(q.task_id not in material.firm for q in questions)

    def _questions(self, project_id: int, material: Material, count: int, seed: int) -> Sequence[GoldenQuestion]:
        """Those whose answer is firm, where there are enough of them in every class."""
        if not material.candidates or material.middle is None:
            raise InputError(
                f"No task of project {project_id} has a known answer: annotate some tasks that are not of the blind "
                "audit, and run `prelabel verifications`."
            )
        labels = [option.value for option in material.control.closed_options]
        middle, confusions = material.middle, material.confusions
        fit = [one for one in material.candidates if one.certain and middle.holds(one)]
        firm = [one for one in fit if one.task_id in material.firm]
        classes = Counter(one.label for one in fit)
        if len(fit) < count:
            raise InputError(
                f"{len(fit)} tasks of project {project_id} have an answer beyond doubt and look ordinary, and {count} "
                "are needed: verify more tasks, or ask for fewer with -n."
            )
        if len(classes) < 2:
            raise InputError(
                f'All tasks of project {project_id} with an answer beyond doubt are "{next(iter(classes))}", so that '
                "whoever always says so would pass: verify some tasks of other classes first."
            )
        pool = firm if len(firm) >= count and {one.label for one in firm} == classes.keys() else fit
        return choose(pool, count, middle=middle, labels=labels, seed=seed, confusions=confusions)

    def _golden(
        self,
        project_id: int,
        config: LabelingConfig,
        material: Material,
        question: GoldenQuestion,
        *,
        above: int,
        written_as: str,
    ) -> GoldenTask:
        answer = material.answers[question.task_id]
        result = [dict(region) for region in answer.result]
        if question.trap:
            result = _with_label(config, material.control.name, result, question.shown)
        return GoldenTask(
            project_id=project_id,
            source_task_id=question.task_id,
            task_id=None,
            above=above,
            data_hash=answer.data_hash,
            control=material.control.name,
            label=question.label,
            shown=question.shown,
            result=tuple(result),
            score=answer.score,
            written_as=written_as,
            made_at=self.clock(),
        )

    def _import(self, row: ProjectRow, tasks: Sequence[GoldenTask], data: _Found) -> list[GoldenTask]:
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


def _as_read(config: LabelingConfig, material: Material, task: AnnotatedTask | None, project_id: int) -> bool:
    """Whether the task is there, with the data that was annotated."""
    if task is None:
        return False
    shown = {name: value for name, value in task.data.items() if name in set(config.variables)}
    return Task(id=task.id, project_id=project_id, data=shown).data_hash == material.answers[task.id].data_hash


def _with_label(
    config: LabelingConfig, name: str, result: Sequence[Mapping[str, JSON]], label: str
) -> list[dict[str, JSON]]:
    """The regions with another label of that control. What is shown only for some choices may not fit it: left out."""
    conditional = {control.name for control in config.controls if control.conditions}
    control = next(control for control in config.controls if control.name == name)
    value = control.regions((label,))[0]["value"]
    return [
        {**region, "value": value} if region.get("from_name") == name else dict(region)
        for region in result
        if region.get("from_name") not in conditional
    ]


def _has_prediction(config: LabelingConfig, task: AnnotatedTask, one: GoldenTask) -> bool:
    """Whether the task came with the question's prediction."""
    control = next((control for control in config.controls if control.name == one.control), None)
    return control is not None and any(
        p.version == one.written_as and one_label(control.as_json(control.value_of(p.result).value)) == one.shown
        for p in task.predictions
    )
