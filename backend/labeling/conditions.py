"""When a control is shown at all: `visibleWhen` on it or on a View around it.

A control that the annotator would not see must not be answered. The editor decides by what is selected in other
Choices and Taxonomy controls, or by the label of the selected region; here the same is decided by what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

BY_REGION = "region-selected"
SELECTED, UNSELECTED = "choice-selected", "choice-unselected"

Chosen = Mapping[str, Collection[str]]  # control name -> chosen values (for a path, its last node); empty: none


@dataclass(frozen=True, kw_only=True)
class Condition:
    """`visibleWhen`, with the `when...` attributes that narrow it down."""

    kind: str
    control: str | None = None  # None: any Choices
    values: tuple[str, ...] = ()  # empty: any value; of a region: the labels of which it must have one

    @classmethod
    def of(cls, element: Element) -> Condition | None:
        """The tag's own condition; None where it is always shown."""
        kind = element.get("visibleWhen", "").strip()
        values = tuple(v.strip() for v in element.get("whenChoiceValue", "").split(",") if v.strip())
        if kind in (SELECTED, UNSELECTED):
            return cls(kind=kind, control=element.get("whenTagName") or None, values=values)
        if kind == BY_REGION:
            return cls(kind=kind, control=element.get("whenTagName") or None, values=labels_named(element))
        if not kind and values:  # the old form: visible when any Choices holds that value
            return cls(kind=SELECTED, values=values)
        return None  # also "no-region-selected", which holds when a task is opened

    def holds(self, chosen: Chosen) -> bool:
        """Whether it is met by what was chosen in the controls that are themselves visible."""
        looked_at = [chosen.get(self.control, ())] if self.control else list(chosen.values())
        met = any(set(values) & set(self.values) if self.values else values for values in looked_at)
        return met is (self.kind == SELECTED)

    def holds_for(self, labelling: str | None, labels: Collection[str]) -> bool:
        """Whether it is met while a region is selected to which the control `labelling` gave these labels."""
        named = self.control is None or self.control == labelling
        return named and (not self.values or not set(self.values).isdisjoint(labels))

    def __str__(self) -> str:
        """As an instruction: what must be answered elsewhere for this control to be asked."""
        if self.kind == BY_REGION:
            subject = f'its "{self.control}"' if self.control else "its label"
            return f"{subject} is {' or '.join(self.values)}" if self.values else f"{subject} is given"
        subject = f'"{self.control}"' if self.control else "another answer"
        verb = {SELECTED: "is", UNSELECTED: "is not"}.get(self.kind, self.kind)
        return f"{subject} {verb} {' or '.join(self.values)}" if self.values else f"{subject} {verb} given"


def labels_named(element: Element) -> tuple[str, ...]:
    """The labels of `whenLabelValue`: it is looked for as a whole and in parts, as a label may hold a comma."""
    given = element.get("whenLabelValue", "")
    return tuple(dict.fromkeys(part for part in (given, *given.split(",")) if part))


def visible(
    conditions: Mapping[str, Collection[Condition]], chosen: Callable[[str], Collection[str]]
) -> frozenset[str]:
    """The names of the controls that are shown, of those whose conditions are given, with what was `chosen` in each."""
    decided: dict[str, bool] = {}

    def shown(name: str) -> bool:
        if name not in decided:
            decided[name] = True  # controls that wait for each other: the editor shows them
            named = {condition.control for condition in conditions[name]}
            needed = [n for n in conditions if named and n != name and (None in named or n in named)]
            decided[name] = is_visible(conditions[name], {n: chosen(n) if shown(n) else () for n in needed})
        return decided[name]

    return frozenset(name for name in conditions if shown(name))


def is_visible(conditions: Collection[Condition], chosen: Chosen) -> bool:
    """Whether a control under all these conditions is shown."""
    return all(condition.holds(chosen) for condition in conditions)
