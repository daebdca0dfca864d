"""What a project's current version is, and that Label Studio says the same in every place."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from backend.core.errors import ConfigError, LabelStudioError
from backend.core.text import storable
from backend.core.values import Agent
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import SUPPORTED as CONTROL_TAGS
from backend.labeling.objects import SUPPORTED as OBJECT_TAGS
from backend.labeling.objects.page import text_of_html
from backend.labeling.parsing import parse_config
from backend.ports.labels import Backend, Labels
from backend.ports.store import ProjectRow, Store
from backend.version import version_for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Projects:
    """The agent of this installation over the projects of one Label Studio."""

    store: Store
    agent: Agent
    template_source: str

    def question(self, row: ProjectRow) -> Question:
        """What is asked of each task. Raises `ConfigError` when nothing in the config can be answered."""
        config = answerable(row.label_config)
        return Question(
            config=config,
            agent=self.agent,
            template_source=self.template_source,
            instructions=row.instructions,
            version=self._version(config, row.instructions),
        )

    def remember(self, project_id: int, label_config: str, instructions: str | None = None) -> tuple[ProjectRow, bool]:
        """Store a project as it was just seen; returns the row and whether it is news.

        `instructions` None keeps those that are known: `/setup` and `/predict` do not carry them.
        """
        row, known = self._look(project_id, label_config, instructions)
        if row == known:
            return row, False
        self.store.save_project(row)
        for refusal in row.refusals:
            _log.warning("not annotated", extra={"project": project_id, "refused": refusal})
        return row, True

    def look(self, project_id: int, label_config: str, instructions: str) -> ProjectRow:
        """What `remember` would store, for who only looks."""
        return self._look(project_id, label_config, instructions)[0]

    def _look(
        self, project_id: int, label_config: str, instructions: str | None
    ) -> tuple[ProjectRow, ProjectRow | None]:
        """The project as it was just seen, and as it is stored."""
        known = self.store.project(project_id)
        known_instructions = known.instructions if known else ""
        instructions = known_instructions if instructions is None else storable(text_of_html(instructions))
        label_config = storable(label_config)
        version, refusals = self._describe(label_config, instructions)
        row = ProjectRow(
            id=project_id,
            label_config=label_config,
            instructions=instructions,
            version=version,
            auto_start=known.auto_start if known else False,
            refusals=refusals,
        )
        return row, known

    def sync(self, labels: Labels, project_id: int) -> ProjectRow:
        """Read the project from Label Studio and align the version there."""
        project = labels.project(project_id)
        row, _ = self.remember(project_id, project.label_config, project.instructions)
        if row.version is not None:
            self._align(labels, project_id, row.version, project.model_version)
        return row

    def setup_version(self, row: ProjectRow) -> str:
        """What `/setup` answers: never null, which would switch off Label Studio's own deduplication."""
        return row.version or f"{self.agent.name}@unsupported"

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
        pattern = re.compile(rf"{re.escape(self.agent.name)}@([0-9a-f]{{8}}|unsupported)")
        ours = [b for b in backends if pattern.fullmatch(b.title)]
        return ours[0] if len(ours) == 1 else None

    def _describe(self, label_config: str, instructions: str) -> tuple[str | None, tuple[str, ...]]:
        try:
            config = parse_config(label_config)
        except ConfigError as error:
            return None, (str(error),)
        refusals = tuple(str(refusal) for refusal in config.refusals)
        return (self._version(config, instructions) if config.controls else None), refusals

    def _version(self, config: LabelingConfig, instructions: str) -> str:
        return version_for(self.agent, config, self.template_source, instructions)


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
