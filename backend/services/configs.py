"""What becomes of each control of a labeling config, told without Label Studio, a model or a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backend.core.errors import ConfigError
from backend.labeling.controls.regions import RegionControl
from backend.labeling.following import every
from backend.labeling.parsing import parse_config


@dataclass(frozen=True, kw_only=True)
class ControlFate:
    """One control, or an object that is not shown to the model."""

    tag: str
    name: str
    about: str | None  # the objects that it points to; None for a refused one
    answered_as: str | None  # what the model is asked for
    refused: str | None  # why it is not asked


@dataclass(frozen=True, kw_only=True)
class ConfigFate:
    """A whole config: its controls, or the one sentence that says why nothing in it can be read."""

    controls: tuple[ControlFate, ...]
    error: str | None = None

    @property
    def answered(self) -> int:
        return sum(control.refused is None for control in self.controls)

    def as_json(self) -> dict[str, Any]:
        return {"answered": self.answered, "controls": [asdict(c) for c in self.controls], "error": self.error}


def fate_of(xml: str) -> ConfigFate:
    """Never raises, whatever `xml` is."""
    try:
        config = parse_config(xml)
    except ConfigError as error:
        return ConfigFate(controls=(), error=str(error))
    tags: Mapping[str, str] = {o.name: o.tag for o in config.objects}
    where = {control.name: "" for control in config.controls}
    for parent in config.controls:
        if isinstance(parent, RegionControl):
            for one in parent.attached:
                where.setdefault(one.name, f", in each region of {parent.name}")
    answered = tuple(
        ControlFate(
            tag=control.tag,
            name=control.name,
            about=", ".join(f"{tags[target]} {target}" for target in control.to_name),
            answered_as=control.ask() + where[control.name],
            refused=None,
        )
        for control in every(config.controls)
    )
    if config.relations is not None:
        asked = "the relations between regions, in a second question"
        answered += (ControlFate(tag="Relations", name="", about=None, answered_as=asked, refused=None),)
    refused = tuple(
        ControlFate(tag=r.tag, name=r.name, about=None, answered_as=None, refused=r.reason) for r in config.refusals
    )
    return ConfigFate(controls=answered + refused)
