"""What a project's current version is, and that Label Studio says the same in every place."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from functools import cached_property

from backend.core.agents import AgentVersion
from backend.core.errors import ConfigError, LabelStudioError
from backend.core.text import storable
from backend.core.values import JSON, Agent, canonical_hash
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import SUPPORTED as CONTROL_TAGS
from backend.labeling.objects import SUPPORTED as OBJECT_TAGS
from backend.labeling.objects.page import text_of_html
from backend.labeling.parsing import parse_config
from backend.ports.labels import Backend, Labels
from backend.ports.store import JobRow, ProjectRow, Store
from backend.services.agents import Agents
from backend.services.rereading import recalibration
from backend.services.students import Students, need_learnable
from backend.services.verified_examples import VerifiedExamples
from backend.version import version_for

_log = logging.getLogger(__name__)
_NOT_SAID: JSON = object()  # of extra params, where a request does not carry any


@dataclass(frozen=True, kw_only=True)
class Projects:
    """The agents of this installation over the projects of one Label Studio."""

    store: Store
    agent: Agent  # the one of the settings
    template_source: str

    @cached_property
    def agents(self) -> Agents:
        return Agents(store=self.store, default=AgentVersion.of(self.agent, self.template_source))

    def question(self, row: ProjectRow, agent: str | None = None) -> Question:
        """What is asked of each task, by the project's agent or by another (NAME or NAME@HASH).

        Raises `ConfigError` and `AgentUnknown`.
        """
        return self.asking(row, self.made_by(row, agent))

    def asking(self, row: ProjectRow, made_by: AgentVersion) -> Question:
        """What an agent asks of each task, with verified ones as examples, or what a student answers that learnt from
        them. Raises `ConfigError`."""
        question = question_for(row, made_by)
        if made_by.agent.is_student:
            return self.students.beside(row.id, question)
        if made_by.agent.calibrated:
            question = replace(question, calibration=recalibration(self.store, row.id, question, row.instructions))
        return self.verified_examples.beside(row.id, question)

    @cached_property
    def students(self) -> Students:
        return Students(store=self.store, excluded=self.store.golden_set_apart)

    @cached_property
    def verified_examples(self) -> VerifiedExamples:
        return VerifiedExamples(store=self.store, excluded=self.store.golden_set_apart)

    def remember(
        self, project_id: int, label_config: str, instructions: str | None = None, *, extra_params: JSON = _NOT_SAID
    ) -> tuple[ProjectRow, bool]:
        """Store a project as it was just seen; returns the row and whether it is news.

        `instructions` None keeps those that are known: `/setup` and `/predict` do not carry them. `extra_params`, which
        only `/setup` carries, may choose the agent.
        """
        row, known = self._look(project_id, label_config, instructions, extra_params)
        if row == known:
            return row, False
        self.store.save_project(row)
        self.note_version(row)
        for refusal in row.refusals:
            _log.warning("not annotated", extra={"project": project_id, "refused": refusal})
        return row, True

    def look(self, project_id: int, label_config: str, instructions: str) -> ProjectRow:
        """What `remember` would store, for who only looks."""
        return self._look(project_id, label_config, instructions)[0]

    def choose(self, labels: Labels, project_id: int, text: str) -> ProjectRow:
        """Make an agent (NAME or NAME@HASH) the project's, everywhere. Raises `AgentUnknown`, and `ConfigError` for a
        student that cannot answer anything now."""
        chosen = self.agents.find(text)
        project = labels.project(project_id)
        row = self.look(project_id, project.label_config, project.instructions)
        if chosen.agent.is_student:
            self.asking(row, chosen)
        row = self._described(replace(row, agent=None if chosen == self.agents.default else chosen.reference))
        self.store.save_project(row)  # agent and version in one step: workers compare them
        return self.sync(labels, project_id)

    def note_version(self, row: ProjectRow, agent: str | None = None) -> str | None:
        """Remember which agent makes the row's version, or the version that `agent` would make; returns the version."""
        made_by = self.made_by(row, agent)
        try:
            question = question_for(row, made_by)
        except ConfigError:
            return None
        asked = canonical_hash([question.config.fingerprint, question.instructions])
        self.store.note_project_version(row.id, question.version, made_by.reference, asked)
        return question.version

    def made_by(self, row: ProjectRow, agent: str | None = None) -> AgentVersion:
        """The project's agent, or `agent` (NAME or NAME@HASH). Raises `AgentUnknown`."""
        return self.agents.of(row) if agent is None else self.agents.find(agent)

    def made_for(self, row: ProjectRow, job: JobRow) -> AgentVersion:
        """The agent of a job, also when the project has another one by now. Raises `AgentUnknown`."""
        return self.agents.maker(row, job.version) if job.agent is None else self.agents.find(job.agent)

    def _look(
        self, project_id: int, label_config: str, instructions: str | None, extra_params: JSON = _NOT_SAID
    ) -> tuple[ProjectRow, ProjectRow | None]:
        """The project as it was just seen, and as it is stored."""
        known = self.store.project(project_id)
        known_instructions = known.instructions if known else ""
        instructions = known_instructions if instructions is None else storable(text_of_html(instructions))
        label_config = storable(label_config)
        row = ProjectRow(
            id=project_id,
            label_config=label_config,
            instructions=instructions,
            version=None,
            auto_start=known.auto_start if known else False,
            agent=known.agent if known else None,
            extra_agent=known.extra_agent if known else None,
            agent_problem=known.agent_problem if known else None,
        )
        if extra_params is not _NOT_SAID:
            row = self.agents.follow(row, extra_params)
        return self._described(row), known

    def sync(self, labels: Labels, project_id: int) -> ProjectRow:
        """Read the project from Label Studio and align the version there."""
        project = labels.project(project_id)
        row, _ = self.remember(project_id, project.label_config, project.instructions)
        self.note_version(row)
        if row.version is not None:
            shown = self.store.shown_version(project_id, row.version)
            self._align(labels, project_id, shown, project.model_version)
        return row

    def stand_aside(self, labels: Labels, project_id: int, *, title: str, version: str) -> None:
        """Give our backend another title and let the project keep its version; `sync` puts the title back.

        Whenever predictions of any version are deleted, Label Studio takes the project's version away if a backend
        has it for its title: nothing would be shown until it is set again. It renames the project's version together
        with the title, so that `title` is best a version of which predictions are there.
        """
        ours = self._our_backend(labels.backends(project_id))
        if ours is not None:
            labels.save_backend(project_id, ours.id, {"title": title})
        labels.set_model_version(project_id, version)

    def setup_version(self, row: ProjectRow) -> str:
        """What `/setup` answers: never null, which would switch off Label Studio's own deduplication."""
        if row.version is not None:
            return self.store.shown_version(row.id, row.version)
        return f"{self.agents.of(row).agent.name}@unsupported"

    def _align(self, labels: Labels, project_id: int, version: str, current: str | None) -> None:
        """Title of our backend first: the project takes no version of which no backend or prediction exists."""
        ours = self._our_backend(labels.backends(project_id))
        if ours is not None and ours.title != version:
            labels.save_backend(project_id, ours.id, {"title": version})
        if current != version:
            try:
                labels.set_model_version(project_id, version)
            except LabelStudioError as error:
                if error.status != 400:
                    raise
                _log.info("version not set yet: no prediction of it", extra={"project": project_id})

    def _our_backend(self, backends: list[Backend]) -> Backend | None:
        """The only one, or the only one whose title looks like a version of ours."""
        if len(backends) == 1:
            return backends[0]
        names = {self.agent.name, *(a.version.agent.name for a in self.store.agents())}
        pattern = re.compile(rf"({'|'.join(map(re.escape, names))})@([0-9a-f]{{8}}(\.r\d+)?|unsupported)")
        ours = [b for b in backends if pattern.fullmatch(b.title)]
        return ours[0] if len(ours) == 1 else None

    def _described(self, row: ProjectRow) -> ProjectRow:
        """The row with its version, and with what is refused."""
        try:
            config = parse_config(row.label_config)
        except ConfigError as error:
            return replace(row, version=None, refusals=(str(error),))
        row = replace(row, version=None, refusals=tuple(str(refusal) for refusal in config.refusals))
        if not config.controls:
            return row
        try:
            return replace(row, version=question_for(row, self.agents.of(row)).version)
        except ConfigError as error:  # the agent is a student that answers none of these controls
            return replace(row, refusals=(*row.refusals, str(error)))


