"""What a labeling config asks: its controls and objects, and what of it is refused by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from label_studio_sdk.label_interface.interface import LabelInterface

from backend.core.errors import ConfigError
from backend.core.values import JSON, Media, canonical_hash
from backend.labeling.conditions import visible
from backend.labeling.controls import Control, Option
from backend.labeling.controls.base import Refused
from backend.labeling.controls.regions import RegionControl
from backend.labeling.data_values import keys_of
from backend.labeling.following import (
    SHOWN_NOWHERE,
    every,
    followed,
)
from backend.labeling.objects import ObjectTag
from backend.labeling.relations import Relations
from backend.labeling.schema import nullable, strict_object, within_enum_limits
from backend.labeling.shown import Shown

_DECLARATION = re.compile(r"\s*<\?xml\b.*?\?>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A tag that will not be answered, and why."""

    tag: str
    name: str
    reason: str
    another_tag: bool = False  # the tag itself, or what it points to, is the reason: another tag would do

    @classmethod
    def of(cls, refused: Refused, *, tag: str, name: str) -> Refusal:
        return cls(tag=tag, name=name, reason=str(refused), another_tag=refused.another_tag)

    def __str__(self) -> str:
        return f'{self.tag} "{self.name}" {self.reason}'


@dataclass(frozen=True)
class LabelingConfig:
    """The parts of a labeling config that can be answered, in their order in the XML.

    `controls` are those that are answered by themselves; those of single regions are `attached` to them.
    """

    xml: str
    controls: tuple[Control, ...]
    objects: tuple[ObjectTag, ...]
    refusals: tuple[Refusal, ...]
    relations: Relations | None = None  # None: none are asked for, or no regions are made that could have any

    @cached_property
    def fingerprint(self) -> str:
        """Changes when, and only when, an answer could: colours, layout and headers elsewhere do not matter."""
        relations = [repr(self.relations)] if self.relations else []
        return canonical_hash([repr(self.controls), repr(self.objects), *relations])

    @property
    def variables(self) -> tuple[str, ...]:
        """The keys of the task's data that may be shown or hold options."""
        options = (key for c in every(self.controls) if c.options_variable for key in keys_of(c.options_variable))
        return tuple(dict.fromkeys([*(key for o in self.objects for key in o.kept), *options]))

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys that the labeling config itself names: those that every task is meant to have."""
        named = {key for o in self.objects for key in o.kept} - {key for o in self.objects for key in o.keys}
        return tuple(key for key in self.variables if key not in named)

    def bind(self, data: Mapping[str, JSON]) -> LabelingConfig:
        """The config with the options that this task brings along; a control without any is refused for it."""
        if not any(c.options_variable for c in every(self.controls)):
            return self
        refusals = {(r.tag, r.name): r for r in self.refusals}

        def bound(control: Control) -> Control | None:
            try:
                return control.bind(data)
            except Refused as refused:
                refusals[control.tag, control.name] = Refusal.of(refused, tag=control.tag, name=control.name)
                return None

        makers = {c.name: c for c in self.controls if isinstance(c, RegionControl)}
        waiting: list[Control] = []
        controls: list[Control] = []
        for control in filter(None, map(bound, self.controls)):
            if isinstance(control, RegionControl) and control.attached:
                followers = tuple(filter(None, map(bound, control.attached)))
                control = followed(makers[control.name], replace(control, attached=followers))
                waiting += followers
            controls.append(control)
        shown = {control.name for control in every(controls)}
        for one in waiting:
            if one.name not in shown:
                refusals[one.tag, one.name] = Refusal(tag=one.tag, name=one.name, reason=SHOWN_NOWHERE)
        return replace(self, controls=tuple(controls), refusals=tuple(refusals.values()))

    def visible(self, values: Mapping[str, JSON | None]) -> frozenset[str]:
        """The names of the controls that are shown when `values` were read for them."""
        by_name = {c.name: c for c in self.controls}

        def chosen(name: str) -> frozenset[str]:
            value = values.get(name)
            return frozenset() if value is None else by_name[name].chosen(value)

        return visible({name: control.conditions for name, control in by_name.items()}, chosen)

    def media_sources(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        """The images that must be loaded before the task can be shown."""
        return tuple(dict.fromkeys(source for o in self.objects for source in o.sources(data)))

    def document_sources(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        """The documents that must be loaded before the task can be shown."""
        return tuple(dict.fromkeys(source for o in self.objects for source in o.documents(data)))

    @property
    def only_about_images(self) -> bool:
        """Whether a model that sees no images can answer nothing of it."""
        images = {o.name for o in self.objects if o.tag == "Image"}
        return all(images.intersection(c.to_name) for c in self.controls)

    def show(self, data: Mapping[str, JSON], media: Media | None = None) -> dict[str, Shown]:
        """Every object of the task as the model sees it, with what was loaded of its sources."""
        shown: dict[str, Shown] = {}
        for o in self.objects:
            first = 1 + sum(len(s.images) for s in shown.values())
            shown[o.name] = o.show_loaded(data, media or {}, first)
        tells = any(
            o.keys and shown[o.name].text and not shown[o.name].unseen for o in self.objects if o.tag != "Image"
        )
        return shown if tells else {name: _without_placeholder(s) for name, s in shown.items()}

    def unanswerable(self, shown: Mapping[str, Shown]) -> dict[str, str]:
        """The controls about something that this task does not show, with why: an answer would be made up."""
        return {
            c.name: f"has nothing to look at: {problem}"
            for c in self.controls
            for target in c.to_name
            if (problem := c.unanswerable(shown[target]))
        }

    def without(self, names: Collection[str]) -> LabelingConfig:
        """The config with those controls left out of what is asked."""
        return replace(self, controls=tuple(c for c in self.controls if c.name not in names)) if names else self

    def reordered(self, turn: int) -> LabelingConfig:
        """The same question with the options of each control in another order: `turn` 0 leaves them as they are.

        Every second turn they come from the last to the first, and each begins with another one.
        """
        if turn == 0:
            return self
        return replace(self, controls=tuple(replace(c, options=_turned(c.options, turn)) for c in self.controls))

    def schema(self) -> dict[str, JSON]:
        """JSON schema of the whole answer: one property a control, all required, nothing else."""
        return strict_object(within_enum_limits({c.name: _schema(c) for c in self.controls}))

    def validate(self, result: list[dict[str, JSON]], score: float | None) -> list[str]:
        """What the server's own check says of a prediction; empty when it accepts."""
        prediction: dict[str, JSON] = {"result": result}
        if score is not None:
            prediction["score"] = score
        errors: list[str] = interface_of(self.xml).validate_prediction(prediction, return_errors=True)  # type: ignore[no-untyped-call]
        return errors


def _without_placeholder(shown: Shown) -> Shown:
    """Where nothing else of the task can be read, an object that is only named leaves nothing to look at."""
    return replace(shown, text="", problem=shown.unseen, unseen=None) if shown.unseen else shown


def _turned(options: tuple[Option, ...], turn: int) -> tuple[Option, ...]:
    if turn % 2:
        options = options[::-1]
    first = turn // 2 % len(options) if options else 0
    return options[first:] + options[:first]


def _schema(control: Control) -> dict[str, JSON]:
    """A control that may not be shown may be answered with null."""
    return nullable(control.schema()) if control.conditions else control.schema()


@lru_cache(maxsize=64)
def interface_of(xml: str) -> LabelInterface:
    """Label Studio's own reading of a labeling config. Raises `ConfigError` where it has none."""
    try:
        return LabelInterface(_DECLARATION.sub("", xml, count=1))  # lxml refuses a declared encoding in a str
    except Exception as error:  # the SDK raises its own and lxml's errors without a common root
        logging.getLogger(__name__).debug("label interface refused a config", exc_info=True)
        raise ConfigError(
            f"Label Studio's own library cannot read the labeling config ({type(error).__name__}): mend it."
        ) from None
