"""Students of verified labels as annotators: what a project's people have taught, and who learns from it.

What is taught is read again for each question, when anything was verified since; a queue message's tasks are all
answered by the same student.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from backend.core.agents import parse_reference
from backend.core.errors import ConfigError
from backend.core.values import Agent
from backend.core.verifications import Verification
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.labeling.resolving import resolve
from backend.learning.pupil import Pupil, Taught, obstacle
from backend.learning.report import labels_of
from backend.ports.store import Store
from backend.prompting.shortlist import compared_text
from backend.student_answers import StudentAnswers, is_learnable

MOST_TASKS = 5_000  # that a student learns from, those that were verified last

Pupils = dict[str, "Pupil | str"]  # control -> its student, or why there is none: a phrase


def _nothing(project_id: int) -> Collection[int]:
    """Where no task is set apart."""
    return ()


@dataclass(kw_only=True)
class Students:
    """The students of one process. The blind audit teaches too: each task is answered by who has not seen it."""

    store: Store
    excluded: Callable[[int], Collection[int]] = _nothing  # tasks of a project whose labels teach nothing
    most: int = MOST_TASKS
    _held: dict[tuple[int, str, int], tuple[tuple[int, frozenset[int]], Pupils]] = field(default_factory=dict)

    def beside(self, project_id: int, question: Question) -> Question:
        """The question as a student answers it. Raises `ConfigError` where none of its controls has a student, and
        `StoreError`."""
        pupils = self.pupils(project_id, question.config, question.agent.seed or 0)
        if not any(isinstance(pupil, Pupil) for pupil in pupils.values()):
            told = "; ".join(f'"{name}" {why}' for name, why in pupils.items())
            raise ConfigError(
                f"The student {question.agent.name!r} has too little to learn from in project {project_id} ({told}): "
                "verify more tasks that were pre-annotated."
            )
        return replace(question, student=StudentAnswers(pupils=pupils))

    def pupils(self, project_id: int, config: LabelingConfig, seed: int) -> Pupils:
        """Of each control that a student can answer its student as of now, or why there is none."""
        key = (project_id, config.fingerprint, seed)
        state = (self.store.verification_change(project_id), frozenset(self.excluded(project_id)))
        held = self._held.get(key)
        if held is None or held[0] != state:
            pupils = {name: _pupil(taught, seed) for name, taught in self._taught(project_id, config, state[1]).items()}
            self._held[key] = held = (state, pupils)
        return held[1]

    def _taught(self, project_id: int, config: LabelingConfig, without: Collection[int]) -> dict[str, list[Taught]]:
        """Control -> the tasks with one label that most of its annotators gave, and a text."""
        ids = [i for i in self.store.newest_label_tasks(project_id, config.fingerprint, self.most) if i not in without]
        by_task: defaultdict[int, list[Verification]] = defaultdict(list)
        for one in self.store.verifications(project_id, task_ids=ids) if ids else ():
            if one.is_label and one.config_fingerprint == config.fingerprint:
                by_task[one.task_id].append(one)
        hashes = {i: max(rows, key=lambda v: (v.updated_at, v.annotation_id)).data_hash for i, rows in by_task.items()}
        found: dict[str, list[Taught]] = {c.name: [] for c in config.controls if is_learnable(c)}
        for task_id, data in sorted(self.store.shown_data(project_id, hashes).items()):
            rows = [v for v in by_task[task_id] if v.data_hash == hashes[task_id]]
            bound = config.bind(data)
            shown, settled = bound.show(data), resolve(bound, rows)
            for control in bound.controls:
                label = labels_of(control.as_json(settled[control.name].value)) if is_learnable(control) else None
                text = compared_text(control, shown)
                if label and len(label) == 1 and text.strip():
                    found[control.name].append(Taught(task_id=task_id, text=text, label=label[0]))
        return found


def need_learnable(config: LabelingConfig, agent: str) -> None:
    """Raises `ConfigError` where a student can answer nothing of a labeling config."""
    if not any(is_learnable(control) for control in config.controls):
        raise ConfigError(
            f"The student {agent!r} answers Choices of one class only, and the labeling config has none: take an agent "
            "with a model."
        )


def is_by_student(store: Store, project_id: int, version: str) -> bool:
    """Whether a version of the project's predictions is by a student."""
    agent = _maker(store, project_id, version)
    return agent is not None and agent.is_student


def has_met_the_audit(store: Store, project_id: int, version: str) -> bool:
    """Whether the audit's labels had a part in what a version answers: a student learns from them, and by them batch
    calibration is adopted."""
    agent = _maker(store, project_id, version)
    return agent is not None and (agent.is_student or agent.calibrated is not None)


def _maker(store: Store, project_id: int, version: str) -> Agent | None:
    """The registered agent of a version; None where it is that of the settings, or not known."""
    made = next((v.agent for v in store.project_versions(project_id=project_id) if v.version == version), "")
    name, digest = parse_reference(made) or ("", None)
    found = store.agent(name, digest) if name else None
    return None if found is None else found.version.agent


def _pupil(taught: list[Taught], seed: int) -> Pupil | str:
    return obstacle(taught) or Pupil(taught=tuple(taught), seed=seed)
