"""Which golden questions are made of a project, and what is shown with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.core.errors import InputError
from backend.core.golden import GoldenTask
from backend.core.values import JSON, Task
from backend.labeling.config import LabelingConfig
from backend.learning.golden_choice import GoldenQuestion, choose
from backend.ports.clock import Clock
from backend.ports.labels import AnnotatedTask, Labels
from backend.ports.store import ProjectRow, Store
from backend.services.golden_copies import name_to_write
from backend.services.golden_material import Material, gather, golden_control
from backend.services.projects import answerable


@dataclass(frozen=True, kw_only=True)
class GoldenChoosing:
    """Reads, and writes nothing. Raises `InputError` for what cannot be made, and a `LabelStudioError`."""

    store: Store
    labels: Labels
    clock: Clock

    def chosen(
        self, row: ProjectRow, version: str, count: int, name: str | None
    ) -> tuple[list[GoldenTask], dict[int, AnnotatedTask], int]:
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
