"""A project's verified tasks as examples: which tasks may be any, with which answers, and those for one task.

The pool is held by the process, and brought up to date before each choice by a question for one number: a task that
has just been verified is an example in the very next prompt. It is of no version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from backend.core.audit import AuditPlan
from backend.core.values import JSON, Agent, Example, Task, canonical_hash
from backend.core.verifications import Verification
from backend.dialogue import Question
from backend.examples import RetrievedExample, offered, shown_example
from backend.labeling.config import LabelingConfig
from backend.labeling.resolving import resolve
from backend.learning.example_pool import MAX_CHARS, ExamplePool, PoolTask
from backend.ports.embeddings import Vector
from backend.ports.store import Store
from backend.prompting.examples import ShownExample
from backend.prompting.shortlist import joined_text

MOST_TASKS = 5_000  # of a pool, those that were verified last
_MOST_ASKED = 1_000  # vectors of tasks that are held: more than are asked about at a time


def _nothing(project_id: int) -> Collection[int]:
    """Where no task is set apart."""
    return ()


_Space = tuple[str | None, str | None, str | None]  # of vectors that can be compared with each other
Embed = Callable[[str, Sequence[str]], Awaitable[Sequence[Vector]]]  # model, texts -> a vector of each


@dataclass(kw_only=True)
class _Held:
    """A project's pool under one labeling config, as it was at a count of changes."""

    change: int
    plan: AuditPlan | None
    excluded: frozenset[int]
    pool: ExamplePool
    verified_at: dict[int, datetime]
    shown: dict[int, ShownExample | None] = field(default_factory=dict)  # None: it cannot be shown
    vectors: dict[_Space, dict[int, Vector]] = field(default_factory=dict)


@dataclass(kw_only=True)
class VerifiedExamples:
    """The pools of one process."""

    store: Store
    excluded: Callable[[int], Collection[int]] = _nothing  # tasks of a project that are set apart, beside the audit's
    most: int = MOST_TASKS
    _held: dict[tuple[int, str], _Held] = field(default_factory=dict)
    _asked: OrderedDict[tuple[_Space, str], Vector] = field(default_factory=OrderedDict)  # by the texts' hashes

    def beside(self, project_id: int, question: Question) -> Question:
        """The question with a project's verified tasks as examples, where its agent shows any."""
        if not question.agent.retrieved:
            return question
        return replace(question, retriever=_OfProject(self, project_id, question.config, question.agent))

    def pool(self, project_id: int, config: LabelingConfig) -> ExamplePool:
        """What may be shown of a project now. Raises `StoreError`."""
        return self._current(project_id, config).pool

    async def embed(self, project_id: int, config: LabelingConfig, agent: Agent, text: str, embed: Embed) -> None:
        """See to it that `choose` has the vectors of a task's text and of what may be shown beside it. Raises
        `StoreError`, and what `embed` raises."""
        held, space = self._current(project_id, config), _space_of(agent)
        known = held.vectors.setdefault(space, {})
        missing = [one for one in held.pool.tasks if one.task_id not in known]
        if not held.pool.tasks:
            return
        texts = [*(one.text for one in missing), text]
        vectors = await embed(agent.embeddings_model or "", [one[:MAX_CHARS] for one in texts])
        known |= {one.task_id: vector for one, vector in zip(missing, vectors[:-1], strict=True)}
        self._asked[space, canonical_hash(text)] = vectors[-1]
        while len(self._asked) > _MOST_ASKED:
            self._asked.popitem(last=False)

    def choose(
        self, project_id: int, config: LabelingConfig, agent: Agent, task: Task, text: str, asked: LabelingConfig
    ) -> list[RetrievedExample]:
        """The examples for a task, the most similar first. Raises `StoreError`."""
        held = self._current(project_id, config)
        names = [control.name for control in asked.controls]

        def usable(one: PoolTask) -> bool:
            if not set(names) <= one.answer.keys() or not offered(one.answer, asked):
                return False
            if one.task_id not in held.shown:
                shown = shown_example(config, Example(data=one.data, answer=one.answer))
                held.shown[one.task_id] = shown if isinstance(shown, ShownExample) else None
            return held.shown[one.task_id] is not None

        selector, vector, vectors = agent.selector or "tfidf", None, None
        if selector == "embeddings":
            vector = self._asked.get((_space_of(agent), canonical_hash(text)))
            vectors = held.vectors.get(_space_of(agent))
            # Without `embed` before it, it is an estimate, which asks no endpoint: others stand for the chosen ones.
            selector = "tfidf" if vector is None else selector
        chosen = held.pool.choose(
            task.id,
            text,
            agent.retrieved or 0,
            selector=selector,
            seed=agent.seed or 0,
            usable=usable,
            vectors=vectors,
            vector=vector,
        )
        shown = [(one.task_id, held.shown[one.task_id]) for one in chosen]
        return [
            RetrievedExample(task_id=i, shown=replace(one, answer={name: one.answer[name] for name in names}))
            for i, one in shown
            if one is not None
        ]

    def _current(self, project_id: int, config: LabelingConfig) -> _Held:
        key = (project_id, config.fingerprint)
        change = self.store.verification_change(project_id)  # first: what changes meanwhile is read again next time
        plan, excluded = self.store.audit_plan(project_id), frozenset(self.excluded(project_id))
        held = self._held.get(key)
        if held is not None and (held.plan, held.excluded, held.change) == (plan, excluded, change):
            return held
        ids = None
        if held is not None and (held.plan, held.excluded) == (plan, excluded):
            ids = self.store.tasks_changed_after(project_id, held.change)
        if held is None or ids is None or len(ids) > self.most:  # then to begin anew is less to read
            held = _Held(change=-1, plan=plan, excluded=excluded, pool=ExamplePool(), verified_at={})
            ids = self.store.newest_label_tasks(project_id, config.fingerprint, self.most)
        self._held[key] = self._changed(held, change, project_id, config, frozenset(ids))
        return self._held[key]

    def _changed(
        self, held: _Held, change: int, project_id: int, config: LabelingConfig, ids: Collection[int]
    ) -> _Held:
        """The pool with these tasks as they are now; of too many, those that were verified first leave it."""
        found = self._tasks(project_id, config, sorted(i for i in ids if self._may_be_shown(held, i)))
        verified_at = {i: at for i, at in held.verified_at.items() if i not in ids}
        verified_at |= {one.task_id: at for one, at in found}
        newest = sorted(verified_at, key=lambda i: (verified_at[i], i), reverse=True)
        left = {*ids, *newest[self.most :]} - {one.task_id for one, _ in found}
        kept = set(newest[: self.most])
        pool = held.pool.changed([one for one, _ in found if one.task_id in kept], without=left)
        return _Held(
            change=change,
            plan=held.plan,
            excluded=held.excluded,
            pool=pool,
            verified_at={i: verified_at[i] for i in kept},
            shown={i: one for i, one in held.shown.items() if i in kept and i not in ids},
            vectors={
                space: {i: one for i, one in known.items() if i in kept and i not in ids}
                for space, known in held.vectors.items()
            },
        )

    @staticmethod
    def _may_be_shown(held: _Held, task_id: int) -> bool:
        return task_id not in held.excluded and not (held.plan is not None and held.plan.holds(task_id))

    def _tasks(self, project_id: int, config: LabelingConfig, ids: Sequence[int]) -> list[tuple[PoolTask, datetime]]:
        """Those of the tasks that have one label, with when it was given last."""
        by_task: dict[int, list[Verification]] = {}
        for one in self.store.verifications(project_id, task_ids=ids) if ids else ():
            if one.is_label and one.config_fingerprint == config.fingerprint:
                by_task.setdefault(one.task_id, []).append(one)
        last = {i: max(rows, key=lambda v: (v.updated_at, v.annotation_id)) for i, rows in by_task.items()}
        data = self.store.shown_data(project_id, {i: one.data_hash for i, one in last.items()})
        found = []
        for task_id, shown in data.items():
            rows = [v for v in by_task[task_id] if v.data_hash == last[task_id].data_hash]
            made = pool_task(config, task_id, shown, rows)
            if made is not None:
                found.append((made, last[task_id].updated_at))
        return found


