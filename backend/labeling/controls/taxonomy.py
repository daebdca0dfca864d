"""`<Taxonomy>`: paths in a tree of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    common,
    joined_steps,
    option_of,
    preselected,
)
from backend.labeling.controls.dynamic import Given, given_options, variable_of
from backend.labeling.controls.reading_back import UNKNOWN_LABEL, Region, listed_in, overlap_of_sets
from backend.labeling.shown import Shown

SEPARATOR = " > "


@dataclass(frozen=True, kw_only=True)
class Node:
    """One path of the tree: region values from the root down."""

    path: tuple[str, ...]
    option: Option  # its name is the whole path, parted by SEPARATOR


@dataclass(frozen=True, kw_only=True)
class Taxonomy(Control):
    """A value is a tuple of paths, each a tuple of node values from the root down.

    Agreement is the Jaccard index over the nodes on the paths, so that a sibling counts for what is above both;
    confirmed are exactly the same paths.
    """

    tag: ClassVar[str] = "Taxonomy"
    object_tags: ClassVar[frozenset[str]] = READABLE

    nodes: tuple[Node, ...] = ()
    leafs_only: bool = False
    max_usages: int | None = None

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        variable = variable_of(element)
        leafs_only = attribute_is_true(element, "leafsOnly")
        nodes = () if variable else _distinct(_nodes(_listed(element), (), (), leafs_only))
        usages = element.get("maxUsages", "")
        return cls(
            **common(element, question),
            options=tuple(n.option for n in nodes),
            options_variable=variable,
            nodes=nodes,
            leafs_only=leafs_only,
            max_usages=int(usages) if usages.isdecimal() and int(usages) > 0 else None,
        )

    def bind(self, data: Mapping[str, JSON]) -> Self:
        if self.options_variable is None:
            return self
        nodes = _distinct(_nodes(given_options(data, self.options_variable), (), (), self.leafs_only))
        return replace(self, nodes=nodes, options=tuple(n.option for n in nodes))

    def offering(self, ranked: Sequence[int], most: int) -> Self:
        """A node comes with those above it, so that the model can also choose the less specific."""
        index_of = {node.path: index for index, node in enumerate(self.nodes)}
        kept: set[int] = set()
        for index in ranked:
            path = self.nodes[index].path
            line = [index_of[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in index_of]
            kept.update([i for i in line if i not in kept][: most - len(kept)])
            if len(kept) == most:
                break
        nodes = tuple(self.nodes[index] for index in sorted(kept))
        return replace(self, nodes=nodes, options=tuple(n.option for n in nodes))

    def chosen(self, value: JSON) -> frozenset[str]:
        return frozenset(path[-1] for path in value) | frozenset(
            n.option.name.rpartition(SEPARATOR)[2] for n in self.nodes if n.path in value
        )

    def allows(self, value: JSON) -> bool:
        return self.max_usages is None or len(value) <= self.max_usages

    @property
    def is_set(self) -> bool:
        return True

    def schema(self) -> dict[str, JSON]:
        return {"type": "array", "items": {"type": "string", "enum": [o.name for o in self.options]}}

    def ask(self) -> str:
        most = f" (at most {self.max_usages})" if self.max_usages else ""
        return (
            f"a list of the paths that apply{most}, each exactly as written here, the most specific that is right"
            f"{preselected(self.options)}"
        )

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

    def as_answer(self, value: JSON) -> JSON:
        by_path = {node.path: node.option.name for node in self.nodes}
        return [by_path[path] for path in value]

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"taxonomy": [list(path) for path in value]})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        known = {node.path for node in self.nodes}
        found: list[tuple[str, ...]] = []
        for given in listed_in(regions, "taxonomy"):
            texts = isinstance(given, list) and all(isinstance(part, str) for part in given)
            if not texts or tuple(given) not in known:
                return Decoded(value=None, problem=UNKNOWN_LABEL)
            found.append(tuple(given))
        return Decoded(value=tuple(dict.fromkeys(found)) or None)

    def likeness(self, one: JSON, other: JSON) -> float:
        return overlap_of_sets(_with_those_above(one), _with_those_above(other))

    def same(self, one: JSON, other: JSON) -> bool:
        return set(one) == set(other)


def _with_those_above(paths: JSON) -> set[tuple[str, ...]]:
    return {path[:depth] for path in paths for depth in range(1, len(path) + 1)}


def _listed(element: Element) -> tuple[Given, ...]:
    """The Choice tags below `element`."""
    return tuple(
        Given(option=option_of(child), children=_listed(child))
        for child in element
        if child.tag == "Choice" and child.get("value")
    )


def _nodes(given: tuple[Given, ...], names: tuple[str, ...], path: tuple[str, ...], leafs_only: bool) -> Iterator[Node]:
    """Every selectable node, parents before their children."""
    for one in given:
        child_names, child_path = (*names, one.option.name), (*path, one.option.value)
        if not (leafs_only and one.children):
            label = SEPARATOR.join(child_names)
            yield Node(path=child_path, option=replace(one.option, value=label, name=label))
        yield from _nodes(one.children, child_names, child_path, leafs_only)


def _distinct(found: Iterator[Node]) -> tuple[Node, ...]:
    nodes = tuple(found)
    if not nodes:
        raise Refused("has no Choice with a value")
    names = [n.option.name for n in nodes]
    if len(set(names)) != len(names):
        raise Refused("has two paths of the same name")
    return nodes
