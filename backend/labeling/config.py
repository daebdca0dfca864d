"""A labeling config, parsed once: controls, objects, and what is refused by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException
from label_studio_sdk.label_interface.interface import LabelInterface

from backend.core.errors import ConfigError
from backend.core.values import JSON, Media, canonical_hash
from backend.labeling.conditions import BY_REGION, Condition, visible
from backend.labeling.controls import SUPPORTED as CONTROL_TAGS
from backend.labeling.controls import Control, Option
from backend.labeling.controls.base import Refused, question_of, to_names
from backend.labeling.controls.box_labels import BoxLabels
from backend.labeling.controls.per_item import PerItem
from backend.labeling.controls.regions import RegionControl
from backend.labeling.data_values import keys_of
from backend.labeling.following import (
    SHOWN_NOWHERE,
    conditions_of,
    every,
    followed,
    is_per_item,
    is_per_region,
    settle,
)
from backend.labeling.objects import SUPPORTED as OBJECT_TAGS
from backend.labeling.objects import ObjectTag
from backend.labeling.objects.headers import shown_headers
from backend.labeling.objects.image import Image
from backend.labeling.relations import Relations
from backend.labeling.schema import nullable, strict_object, within_enum_limits
from backend.labeling.shown import Shown
from backend.labeling.unsupported import why_not_on, why_not_shown, why_unsupported

MAX_CONFIG_CHARS = 2_000_000
MAX_CONFIG_DEPTH = 200  # deeper nesting is no layout that a person wrote, and would exhaust the stack
_DECLARATION = re.compile(r"\s*<\?xml\b.*?\?>", re.DOTALL)
_NO_CONTROLS = frozenset({"Filter", "Relations"})  # have a name and a toName, and hold no answer
_TAGS = {tag.lower(): tag for tag in (*CONTROL_TAGS, *OBJECT_TAGS, *_NO_CONTROLS)}


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
        return replace(self, controls=tuple(replace(c, options=_turned(c.options, turn)) for c in self.controls))

    def schema(self) -> dict[str, JSON]:
        """JSON schema of the whole answer: one property a control, all required, nothing else."""
        return strict_object(within_enum_limits({c.name: _schema(c) for c in self.controls}))

    def validate(self, result: list[dict[str, JSON]], score: float | None) -> list[str]:
        """What the server's own check says of a prediction; empty when it accepts."""
        prediction: dict[str, JSON] = {"result": result}
        if score is not None:
            prediction["score"] = score
        errors: list[str] = _interface(self.xml).validate_prediction(prediction, return_errors=True)  # type: ignore[no-untyped-call]
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
def parse_config(xml: str) -> LabelingConfig:
    """Parse a labeling config. Raises `ConfigError`, one sentence, when nothing in it can be answered at all.

    A config in which some controls can be answered is returned with the others in `refusals`.
    """
    root = _root(xml)
    refusals: list[Refusal] = []
    objects = _objects(root)
    seen: set[str] = set()
    controls: list[Control] = []
    followers: list[Control] = []
    asked: list[tuple[str, ...]] = []  # what each control points to
    for element, question, conditions in _walk(root):
        if not (element.get("name") and element.get("toName")) or element.tag in _NO_CONTROLS:
            continue
        name = element.get("name", "")
        if name in seen:
            raise ConfigError(f"The labeling config has two controls named {name!r}: give each its own name.")
        seen.add(name)
        asked.append(to_names(element))
        try:
            control = _control(element, question, conditions, objects)
            follows = is_per_region(element) or isinstance(control, BoxLabels)
            (followers if follows else controls).append(control)
        except Refused as refused:
            refusals.append(Refusal.of(refused, tag=element.tag, name=name))
    settled = settle(controls, followers)
    tags = {c.name: c.tag for c in (*controls, *followers)}
    refusals += [Refusal(tag=tags[name], name=name, reason=reason) for name, reason in settled.refusals.items()]
    controls = list(settled.controls)
    if not controls and not refusals:
        raise ConfigError("The labeling config has no control (such as Choices or Labels): add one in the project.")
    refusals += [
        replace(o, reason=f"is not shown to the model: it {o.reason}")
        for o in objects.values()
        if isinstance(o, Refusal) and not any(o.name == name for control in asked for name in control)
    ]
    config = LabelingConfig(
        xml=xml,
        controls=tuple(controls),
        objects=tuple(o for o in objects.values() if isinstance(o, ObjectTag)) if controls else (),
        refusals=tuple(refusals),
        relations=_relations(root, controls),
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
    for element in root.iter():  # the editor, and Label Studio's own check, read tags in any case
        element.tag = _TAGS.get(element.tag.lower(), element.tag)
    return root


def _depth(root: Element) -> int:
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for element in level for child in element]
    return depth


