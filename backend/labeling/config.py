"""A labeling config, parsed once: controls, objects, and what is refused by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException
from label_studio_sdk.label_interface.interface import LabelInterface

from backend.core.errors import ConfigError
from backend.core.values import JSON, canonical_hash
from backend.labeling.controls import SUPPORTED as CONTROL_TAGS
from backend.labeling.controls import Control
from backend.labeling.controls.base import Refused, question_of
from backend.labeling.objects import SUPPORTED as OBJECT_TAGS
from backend.labeling.objects import ObjectTag
from backend.labeling.shown import Shown

MAX_CONFIG_CHARS = 2_000_000
MAX_CONFIG_DEPTH = 200  # deeper nesting is no layout that a person wrote, and would exhaust the stack
_DECLARATION = re.compile(r"\s*<\?xml\b.*?\?>", re.DOTALL)
_NO_CONTROLS = frozenset({"Filter"})  # have a name and a toName, and hold no answer
_CONDITIONS = ("perRegion", "visibleWhen", "whenTagName", "whenLabelValue", "whenChoiceValue")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A tag that will not be answered, and why."""

    tag: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f'{self.tag} "{self.name}" {self.reason}'


@dataclass(frozen=True)
class LabelingConfig:
    """The parts of a labeling config that can be answered, in their order in the XML."""

    xml: str
    controls: tuple[Control, ...]
    objects: tuple[ObjectTag, ...]
    refusals: tuple[Refusal, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Changes when, and only when, an answer could: colours, layout and headers elsewhere do not matter."""
        return canonical_hash([repr(self.controls), repr(self.objects)])

    @property
    def variables(self) -> tuple[str, ...]:
        """The keys of the task's data that are shown."""
        return tuple(dict.fromkeys(key for o in self.objects for key in o.keys))

    def show(self, data: Mapping[str, JSON]) -> dict[str, Shown]:
        """Every object that a control asks about, as the model sees it."""
        return {o.name: o.show(data) for o in self.objects}

    def schema(self) -> dict[str, JSON]:
        """JSON schema of the whole answer: one property a control, all required, nothing else."""
        return {
            "type": "object",
            "properties": {c.name: c.schema() for c in self.controls},
            "required": [c.name for c in self.controls],
            "additionalProperties": False,
        }

    def validate(self, result: list[dict[str, JSON]], score: float | None) -> list[str]:
        """What the server's own check says of a prediction; empty when it accepts."""
        prediction: dict[str, JSON] = {"result": result}
        if score is not None:
            prediction["score"] = score
        errors: list[str] = _interface(self.xml).validate_prediction(prediction, return_errors=True)  # type: ignore[no-untyped-call]
        return errors


@lru_cache(maxsize=64)
def parse_config(xml: str) -> LabelingConfig:
    """Parse a labeling config. Raises `ConfigError`, one sentence, when nothing in it can be answered at all.

    A config in which some controls can be answered is returned with the others in `refusals`.
    """
    root = _root(xml)
    refusals: list[Refusal] = []
    objects = _objects(root, refusals)
    seen: set[str] = set()
    controls: list[Control] = []
    for element, question, condition in _walk(root):
        if not (element.get("name") and element.get("toName")) or element.tag in _NO_CONTROLS:
            continue
        name = element.get("name", "")
        if name in seen:
            raise ConfigError(f"The labeling config has two controls named {name!r}: give each its own name.")
        seen.add(name)
        try:
            controls.append(_control(element, question, condition, objects))
        except Refused as refused:
            refusals.append(Refusal(tag=element.tag, name=name, reason=str(refused)))
    if not controls and not refusals:
        raise ConfigError("The labeling config has no control (such as Choices or Labels): add one in the project.")
    pointed = {name for control in controls for name in control.to_name}
    config = LabelingConfig(
        xml=xml,
        controls=tuple(controls),
        objects=tuple(o for o in objects.values() if isinstance(o, ObjectTag) and o.name in pointed),
        refusals=tuple(refusals),
    )
    if controls:
        _interface(xml)
    return config


def _root(xml: str) -> Element:
    if len(xml) > MAX_CONFIG_CHARS:
        raise ConfigError(f"The labeling config is longer than {MAX_CONFIG_CHARS:,} characters: shorten it.")
    try:
        root: Element = defusedxml.ElementTree.fromstring(xml, forbid_dtd=True)
    except DefusedXmlException:
        raise ConfigError("The labeling config declares a DTD or entities, which are refused: remove them.") from None
    except (ParseError, ValueError) as error:
        raise ConfigError(f"The labeling config is not well-formed XML ({error}): mend it in the project.") from None
    if _depth(root) > MAX_CONFIG_DEPTH:
        raise ConfigError(f"The labeling config is nested deeper than {MAX_CONFIG_DEPTH} levels: flatten it.")
    return root


def _depth(root: Element) -> int:
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for element in level for child in element]
    return depth


def _objects(root: Element, refusals: list[Refusal]) -> dict[str, ObjectTag | Refusal]:
    """Every named tag without a toName that holds data; a `Refusal` in the place of one that cannot be shown."""
    objects: dict[str, ObjectTag | Refusal] = {}
    for element in root.iter():
        name = element.get("name")
        if not name or element.get("toName") or not (element.get("value") or element.get("valueList")):
            continue
        if element.tag in ("Choice", "Label", "Header"):
            continue
        object_class = OBJECT_TAGS.get(element.tag)
        try:
            if object_class is None:
                raise Refused("is not supported yet")
            objects[name] = object_class.parse(element)
        except Refused as refused:
            objects[name] = Refusal(tag=element.tag, name=name, reason=str(refused))
    return objects


def _control(
    element: Element, question: str | None, condition: str | None, objects: Mapping[str, ObjectTag | Refusal]
) -> Control:
    control_class = CONTROL_TAGS.get(element.tag)
    if control_class is None:
        raise Refused("is not supported yet")
    if condition is not None:
        raise Refused(f"is shown only on a condition ({condition}), which is not supported yet")
    control = control_class.parse(element, question)
    for target in control.to_name:
        found = objects.get(target)
        if found is None:
            raise Refused(f"points to {target!r}, which is not in the config")
        if isinstance(found, Refusal):
            raise Refused(f"points to {found}")
        if found.tag not in control_class.object_tags:
            raise Refused(f'on {found.tag} "{target}" is not supported yet')
    return control


def _walk(root: Element) -> Iterator[tuple[Element, str | None, str | None]]:
    """Each element with the nearest Header before it and the condition under which it is shown."""
    question: str | None = None

    def visit(element: Element, condition: str | None) -> Iterator[tuple[Element, str | None, str | None]]:
        nonlocal question
        if element.tag == "Header":
            question = question_of(element.get("value") or element.text)
        for name in _CONDITIONS:
            value = element.get(name, "")
            if value and value.lower() != "false":
                condition = condition or name
        yield element, question, condition
        if element.get("toName"):
            question = None  # a header asks the next control only
        for child in element:
            yield from visit(child, condition)

    yield from visit(root, None)


@lru_cache(maxsize=64)
def _interface(xml: str) -> LabelInterface:
    try:
        return LabelInterface(_DECLARATION.sub("", xml, count=1))  # lxml refuses a declared encoding in a str
    except Exception as error:  # the SDK raises its own and lxml's errors without a common root
        logging.getLogger(__name__).debug("label interface refused a config", exc_info=True)
        raise ConfigError(
            f"Label Studio's own library cannot read the labeling config ({type(error).__name__}): mend it."
        ) from None
