"""What must hold before an agent is registered: its prompt renders and fits, its key, endpoint and model are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.core.agents import AgentVersion
from backend.core.errors import TemplateError
from backend.core.values import JSON, Agent, Task
from backend.dialogue import Question
from backend.labeling.parsing import parse_config
from backend.prompting.render import shows_instructions
from backend.prompting.template_check import check_template
from backend.services.agent_trials import Measured, Trials, measure
from backend.services.projects import answerable
from backend.services.students import need_learnable

MOST_MEASURED = 2_000  # tasks of a project
_SAMPLE_TASKS = ("The delivery was quick, thank you!", "Ann Lee of Acme never called back.", "It costs 12 euros.")
_SAMPLE_CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text"><Choice value="positive"/>'
    '<Choice value="negative"/></Choices><Labels name="entities" toName="text"><Label value="PER"/></Labels></View>'
)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found out about an agent that can be registered."""

    project_id: int | None  # None: the built-in sample
    of_tasks: int  # that the project has
    measured: Measured
    examples_left_out: Mapping[int, str]  # number, from 1 -> why it is not shown for this labeling config
    endpoint: JSON  # what it can do, in words

    def as_json(self) -> dict[str, Any]:
        return {
            "project": self.project_id,
            "tasks": self.of_tasks,
            "prompts_measured": self.measured.tasks - self.measured.not_measured,
            "with_images_or_documents": self.measured.not_measured,
            "nothing_to_ask": self.measured.not_asked,
            "too_long": len(self.measured.too_long),
            "too_long_tasks": list(self.measured.too_long),
            "examples_left_out": dict(self.examples_left_out),
            "endpoint": self.endpoint,
        }


@dataclass(frozen=True, kw_only=True)
class AgentChecks:
    """The checks. `describe_model` makes a real, tiny call; it raises a `ModelError` or a `SettingsError`."""

    trials: Callable[[], Trials]  # only where there is a project: they need Label Studio
    describe_model: Callable[[Agent], JSON]

    def check(self, version: AgentVersion, project_id: int | None) -> Checked:
        """What costs nothing first. Raises a `PrelabelError` that says what to mend."""
        if version.agent.is_student:
            return self._student(version, project_id)
        check_template(version.template_source)
        check_guidance(version)
        if project_id is None:
            question, of_tasks = _sample_question(version), len(_SAMPLE_TASKS)
            tasks = [Task(id=n, project_id=0, data={"text": text}) for n, text in enumerate(_SAMPLE_TASKS, start=1)]
        else:
            trials = self.trials()
            of_tasks = trials.labels.project(project_id).task_count
            question = trials.question(project_id, version)
            tasks = trials.tasks(project_id, question, most=MOST_MEASURED)
        measured = measure(question, tasks)  # renders all of them: no need to render three apart
        return Checked(
            project_id=project_id,
            of_tasks=of_tasks,
            measured=measured,
            examples_left_out={} if project_id is None else question.examples.left_out,
            endpoint=self.describe_model(version.agent),
        )

    def _student(self, version: AgentVersion, project_id: int | None) -> Checked:
        """It has no prompts; whether it can answer anything of a project's labeling config is all there is to check.
        What it learns from may come later."""
        of_tasks = 0
        if project_id is not None:
            project = self.trials().labels.project(project_id)
            need_learnable(answerable(project.label_config), version.agent.name)
            of_tasks = project.task_count
        return Checked(
            project_id=project_id,
            of_tasks=of_tasks,
            measured=Measured(tasks=0, too_long=(), not_asked=0, not_measured=0),
            examples_left_out={},
            endpoint=self.describe_model(version.agent),
        )


def check_guidance(version: AgentVersion) -> None:
    """Raises `TemplateError` where guidance would stand in no prompt."""
    if version.agent.guidance is not None and not shows_instructions(version.template_source):
        raise TemplateError(
            "The prompt template does not show instructions (`instructions`), so that guidance would stand in no "
            "prompt: mend it, or use the default one."
        )


def _sample_question(version: AgentVersion) -> Question:
    return Question(
        config=parse_config(_SAMPLE_CONFIG),
        agent=version.agent,
        template_source=version.template_source,
        instructions="",
        version=version.reference,
    )