def _objects(root: Element) -> dict[str, ObjectTag | Refusal]:
    """What an annotator sees of the task's data; a `Refusal` in the place of what the model cannot be shown.

    Objects that no control points to count too: an annotator reads the question above the answer that is judged.
    """
    objects: dict[str, ObjectTag | Refusal] = {}
    headers: list[str] = []
    for element in root.iter():
        if element.tag == "Header":
            headers.append(element.get("value") or (element.text or "").strip())
        name = element.get("name")
        if not name or element.get("toName") or not (element.get("value") or element.get("valueList")):
            continue
        if element.tag in ("Choice", "Label", "Header"):
            continue
        if name in objects:
            raise ConfigError(f"The labeling config has two objects named {name!r}: give each its own name.")
        object_class = OBJECT_TAGS.get(element.tag)
        try:
            if object_class is None:
                raise Refused(why_not_shown(element.tag), another_tag=True)
            objects[name] = object_class.parse(element)
        except Refused as refused:
            objects[name] = Refusal.of(refused, tag=element.tag, name=name)
    understood = [o for o in objects.values() if isinstance(o, ObjectTag)]
    objects |= {name: o for name, o in shown_headers(headers, understood).items() if name not in objects}
    return {
        name: o.beside([other for other in understood if other is not o]) if isinstance(o, ObjectTag) else o
        for name, o in objects.items()
    }


def _control(
    element: Element,
    question: str | None,
    conditions: tuple[Condition, ...],
    objects: Mapping[str, ObjectTag | Refusal],
) -> Control:
    control_class = _class_of(element, objects)
    if control_class is None:
        raise Refused(why_unsupported(element.tag), another_tag=True)
    per_region = is_per_region(element)
    if per_region or control_class is BoxLabels:
        conditions = conditions_of(element, conditions)
    elif any(condition.kind == BY_REGION for condition in conditions):
        raise Refused("is shown only while a region is selected")
    control = replace(control_class.parse(element, question), conditions=conditions)
    if element.get("toName", "").split(",")[0] != control.to_name[0]:
        raise Refused("has a space beside the first name of its toName: Label Studio's own check refuses its answers")
    for target in control.to_name:
        found = objects.get(target)
        if found is None:
            raise Refused(f"points to {target!r}, which is not in the config")
        if isinstance(found, Refusal):
            raise Refused(f"points to {found}", another_tag=found.another_tag)
        if found.tag not in control_class.object_tags:
            raise Refused(why_not_on(control_class.tag, found.tag, target), another_tag=True)
        control = control.about(found)
        if is_per_item(element) and isinstance(found, Image):  # on other objects it is an ordinary control
            control = PerItem.over(control, listed=found.listed)
    return control


def _relations(root: Element, controls: Sequence[Control]) -> Relations | None:
    """The last `Relations` of the config, as in the editor, where there can be regions."""
    tags = [element for element in root.iter() if element.tag == "Relations"]
    makes_regions = any(isinstance(control, RegionControl) for control in controls)
    return Relations.parse(tags[-1], None) if tags and makes_regions else None


def _class_of(element: Element, objects: Mapping[str, ObjectTag | Refusal]) -> type[Control] | None:
    control_class = CONTROL_TAGS.get(element.tag)
    targets = to_names(element)
    on_image = len(targets) == 1 and isinstance(objects.get(targets[0]), Image)
    return BoxLabels if control_class is CONTROL_TAGS["Labels"] and on_image else control_class


def _walk(root: Element) -> Iterator[tuple[Element, str | None, tuple[Condition, ...]]]:
    """Each element with the nearest Header before it and the conditions under which it is shown."""
    question: str | None = None

    def visit(
        element: Element, conditions: tuple[Condition, ...]
    ) -> Iterator[tuple[Element, str | None, tuple[Condition, ...]]]:
        nonlocal question
        if element.tag == "Header":
            question = question_of(element.get("value") or element.text)
        own = Condition.of(element)
        if own is not None:
            conditions = (*conditions, own)
        yield element, question, conditions
        if element.get("toName"):
            question = None  # a header asks the next control only
        for child in element:
            yield from visit(child, conditions)

    yield from visit(root, ())


@lru_cache(maxsize=64)
def _interface(xml: str) -> LabelInterface:
    try:
        return LabelInterface(_DECLARATION.sub("", xml, count=1))  # lxml refuses a declared encoding in a str
    except Exception as error:  # the SDK raises its own and lxml's errors without a common root
        logging.getLogger(__name__).debug("label interface refused a config", exc_info=True)
        raise ConfigError(
            f"Label Studio's own library cannot read the labeling config ({type(error).__name__}): mend it."
        ) from None
