"""Two agents measured on the same verified tasks: how often each is right, and whether that differs beyond chance.

A task that is asked here is never its own example, nor is what says the same; otherwise the prompts are those of a run.
Where there are enough tasks that people labelled without seeing a prediction, only these count: people tend to confirm
what they are shown, and so would favour the agent that was shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.confidence.certificate import fewest_labels
from backend.confidence.intervals import Comparison, Interval, clopper_pearson, compare_paired
from backend.core.agents import AgentVersion
from backend.core.errors import ConfigError, InputError, not_connected
from backend.core.values import Outcome, Task, TaskState, Usage, canonical_hash
from backend.core.verifications import Verification
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.labeling.resolving import Resolved, resolve
from backend.ports.store import Store
from backend.services.agent_trials import Trials
from backend.services.projects import answerable
from backend.services.trial_usage import KnownEndpoints, Takes, answering, takes

FEWEST = 30  # tasks: with fewer the interval of a difference is too narrow, and nobody wins
_PAGE = 100  # tasks that are asked at a time, so that what both agents ask of a task is asked at about the same time


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A verified task with what is right."""

    task: Task
    right: Mapping[str, Resolved]  # control -> what counts
    blind: bool  # whether nobody who labelled it saw a prediction


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look at the blind audit. Certificates that are asked for later are held more strictly (`certificate.py`)."""

    number: int  # from 1
    tasks: int  # of the audit, among those that are drawn

    @property
    def labels_before(self) -> int:
        """So many audit labels without an error a certificate of 5 % at 95 % takes as the next look, at least: where
        scores are fitted on the audit, some more."""
        return fewest_labels(self.number)

    @property
    def labels_after(self) -> int:
        """And so many afterwards."""
        return fewest_labels(self.number + 1)


@dataclass(frozen=True, kw_only=True)
class ComparePlan:
    """What is going to be measured."""

    project_id: int
    versions: tuple[AgentVersion, AgentVersion]  # old and new
    drawn: tuple[HeldOut, ...]
    seed: int
    takes: Takes
    look: Look | None  # at the audit, that it takes


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How one agent did."""

    agent: str  # name@hash
    version: str
    n: int
    right: int
    interval: Interval  # of the accuracy, 95 %
    unusable: int  # tasks without an answer that could be read: they count as wrong
    usage: Usage
    cost_usd: float | None  # None: not known


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Both agents, and the difference."""

    old: Measured
    new: Measured
    comparison: Comparison
    blind: bool  # whether all tasks were labelled unseen
    tasks: tuple[int, ...]

    @property
    def winner(self) -> str | None:
        """The reference of the one that is better beyond chance; None: nobody knows."""
        if self.comparison.n < FEWEST:
            return None
        if self.comparison.wins:
            return self.new.agent
        return self.old.agent if self.comparison.interval.high < 0 else None


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """Comparisons in one installation. Nothing is written but the replies' cache."""

    store: Store
    trials: Trials
    endpoints: KnownEndpoints

    def plan(self, project_id: int, old: str, new: str, *, count: int, seed: int = 0) -> ComparePlan:
        """Two agents, NAME or NAME@HASH, on at most `count` verified tasks, drawn by `seed`; nobody is asked yet.
        Raises `AgentUnknown`, `ConfigError`, `InputError` where there is no verified task, and `TemplateError`."""
        agents = self.trials.projects.agents
        versions = agents.find(old), agents.find(new)
        if versions[0] == versions[1]:
            raise InputError(f"{old!r} and {new!r} are the same agent: name two different ones.")
        drawn = self.held_out(project_id, count=count, seed=seed)
        questions = [self.trials.question(project_id, version) for version in versions]
        tasks = [one.task for one in drawn]
        expected = [answering(one, self.endpoints, tasks) for one in questions]
        return ComparePlan(
            project_id=project_id,
            versions=versions,
            drawn=tuple(drawn),
            seed=seed,
            takes=takes(expected, self.endpoints),
            look=self.look(project_id, drawn),
        )

    def look(self, project_id: int, drawn: Sequence[HeldOut]) -> Look | None:
        """The look at the audit that it takes to measure on these tasks; None where none of them is the audit's. Where
        they are too few for a winner it is one all the same: both accuracies are told."""
        of_audit = self._of_audit(project_id, [one.task.id for one in drawn])
        if not of_audit:
            return None
        return Look(number=len(self.store.audit_looks(project_id)) + 1, tasks=len(of_audit))

    def compare(self, plan: ComparePlan) -> Compared:
        """Ask both. Raises what would stop a job."""
        return self.measure(plan.project_id, plan.versions, plan.drawn, seed=plan.seed)

    def measure(
        self,
        project_id: int,
        versions: tuple[AgentVersion, AgentVersion],
        drawn: Sequence[HeldOut],
        *,
        seed: int = 0,
        kind: str = "compare",
    ) -> Compared:
        """The old and the new one on these tasks, of which there is one at least. Neither need be registered. Where
        tasks of the blind audit are among them, it is a look at it, of this kind."""
        questions = [self.trials.question(project_id, version) for version in versions]
        outcomes: tuple[list[Outcome], list[Outcome]] = ([], [])
        for start in range(0, len(drawn), _PAGE):
            tasks = [one.task for one in drawn[start : start + _PAGE]]
            for question, found in zip(questions, outcomes, strict=True):
                found += [outcome for _, outcome in self.trials.test(question, tasks)]
        rights = [
            [is_right(question.config, one, outcome) for one, outcome in zip(drawn, found, strict=True)]
            for question, found in zip(questions, outcomes, strict=True)
        ]
        comparison = compare_paired(rights[0], rights[1], seed=seed)
        assert comparison is not None  # there are tasks
        self._looked(project_id, kind, versions, drawn, rights)
        measured = [
            self._measured(version.reference, question, right, found)
            for version, question, right, found in zip(versions, questions, rights, outcomes, strict=True)
        ]
        return Compared(
            old=measured[0],
            new=measured[1],
            comparison=comparison,
            blind=all(one.blind for one in drawn),
            tasks=tuple(one.task.id for one in drawn),
        )

    def _looked(
        self,
        project_id: int,
        kind: str,
        versions: tuple[AgentVersion, AgentVersion],
        drawn: Sequence[HeldOut],
        rights: Sequence[Sequence[bool]],
    ) -> None:
        """Which agent is taken may follow from the audit's labels now: a certificate is told."""
        held = self._of_audit(project_id, [one.task.id for one in drawn])
        if held:
            found = [(one.task.id, *both) for one, *both in zip(drawn, *rights, strict=True) if one.task.id in held]
            named = [version.reference for version in versions]
            self.store.add_audit_look(project_id, kind, canonical_hash([kind, named, found]))

    def _of_audit(self, project_id: int, task_ids: Sequence[int]) -> set[int]:
        plan = self.store.audit_plan(project_id)
        return {task_id for task_id in task_ids if plan is not None and plan.holds(task_id)}

    def held_out(self, project_id: int, *, count: int, seed: int = 0) -> list[HeldOut]:
        """At most `count` verified tasks by lot: those that were labelled blind, where these are enough, else any.

        Raises `ConfigError` for a project that is not known, and `InputError` where no task of it has a label.
        """
        return drawn_from(self.labelled(project_id)[1], count=count, seed=seed)

    def labelled(self, project_id: int) -> tuple[LabelingConfig, list[HeldOut]]:
        """The labeling config as it is, and all tasks that are verified under it. Raises as `held_out` does."""
        row = self.store.project(project_id)
        if row is None:
            raise ConfigError(not_connected(project_id))
        config = answerable(row.label_config)
        found = self._labelled(project_id, config)
        if not found:
            raise InputError(
                f"No task of project {project_id} has a label to compare with: annotate some tasks that were "
                "pre-annotated, and run `prelabel verifications`."
            )
        return config, found

    def _labelled(self, project_id: int, config: LabelingConfig) -> list[HeldOut]:
        by_task: dict[int, list[Verification]] = {}
        for one in self.store.verifications(project_id):
            if one.is_label and one.config_fingerprint == config.fingerprint:
                by_task.setdefault(one.task_id, []).append(one)
        hashes = {i: max(rows, key=lambda v: (v.updated_at, v.annotation_id)).data_hash for i, rows in by_task.items()}
        found = []
        for task_id, data in sorted(self.store.shown_data(project_id, hashes).items()):
            rows = [v for v in by_task[task_id] if v.data_hash == hashes[task_id]]
            right = {name: one for name, one in resolve(config.bind(data), rows).items() if one.is_settled}
            if right:
                task = Task(id=task_id, project_id=project_id, data=data)
                found.append(HeldOut(task=task, right=right, blind=not any(v.shown for v in rows)))
        return found

    def _measured(
        self, reference: str, question: Question, right: Sequence[bool], outcomes: Sequence[Outcome]
    ) -> Measured:
        usage = sum((outcome.usage for outcome in outcomes), Usage())
        return Measured(
            agent=reference,
            version=question.version,
            n=len(right),
            right=sum(right),
            interval=clopper_pearson(sum(right), len(right)),
            unusable=sum(outcome.state not in _READ for outcome in outcomes),
            usage=usage,
            cost_usd=self.endpoints.cost(question.agent.model, usage, question.agent),
        )


_READ = (TaskState.DONE, TaskState.EMPTY)


def is_right(config: LabelingConfig, one: HeldOut, outcome: Outcome) -> bool:
    """Whether a task was answered, and every control of it that people settled is as they say."""
    bound = config.bind(one.task.data)
    return outcome.state in _READ and all(
        control.agree(control.value_of(outcome.result).value, one.right[control.name].value)
        for control in bound.controls
        if control.name in one.right
    )


def drawn_from(found: Sequence[HeldOut], *, count: int, seed: int = 0) -> list[HeldOut]:
    """At most `count`: those that were labelled blind, where these are enough, else any. By a lot of each task's own:
    more tasks of the same project hold those of a smaller draw."""
    blind = [one for one in found if one.blind]
    among = blind if len(blind) >= min(count, FEWEST) else found

    def lot(one: HeldOut) -> bytes:
        return hashlib.sha256(f"{seed}:{one.task.id}".encode()).digest()

    return sorted(sorted(among, key=lot)[:count], key=lambda one: one.task.id)
