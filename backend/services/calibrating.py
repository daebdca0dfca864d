"""Batch calibration as an agent of its own, made on the audit's evidence alone: the agent that answered, with the mean
probability of each label over all that it answered. `rereading.py` has what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.confidence.batch_calibration import obstacle
from backend.core.agents import AgentVersion
from backend.core.errors import ConfigError, InputError
from backend.core.values import JSON
from backend.labeling.config import LabelingConfig
from backend.learning.fitting import batch_gain, batch_of
from backend.ports.store import ProjectRow, Store
from backend.services.fitting_rows import predicted, said_of
from backend.services.report import judgements
from backend.student_answers import is_learnable

_SUFFIX = "-calibrated"


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A calibrated agent that was registered."""

    agent: AgentVersion
    is_new: bool
    gains: Mapping[str, Mapping[str, JSON]]  # control -> what it changes on the audit


def calibrate(store: Store, row: ProjectRow, version: str, made_by: AgentVersion, config: LabelingConfig) -> Calibrated:
    """Register the agent of a project's version, calibrated, where the blind audit says that it makes more labels right
    than wrong, beyond chance. Raises `InputError` and `ConfigError` that say why not."""
    if made_by.agent.is_student or made_by.agent.calibrated:
        what = "is a student" if made_by.agent.is_student else "is batch-calibrated"
        raise ConfigError(f"The agent {made_by.agent.name!r} {what}: batch calibration is for a model's own labels.")
    if any(control.conditions for control in config.controls):
        raise ConfigError(
            "The labeling config shows controls by the answers of others (visibleWhen): no label is read again there."
        )
    answers = list(store.scored_answers(row.id, version))
    said = said_of(config, judgements(store, row, version, list(store.verifications(row.id))))
    learnable = {control.name for control in config.controls if is_learnable(control)}
    rows = {name: found for name, found in predicted(config, answers).items() if name in learnable}
    gains = {name: batch_gain(found, said.get(name, {})) for name, found in rows.items()}
    adopted = {name: found for name, found in gains.items() if found is not None and not_adopted(found) is None}
    if not adopted:
        raise InputError(f"Batch calibration is not adopted: {_why_not(gains)}.")
    means = {name: means.to_json() for name in adopted if (means := batch_of(rows[name])) is not None}
    agent = replace(
        made_by.agent,
        name=made_by.agent.name[: 40 - len(_SUFFIX)] + _SUFFIX,
        calibrated={"of": made_by.agent.name, "means": means},
    )
    registered = AgentVersion.of(agent, made_by.template_source)
    return Calibrated(agent=registered, is_new=store.add_agent(registered), gains=adopted)


def not_adopted(found: Mapping[str, Any]) -> str | None:
    """Why what a fit measured on the audit (`batch_gain`) is no reason: a phrase; None: it is one."""
    return obstacle(mended=found["mended"], spoiled=found["spoiled"], audit=found["audit"])


def _why_not(gains: Mapping[str, Mapping[str, Any] | None]) -> str:
    told = [
        f'"{name}" has no audited label with label probabilities'
        if found is None
        else f'"{name}": {not_adopted(found)}'
        for name, found in gains.items()
    ]
    return "; ".join(told) or "no answer holds the probabilities of its labels"
