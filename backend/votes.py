"""Several answers to the same task -> one reading for each control, with the share of the answers that agree. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from backend.confidence.agreement import agreement, set_agreement
from backend.core.values import JSON, NOT_SHOWN, FieldReading
from backend.labeling.controls import Control

_NOTHING: tuple[JSON, ...] = ()  # rightly empty: a class of its own among the values


def voted(control: Control, samples: Sequence[FieldReading], method: str) -> FieldReading:
    """What the `samples` agree on; the first of them is the answer that is judged.

    Of a set (several labels, passages, boxes) each element is decided by itself, else the whole value. A sample that
    could not be read counts as one that agrees with nothing. Samples in which the control was not shown say nothing
    about it. With fewer than two left the first stays as it is.
    """
    asked = [sample for sample in samples if sample.step != NOT_SHOWN]
    first = asked[0] if asked else samples[0]
    if len(asked) < 2:
        return first
    values = control.aligned([None if s.problem else _NOTHING if s.value is None else s.value for s in asked])
    found = _of_sets(control, values) if control.is_set else _of_values(values)
    if found is None:
        return first
    value, share, tied, shares = found
    readable = [sample for sample in asked if not sample.problem]
    usable = sum(sample.usable for sample in readable) / len(readable)
    return replace(
        next((s for s, v in zip(asked, values, strict=True) if v == value), readable[0]),
        value=value if value != _NOTHING else None,
        confidence=share * usable,
        method=method,
        signals={"samples": float(len(asked)), "read": float(len(readable)), "tied": float(tied)},
        label_probabilities={},
        label_rest=0.0,
        region_confidences=tuple(shares[element] * usable for element in value)
        if control.item_regions and shares
        else (),
    )


_Found = tuple[JSON, float, bool, Mapping[JSON, float]]


def _of_values(values: Sequence[JSON | None]) -> _Found | None:
    found = agreement(values)
    return (found.value, found.share, found.tied, {}) if found else None


def _of_sets(control: Control, values: Sequence[JSON | None]) -> _Found | None:
    """The set of the majority; where the control does not allow it, the plurality of whole sets."""
    sets = [None if value is None else frozenset(value) for value in values]
    found = set_agreement(sets)
    if found is None:
        return None
    seen = dict.fromkeys(element for value in values if value is not None for element in value)
    value = tuple(element for element in seen if element in found.value)
    if (control.required and not value) or not control.allows(value):
        return _of_values(values)
    return value, found.share, found.tied, found.shares