def question_for(row: ProjectRow, made_by: AgentVersion) -> Question:
    """What an agent asks of each task, but for examples. Raises `ConfigError` when nothing in the config can be
    answered."""
    config = answerable(row.label_config)
    if made_by.agent.is_student:
        need_learnable(config, made_by.agent.name)
    return Question(
        config=config,
        agent=made_by.agent,
        template_source=made_by.template_source,
        instructions=row.instructions,
        version=version_for(made_by.agent, config, made_by.template_source, row.instructions),
    )


def what_is_answered(label_config: str) -> str:
    """What is refused, and what can be used instead where the tag itself is the reason; empty where nothing is."""
    try:
        refusals = parse_config(label_config).refusals
    except ConfigError as error:
        return str(error)
    told = "; ".join(map(str, refusals))
    if not any(refusal.another_tag for refusal in refusals):
        return told
    return f"{told} (Prelabel answers {', '.join(CONTROL_TAGS)} on {', '.join(OBJECT_TAGS)}: see the README's table)"


def answerable(label_config: str) -> LabelingConfig:
    """The parsed config. Raises `ConfigError` naming every refused control when none is left."""
    config = parse_config(label_config)
    if not config.controls:
        raise ConfigError(f"Nothing in the labeling config can be pre-annotated: {what_is_answered(label_config)}.")
    return config
