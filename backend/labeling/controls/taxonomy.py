"""`<Taxonomy>`: paths in a tree of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import (
    READABLE,
    Control,
    Decoded,
    Option,
    Refused,
    attribute_is_true,
    clip,
    joined_steps,
)
from backend.labeling.shown import Shown

SEPARATOR = " > "


@dataclass(frozen=True, kw_only=True)
class Node:
    """One path of the tree: region values from the root down."""

    path: tuple[str, ...]
    option: Option  # its name is the whole path, parted by SEPARATOR


@dataclass(frozen=True, kw_only=True)
class Taxonomy(Control):
    """A value is a tuple of paths, each a tuple of node values from the root down."""

    tag: ClassVar[str] = "Taxonomy"
    object_tags: ClassVar[frozenset[str]] = READABLE

    nodes: tuple[Node, ...] = ()
    max_usages: int | None = None

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        if (element.get("value") or "").startswith("$") or element.get("apiUrl"):
            raise Refused("takes its options from the task's data or a URL, which is not supported yet")
        nodes = tuple(_nodes(element, (), (), attribute_is_true(element, "leafsOnly")))
        if not nodes:
            raise Refused("has no Choice with a value")
        names = [n.option.name for n in nodes]
        if len(set(names)) != len(names):
            raise Refused("has two paths of the same name")
        usages = element.get("maxUsages", "")
        return cls(
            name=element.get("name", ""),
            to_name=tuple(element.get("toName", "").split(",")),
            required=attribute_is_true(element, "required"),
            question=question,
            options=tuple(n.option for n in nodes),
            nodes=nodes,
            max_usages=int(usages) if usages.isdecimal() and int(usages) > 0 else None,
        )

    def schema(self) -> dict[str, JSON]:
        return {"type": "array", "items": {"type": "string", "enum": [o.name for o in self.options]}}

    def ask(self) -> str:
        most = f" (at most {self.max_usages})" if self.max_usages else ""
        return f"a list of the paths that apply{most}, each exactly as written here, the most specific that is right"

    def shape(self) -> str:
        return '["<path>", ...]'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        return [self.options[-1].name]

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        answers = raw if isinstance(raw, list) else [raw]
        by_name = {n.option.name: n.path for n in self.nodes}
        found: list[tuple[str, ...]] = []
        steps: list[str] = []
        rejected: list[str] = []
        for answer in answers:
            if answer is None:
                continue
            if isinstance(answer, list) and all(isinstance(part, str) for part in answer):
                answer = SEPARATOR.join(answer)
            match = self.match(answer) if isinstance(answer, str) else None
            if match is None:
                rejected.append(clip(answer))
            elif by_name[match.value] not in found:
                found.append(by_name[match.value])
                steps.append(match.step)
        if rejected:
            return Decoded(value=None, problem="is not one of the paths", rejected=tuple(rejected))
        if self.max_usages and len(found) > self.max_usages:
            return Decoded(value=None, problem=f"has more than {self.max_usages} paths")
        if not found:
            if self.required or not isinstance(raw, list):
                return Decoded(value=None, problem="is empty")
            return Decoded(value=None, step="exact")
        return Decoded(value=tuple(found), step=joined_steps(steps))

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"taxonomy": [list(path) for path in value]})]


def _nodes(element: Element, names: tuple[str, ...], path: tuple[str, ...], leafs_only: bool) -> Iterator[Node]:
    """Every selectable node below `element`, parents before their children."""
    for child in element:
        name = child.get("value")
        if child.tag != "Choice" or not name:
            continue
        child_names = (*names, name)
        child_path = (*path, child.get("alias") or name)
        has_children = any(grandchild.tag == "Choice" for grandchild in child)
        if not (leafs_only and has_children):
            label = SEPARATOR.join(child_names)
            yield Node(path=child_path, option=Option(value=label, name=label, description=child.get("hint") or None))
        yield from _nodes(child, child_names, child_path, leafs_only)
