"""Which controls follow the regions of which (`perRegion`, and Labels beside a Rectangle), and which cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from backend.labeling.conditions import BY_REGION, SELECTED, UNSELECTED, Condition, labels_named
from backend.labeling.controls import Control
from backend.labeling.controls.base import attribute_is_true
from backend.labeling.controls.box_labels import BoxLabels
from backend.labeling.controls.per_item import PerItem
from backend.labeling.controls.rectangle import Rectangle
from backend.labeling.controls.regions import RegionControl

_CLASSIFYING = frozenset({"choices", "datetime", "number", "rating", "taxonomy", "textarea"})

SHOWN_NOWHERE = "is shown for no region that is made here"

Refusals = dict[str, str]  # control name -> why it is not answered


def is_per_region(element: Element) -> bool:
    """Whether the tag belongs to single regions; the editor looks at the attribute on these tags only."""
    return element.tag.lower() in _CLASSIFYING and attribute_is_true(element, "perRegion")


def is_per_item(element: Element) -> bool:
    return element.tag.lower() in _CLASSIFYING and attribute_is_true(element, "perItem") and not is_per_region(element)


def conditions_of(element: Element, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Those of a `perRegion` tag: `whenLabelValue` on it counts without `visibleWhen` too."""
    labels = labels_named(element)
    own = Condition.of(element)
    if not labels or (own is not None and own.kind == BY_REGION):
        return conditions
    return (*conditions, Condition(kind=BY_REGION, values=labels))


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The controls that are asked by themselves, with the others attached to them."""

    controls: tuple[Control, ...]
    refusals: Refusals


def settle(controls: Sequence[Control], followers: Sequence[Control]) -> Settled:
    """Attach each follower to the controls whose regions it follows. `controls` holds no follower."""
    refusals: Refusals = {}
    attached: dict[str, list[Control]] = {c.name: [] for c in controls}
    labels = [f for f in followers if isinstance(f, BoxLabels)]  # first, as others may wait for them
    for follower in (*labels, *(f for f in followers if not isinstance(f, BoxLabels))):
        makers = [c for c in controls if isinstance(c, RegionControl) and _may_follow(follower, c)]
        reason = _unattached(follower, makers, controls, followers)
        found = False
        for maker in makers if reason is None else ():
            labelling = _labelling(maker, attached[maker.name])
            waits = any(c.options_variable for c in labelling.values())  # each task brings labels along
            narrowed = _narrowed(follower, labelling, waits=waits)
            if narrowed is not None:
                attached[maker.name].append(narrowed)
                found = True
        if not found:
            refusals[follower.name] = reason or SHOWN_NOWHERE
    per_item = frozenset(c.name for c in controls if isinstance(c, PerItem) and c.listed)
    per_region = frozenset(f.name for f in followers)
    kept: list[Control] = []
    for control in controls:
        waiting = _undecidable(control, per_item, per_region)
        if waiting:
            refusals[control.name] = waiting
        elif isinstance(control, RegionControl) and attached[control.name]:
            in_order = sorted(attached[control.name], key=lambda a: [f.name for f in followers].index(a.name))
            kept.append(replace(control, attached=tuple(in_order)))
        else:
            kept.append(_without_met(control, per_region))
    return Settled(controls=tuple(kept), refusals=refusals)


def _may_follow(follower: Control, maker: RegionControl) -> bool:
    return follower.to_name == maker.to_name and (isinstance(maker, Rectangle) or not isinstance(follower, BoxLabels))


def _unattached(
    follower: Control, makers: Sequence[Control], controls: Sequence[Control], followers: Iterable[Control]
) -> str | None:
    """Why a follower cannot be answered at all."""
    if not makers and isinstance(follower, BoxLabels):
        return "has no Rectangle on its image, whose boxes it would label"
    if not makers:
        return "belongs to single regions (perRegion), and no control that is answered makes any on its object"
    beside = {f.name for f in followers if f.to_name == follower.to_name}
    everywhere = any(c.tag == "Choices" for c in controls)
    for condition in follower.conditions:
        if condition.kind != BY_REGION and (
            everywhere if condition.control is None else condition.control not in beside
        ):
            return "belongs to single regions (perRegion) and is shown by an answer about the whole task"
    return None


def followed(maker: RegionControl, bound: RegionControl) -> RegionControl:
    """`bound`, a maker with the options of one task, without the followers that these options never show.

    `maker` is the same before any options were bound: it tells whether the conditions waited for them.
    """
    if not any(c.options_variable for c in _labelling(maker, maker.attached).values()):
        return bound
    labelling = _labelling(bound, bound.attached)
    narrowed = (_narrowed(follower, labelling) for follower in bound.attached)
    return replace(bound, attached=tuple(follower for follower in narrowed if follower is not None))


def _labelling(maker: RegionControl, attached: Iterable[Control]) -> dict[str, Control]:
    """The controls that label a maker's regions, by their names."""
    controls = [maker, *(a for a in attached if isinstance(a, BoxLabels))]
    return {c.name: c for c in controls if c.options or c.options_variable}


def _narrowed(follower: Control, labelling: Mapping[str, Control], *, waits: bool = False) -> Control | None:
    """The follower as it follows regions that are so labelled; None where it is shown for none of them.

    Conditions that hold for all of them are left out; the others name labels as the model does. With `waits` the
    labels are not known yet: conditions stay as they are.
    """
    conditions: list[Condition] = []
    for condition in follower.conditions:
        if condition.kind != BY_REGION:
            conditions.append(condition)
            continue
        known = [control for name, control in labelling.items() if condition.control in (None, name)]
        if (condition.control or condition.values) and not known:
            return None
        if waits:
            conditions.append(condition)
            continue
        names = {option.value: option.name for control in known for option in control.options}
        wanted = tuple(names[value] for value in condition.values if value in names)
        if condition.values and not wanted:
            return None
        control = condition.control if len(labelling) > 1 else None
        if control or (wanted and set(wanted) != set(names.values())):
            conditions.append(replace(condition, control=control, values=wanted))
    return replace(follower, conditions=tuple(dict.fromkeys(conditions)))


def _undecidable(control: Control, per_item: frozenset[str], per_region: frozenset[str]) -> str | None:
    for condition in control.conditions:
        if condition.control in per_item:
            return f'is shown by the answer of "{condition.control}" for the image that is open'
        if condition.kind == SELECTED and condition.control in per_region:
            return f'is shown only while a region with an answer of "{condition.control}" is selected'
    return None


def _without_met(control: Control, per_region: frozenset[str]) -> Control:
    """Without conditions that always hold: outside of a region nothing is chosen in a control of regions."""
    kept = tuple(c for c in control.conditions if not (c.kind == UNSELECTED and c.control in per_region))
    return control if kept == control.conditions else replace(control, conditions=kept)


def every(controls: Iterable[Control]) -> Iterator[Control]:
    """The controls and those attached to them, each name once."""
    seen: set[str] = set()
    for control in controls:
        for one in (control, *(control.attached if isinstance(control, RegionControl) else ())):
            if one.name not in seen:
                seen.add(one.name)
                yield one
