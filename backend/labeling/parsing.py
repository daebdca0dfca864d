"""A labeling config's XML -> its controls and objects, parsed once; what cannot be answered is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from backend.core.errors import ConfigError
from backend.labeling.conditions import BY_REGION, Condition
from backend.labeling.config import LabelingConfig, Refusal, interface_of
from backend.labeling.controls import SUPPORTED as CONTROL_TAGS
from backend.labeling.controls import Control
from backend.labeling.controls.base import Refused, question_of, to_names
from backend.labeling.controls.box_labels import BoxLabels
from backend.labeling.controls.per_item import PerItem
from backend.labeling.controls.regions import RegionControl
from backend.labeling.following import (
    conditions_of,
    is_per_item,
    is_per_region,
    settle,
)
from backend.labeling.objects import SUPPORTED as OBJECT_TAGS
from backend.labeling.objects import ObjectTag
from backend.labeling.objects.headers import shown_headers
from backend.labeling.objects.image import Image
from backend.labeling.relations import Relations
from backend.labeling.unsupported import why_not_on, why_not_shown, why_unsupported

MAX_CONFIG_CHARS = 2_000_000
MAX_CONFIG_DEPTH = 200  # deeper nesting is no layout that a person wrote, and would exhaust the stack
_NO_CONTROLS = frozenset({"Filter", "Relations"})  # have a name and a toName, and hold no answer
_TAGS = {tag.lower(): tag for tag in (*CONTROL_TAGS, *OBJECT_TAGS, *_NO_CONTROLS)}


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
        interface_of(xml)
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
