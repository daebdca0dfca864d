"""An annotation beside the prediction that it started from, control by control. Never raises, whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.core.text import storable
from backend.core.values import JSON
from backend.core.verifications import ControlVerification
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control, Decoded
from backend.labeling.controls.regions import RegionControl
from backend.labeling.following import every

MAX_REGIONS = 5_000  # of one annotation
MAX_DEPTH = 20
MAX_PARTS = 100_000  # values in them, at any depth
MAX_CHARS = 1_000_000  # of all text in them
_WHOLE = 2**63  # beyond it no database keeps a whole number
_FOREIGN = "was made under another labeling config"
_NAME_CHARS = 60

Result = tuple[Mapping[str, JSON], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What an annotation says of a prediction."""

    controls: tuple[ControlVerification, ...]  # in the labeling config's order, those of regions after the others
    problem: str | None = None  # why the annotation does not fit the labeling config: one phrase

    @property
    def confirmed(self) -> bool:
        """Whether there was something to compare, and all of it agrees."""
        told = [control.agrees for control in self.controls if control.agrees is not None]
        return bool(told) and all(told)


def compare(config: LabelingConfig, predicted: JSON | None, final: JSON) -> Comparison:
    """Two results under a config that is bound to the task's data. `predicted` None: there is no prediction."""
    told: list[ControlVerification] = []
    attached: dict[str, _InRegions] = {}
    for control in (*config.controls, *([config.relations] if config.relations else [])):
        before = None if predicted is None else control.value_of(predicted)
        after = control.value_of(final)
        told.append(_compared(control, before, after))
        if isinstance(control, RegionControl):
            _collect(attached, control, before.value if before else None, after.value)
    told += [in_regions.compared(name, known=predicted is not None) for name, in_regions in attached.items()]
    unfit = next((f'"{c.control[:_NAME_CHARS]}" {c.problem}' for c in told if c.problem), None)
    return Comparison(controls=tuple(told), problem=_FOREIGN if _is_foreign(config, final) else unfit)


def kept(result: JSON, config: LabelingConfig) -> Result | str:
    """The regions of a result as they are stored: without those of controls that are not answered here, which may be
    large (a brush's mask). A phrase where they cannot be stored."""
    if not isinstance(result, list | tuple):
        return "is no list of regions"
    if len(result) > MAX_REGIONS:
        return f"has more than {MAX_REGIONS:,} regions"
    refused = {refusal.name for refusal in config.refusals} - _answered(config)
    wanted = [r for r in result if isinstance(r, Mapping) and not _is_one_of(r.get("from_name"), refused)]
    if not _is_bounded(wanted):
        return "is too large to keep"
    return tuple(storable(dict(region)) for region in wanted)


def _compared(control: Control, before: Decoded | None, after: Decoded) -> ControlVerification:
    predicted = before.value if before is not None else None
    comparable = before is not None and before.problem is None and after.problem is None
    agrees: bool | None = control.agree(predicted, after.value) if comparable else None
    if after.problem and before is not None and before.problem is None:
        agrees = False  # the prediction can be read, so that this is something else
    return ControlVerification(
        control=control.name,
        predicted=control.as_json(predicted),
        final=control.as_json(after.value),
        agreement=control.agreement(predicted, after.value) if comparable else None,
        agrees=agrees,
        problem=after.problem,
    )


@dataclass
class _InRegions:
    """An attached control over all regions that it is answered in."""

    predicted: list[JSON]
    final: list[JSON]
    agreements: list[float]  # in the regions that both sides have
    agrees: bool = True
    problem: str | None = None

    def compared(self, name: str, *, known: bool) -> ControlVerification:
        both = known and bool(self.agreements)
        return ControlVerification(
            control=name,
            predicted=self.predicted or None,
            final=self.final or None,
            agreement=sum(self.agreements) / len(self.agreements) if both else None,
            agrees=self.agrees if both else None,
            problem=self.problem,
        )


def _collect(attached: dict[str, _InRegions], maker: RegionControl, before: JSON, after: JSON) -> None:
    pairs = maker.matched(before or (), after or ())
    for control in maker.attached:
        told = attached.setdefault(control.name, _InRegions(predicted=[], final=[], agreements=[]))
        for regions, answers in ((before, told.predicted), (after, told.final)):
            given = (a for region in regions or () for a in region.answers if a.control == control.name)
            answers += [control.as_json(answer.value) for answer in given if answer.value is not None]
        for one, other in maker.attached_pairs(pairs, control):
            told.agreements.append(control.agreement(one, other))
            told.agrees = told.agrees and control.agree(one, other)
        problems = (a.problem for region in after or () for a in region.answers if a.control == control.name)
        told.problem = told.problem or next((problem for problem in problems if problem), None)


def _answered(config: LabelingConfig) -> set[str]:
    return {control.name for control in every(config.controls)}


def _is_foreign(config: LabelingConfig, result: JSON) -> bool:
    """Whether it holds a region of a control that the labeling config does not have."""
    known = _answered(config) | {refusal.name for refusal in config.refusals}
    regions = (r for r in result if isinstance(r, Mapping)) if isinstance(result, list | tuple) else ()
    return any(not _is_one_of(r["from_name"], known) for r in regions if "from_name" in r)


def _is_one_of(name: JSON, names: Collection[str]) -> bool:
    return isinstance(name, str) and name in names


def _is_bounded(regions: Sequence[JSON]) -> bool:
    """Whether every database and every JSON writer takes them: not too deep, not too large, no NaN."""
    chars = 0
    for number, (part, depth) in enumerate(_parts(regions)):
        chars += len(part) if isinstance(part, str) else 0
        if depth > MAX_DEPTH or number > MAX_PARTS or chars > MAX_CHARS:
            return False
        if isinstance(part, float) and not math.isfinite(part):
            return False
        if isinstance(part, int) and abs(part) >= _WHOLE:
            return False
    return True


def _parts(value: JSON) -> Iterator[tuple[JSON, int]]:
    """Every value in a value with its depth, keys too. Not recursive: the depth is not known."""
    waiting: list[tuple[JSON, int]] = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        if isinstance(part, Mapping):
            waiting += [(inner, depth + 1) for inner in (*part.keys(), *part.values())]
        elif isinstance(part, list | tuple):
            waiting += [(inner, depth + 1) for inner in part]
