"""Try an agent on tasks of a project: nothing is written to Label Studio, nothing to the records of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from backend.core.agents import AgentVersion
from backend.core.errors import InputError, LabelStudioNotFound, PrelabelError
from backend.core.values import Agent, Media, Outcome, Reply, Request, Task
from backend.dialogue import Question, annotate
from backend.ports.labels import Labels
from backend.prompting.tokens import estimated_tokens
from backend.services.annotate import Caller, annotate_task, load_media
from backend.services.chunks import CallerContext
from backend.services.projects import Projects
from backend.services.verified_examples import embed_examples

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How the prompts of tasks fit the model's window, by an estimate that is rarely too low."""

    tasks: int  # that were looked at
    too_long: tuple[int, ...]  # ids
    not_asked: int  # of which nothing is shown
    not_measured: int  # with images or PDFs, which are not loaded for this


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Questions to a model outside of any job."""

    labels: Labels
    projects: Projects
    caller: CallerContext
    concurrency: int

    def question(self, project_id: int, agent: str | AgentVersion) -> Question:
        """What an agent asks of a project's tasks, as the project is now. Raises `AgentUnknown` and `ConfigError`."""
        project = self.labels.project(project_id)
        row = self.projects.look(project_id, project.label_config, project.instructions)
        made_by = agent if isinstance(agent, AgentVersion) else self.projects.agents.find(agent)
        return self.projects.asking(row, made_by)

    def tasks(
        self, project_id: int, question: Question, *, ids: Collection[int] = (), most: int | None = None
    ) -> list[Task]:
        """Those of `ids`, or the first ones. Raises `LabelStudioNotFound` for an id that is not there."""
        found = self.labels.tasks(project_id, question.config.variables, ids=list(ids) or None)
        tasks = list(islice(found, most))
        unknown = sorted(set(ids) - {task.id for task in tasks})
        if unknown:
            raise LabelStudioNotFound(f"Project {project_id} has no task {unknown[0]}: check the task ids.")
        return tasks

    def ask(self, agent: Agent, request: Request) -> Reply:
        """One question of any kind to an agent's endpoint. Raises a `ModelError`, `LimitFarOff` and `SettingsError`."""

        async def once() -> Reply:
            async with self.caller(agent, None) as caller:
                return await caller.ask(request)

        return asyncio.run(once())

    def preview(self, question: Question, tasks: Sequence[Task]) -> list[tuple[Task, Request | Outcome]]:
        """The first request of each task, images loaded and examples chosen; or the outcome where none is. Raises
        `InputError` for a student."""
        if question.student is not None:
            name = question.agent.name
            raise InputError(f"The student {name!r} sends no messages: see its answers with `agents test {name}`.")

        async def one(task: Task, caller: Caller) -> tuple[Task, Request | Outcome]:
            media = await load_media(question, task, caller)
            await embed_examples(question, task, caller.embed)
            return task, first_request(question, task, media)

        return self._of_each(question, tasks, one)

    def test(self, question: Question, tasks: Sequence[Task]) -> list[tuple[Task, Outcome]]:
        """The outcome of each task. Raises what would stop a job."""

        async def one(task: Task, caller: Caller) -> tuple[Task, Outcome]:
            return task, await annotate_task(question, task, caller)

        return self._of_each(question, tasks, one)

    def _of_each(
        self, question: Question, tasks: Sequence[Task], work: Callable[[Task, Caller], Awaitable[T]]
    ) -> list[T]:
        slots = asyncio.Semaphore(self.concurrency)

        async def within(task: Task, caller: Caller) -> T:
            async with slots:
                return await work(task, caller)

        async def all_of_them() -> list[T]:
            async with self.caller(question.agent, None) as caller, asyncio.TaskGroup() as group:
                running = [group.create_task(within(task, caller)) for task in tasks]
            return [done.result() for done in running]

        try:
            return asyncio.run(all_of_them())
        except* PrelabelError as failures:  # each of them would stop a job
            first = failures.exceptions[0]
        raise first


def first_request(question: Question, task: Task, media: Media | None = None) -> Request | Outcome:
    """What is asked first about a task; the outcome of one that is not asked. Raises `TemplateError`."""
    dialogue = annotate(question, task, media)
    try:
        return next(dialogue)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    finally:
        dialogue.close()


def measure(question: Question, tasks: Iterable[Task]) -> Measured:
    """How the tasks' prompts fit the window of the question's agent. Raises `TemplateError`."""
    agent, config = question.agent, question.config
    count = not_asked = not_measured = 0
    too_long: list[int] = []
    for task in tasks:
        count += 1
        if config.media_sources(task.data) or config.document_sources(task.data):
            not_measured += 1
            continue
        asked = first_request(question, task)
        if isinstance(asked, Request):
            if estimated_tokens(asked.messages) + agent.max_tokens > agent.context_tokens:
                too_long.append(task.id)
        elif asked.error_class == "context_too_long":
            too_long.append(task.id)
        else:
            not_asked += 1
    return Measured(tasks=count, too_long=tuple(too_long), not_asked=not_asked, not_measured=not_measured)
