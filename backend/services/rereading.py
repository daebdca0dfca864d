"""What a batch-calibrated agent answers: what the agent that it calibrates has answered is read again from the stored
label probabilities, and nothing is asked; what that one has not is asked as it would ask, and read in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backend.confidence.batch_calibration import BatchMeans
from backend.core.values import Agent, FieldReading, Outcome, Task, TaskState
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.ports.store import Store
from backend.recalibrating import recalibrated
from backend.version import version_for


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What a calibrated agent does with a task, in the place of asking and after it."""

    store: Store
    project_id: int
    config: LabelingConfig
    version: str  # that of the agent which it calibrates
    means: Mapping[str, BatchMeans]

    def reread(self, task: Task) -> Outcome | None:
        """From what was answered to the same data; None where that was not. Raises `StoreError`."""
        record = self.store.records(self.project_id, self.version, [task.id]).get(task.id)
        if record is None or record.state is not TaskState.DONE or record.data_hash != task.data_hash:
            return None
        config = self.config.bind(task.data)
        for answer in self.store.answers_of_records([record.id]):
            told = answer.controls
            fields = tuple(
                FieldReading(
                    control=control.name,
                    value=control.value_of(record.result).value,
                    step="reread",
                    confidence=told[control.name].confidence,
                    label_probabilities=told[control.name].probabilities,
                )
                for control in config.controls
                if control.name in told
            )
            return self.applied(task, Outcome(state=record.state, result=record.result, fields=fields))
        return None

    def applied(self, task: Task, outcome: Outcome) -> Outcome:
        return recalibrated(outcome, self.config.bind(task.data), self.means)


def recalibration(store: Store, project_id: int, question: Question, instructions: str) -> Recalibration:
    """Of the question of an agent that is calibrated."""
    agent = question.agent
    assert agent.calibrated is not None
    return Recalibration(
        store=store,
        project_id=project_id,
        config=question.config,
        version=version_for(uncalibrated(agent), question.config, question.template_source, instructions),
        means={name: BatchMeans.from_json(means) for name, means in agent.calibrated["means"].items()},
    )


def uncalibrated(agent: Agent) -> Agent:
    """The agent that a calibrated one calibrates."""
    return replace(agent, name=str(agent.calibrated["of"]), calibrated=None) if agent.calibrated else agent