def pool_task(
    config: LabelingConfig, task_id: int, data: Mapping[str, JSON], verifications: Sequence[Verification]
) -> PoolTask | None:
    """A verified task with its answer, as a reply would have it; None where its annotators settle nothing, or nothing
    of it is shown as text. It is balanced by its first answer that is one of a few labels."""
    bound = config.bind(data)
    settled = resolve(bound, verifications)
    text = compared_text(bound, data)
    if not text or not settled or not all(one.is_settled for one in settled.values()):
        return None
    answer = {control.name: control.encode(settled[control.name].value) for control in bound.controls}
    labels = (answer[control.name] for control in bound.controls if control.closed_options)
    label = next((str(one) for one in labels if one is not None), None)
    return PoolTask(task_id=task_id, text=text, answer=answer, data=data, label=label)


def compared_text(bound: LabelingConfig, data: Mapping[str, JSON]) -> str:
    """What a task is compared by, those of the pool and the one that is asked about alike: what its data holds, without
    what is fetched for it, since nothing is fetched for the pool."""
    return joined_text(bound.show(data).values())


@dataclass(frozen=True)
class _OfProject:
    """The `Retriever` of one question."""

    verified: VerifiedExamples
    project_id: int
    config: LabelingConfig
    agent: Agent

    def examples(self, task: Task, asked: LabelingConfig) -> Sequence[RetrievedExample]:
        text = compared_text(self.config.bind(task.data), task.data)
        if not text:  # there is nothing to compare with
            return ()
        return self.verified.choose(self.project_id, self.config, self.agent, task, text, asked)


async def embed_examples(question: Question, task: Task, embed: Embed) -> None:
    """What must be before a task's conversation, where its examples are chosen by vectors."""
    retriever = question.retriever
    if isinstance(retriever, _OfProject) and question.agent.selector == "embeddings":
        text = compared_text(retriever.config.bind(task.data), task.data)
        if text:
            await retriever.verified.embed(retriever.project_id, retriever.config, question.agent, text, embed)


def _space_of(agent: Agent) -> _Space:
    return agent.embeddings_model, agent.embeddings_url, agent.base_url
