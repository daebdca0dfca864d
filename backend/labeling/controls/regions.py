"""What the controls that mark regions have in common: controls that are answered once in each region (`perRegion`)."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from backend.core.values import JSON
from backend.labeling.conditions import BY_REGION, visible
from backend.labeling.controls.base import Control, Decoded
from backend.labeling.controls.box_labels import BoxLabels
from backend.labeling.controls.dynamic import bound_options
from backend.labeling.controls.reading_back import Region, own_regions
from backend.labeling.schema import nullable, strict_object
from backend.labeling.shown import Shown
from backend.reading.match import normalised

_UNSEEN = "is answered although it is not shown"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was read in one region for a control that follows it."""

    control: str
    value: JSON | None
    problem: str | None = None  # why there is no value
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegionControl(Control):
    """A control that marks regions. A value is a tuple of regions, each with the `answers` of `attached`.

    The model gives the attached controls' answers in the items of this control's list. What cannot be read of them is
    left out and told; the region stays.
    """

    item_regions: ClassVar[bool] = True
    own_keys: ClassVar[frozenset[str]]  # of an item

    attached: tuple[Control, ...] = ()
    max_usages: tuple[tuple[str, int], ...] = ()  # option value -> how many regions may have it
    usages_each: int | None = None  # of every option that the task's data holds

    def bind(self, data: Mapping[str, JSON]) -> Self:
        if self.options_variable is None:
            return self
        options = bound_options(data, self.options_variable)
        limit = self.usages_each
        return replace(self, options=options, max_usages=tuple((o.value, limit) for o in options) if limit else ())

    @cached_property
    def keys(self) -> dict[str, Control]:
        """The property of an item under which each attached control is answered: its name, where that is free."""
        keys: dict[str, Control] = {}
        for control in self.attached:
            key = control.name
            while key.casefold() in self.own_keys or key in keys or (key != control.name and key in self._names):
                key += "_answer"
            keys[key] = control
        return keys

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(control.name for control in self.attached)

    @property
    def is_set(self) -> bool:
        return True

    def origins(self, value: JSON) -> tuple[int, ...]:
        return tuple(region.origin for region in value)

    def aligned(self, values: Sequence[JSON | None]) -> list[JSON | None]:
        """The same region has the same answers everywhere: for each attached control what most of the values give."""
        given: dict[Any, dict[str, list[Answer]]] = {}
        for region in (region for value in values if value is not None for region in value):
            of_region = given.setdefault(self.identity(region), {})
            for answer in region.answers:
                of_region.setdefault(answer.control, []).append(answer)
        agreed = {
            place: replace(place, answers=tuple(map(_most_given, answers.values()))) for place, answers in given.items()
        }
        return [None if v is None else tuple(agreed[self.identity(region)] for region in v) for v in values]

    def identity(self, region: Any) -> Any:
        """What makes it that region: not the answers of attached controls, but the labels that one of them gives."""
        labels = {control.name for control in self.attached if isinstance(control, BoxLabels)}
        return replace(region, answers=tuple(answer for answer in region.answers if answer.control in labels))

    @property
    def free_text_keys(self) -> frozenset[str]:
        return frozenset(key for key, control in self.keys.items() if not control.has_confidence)

    def list_schema(self, own: Mapping[str, JSON]) -> dict[str, JSON]:
        """The schema of a list of items with these properties and those of the attached controls."""
        properties = dict(own) | {
            key: nullable(control.schema()) if may_be_null(control) else control.schema()
            for key, control in self.keys.items()
        }
        return {"type": "array", "items": strict_object(properties)}

    def and_attached(self) -> str:
        """What `ask` says of the attached controls."""
        return f"; each item also with {' and '.join(_quoted(key) for key in self.keys)}" if self.attached else ""

    def attached_shape(self) -> str:
        return "".join(f", {_quoted(key)}: {control.shape()}" for key, control in self.keys.items())

    def attached_example(self, labels: Collection[str], shown: Mapping[str, Shown]) -> dict[str, JSON]:
        """An answer of each attached control, null where it is not shown."""
        given = {key: control.example(shown) for key, control in self.keys.items()}
        answered = {answer.control for answer in self.read_attached(given, labels, shown) if answer.value is not None}
        return {key: given[key] if control.name in answered else None for key, control in self.keys.items()}

    def attached_answers(self, region: Any) -> dict[str, JSON]:
        """What a region's item holds for each attached control, null where it has none."""
        given = {answer.control: answer.value for answer in region.answers}
        values = {key: (control, given.get(control.name)) for key, control in self.keys.items()}
        return {key: None if value is None else control.encode(value) for key, (control, value) in values.items()}

    def read_attached(
        self, item: Mapping[str, JSON], labels: Collection[str], shown: Mapping[str, Shown]
    ) -> tuple[Answer, ...]:
        """What an item answers for each attached control; `labels` are the region's own. Never raises."""
        others = self.own_keys | self.keys.keys()
        read = {control.name: _read(control, _given(item, key, others), shown) for key, control in self.keys.items()}
        visible = self._visible(read, labels)
        return tuple(answer if name in visible else _unseen(answer) for name, answer in read.items())

    def _visible(self, read: Mapping[str, Answer], labels: Collection[str]) -> frozenset[str]:
        """The names of the attached controls that an annotator sees while that region is selected."""
        by_name = {control.name: control for control in self.attached}
        labelling = {self.name: self._names_of(self.options, labels)} if labels else {}
        for control in self.attached:
            given = read[control.name].value
            if isinstance(control, BoxLabels) and given:
                labelling[control.name] = self._names_of(control.options, given)
        name, names = next(iter(labelling.items()), (None, frozenset()))  # the editor looks at the first that labels
        asked = {
            control.name: [c for c in control.conditions if c.kind != BY_REGION]
            for control in self.attached
            if all(c.holds_for(name, names) for c in control.conditions if c.kind == BY_REGION)
        }

        def chosen(control: str) -> frozenset[str]:
            value = read[control].value
            return frozenset() if value is None else by_name[control].chosen(value)

        return visible(asked, chosen)

    @staticmethod
    def _names_of(options: Iterable[Any], values: Collection[str]) -> frozenset[str]:
        return frozenset(option.name for option in options if option.value in values)

    def attached_notes(self, value: Iterable[Any]) -> tuple[str, ...]:
        """What was left out of these regions, and in how many."""
        faults: Counter[tuple[str, str]] = Counter()
        for region in value:
            faults.update((answer.control, answer.problem) for answer in region.answers if answer.problem)
        required = {control.name for control in self.attached if control.required}
        return tuple(
            f'"{name}" {problem}: left out of {count} region(s)'
            + (", though it is required" if name in required and problem != _UNSEEN else "")
            for (name, problem), count in faults.items()
        )

    def attached_rejected(self, value: Iterable[Any]) -> tuple[str, ...]:
        return tuple(text for region in value for answer in region.answers for text in answer.rejected)

    def value_of(self, result: JSON) -> Decoded:
        """The attached controls' regions are found by the id that they share with their region."""
        following: dict[JSON, dict[str, list[Region]]] = {}
        for control in self.attached:
            regions = own_regions(result, control.name)
            if isinstance(regions, Decoded):
                return Decoded(value=None, problem=regions.problem)
            for region in regions:
                if isinstance(region.get("id"), str):
                    following.setdefault(region["id"], {}).setdefault(control.name, []).append(region)
        own = own_regions(result, self.name)
        if isinstance(own, Decoded):
            return own
        found: list[Any] = []
        for region in own:
            read = self.marked(region)
            if isinstance(read, str):
                return Decoded(value=None, problem=read)
            identity = region.get("id")
            answers = following.get(identity, {}) if isinstance(identity, str) else {}
            found.append(replace(read, answers=tuple(_answer_in(c, answers.get(c.name, ())) for c in self.attached)))
        return Decoded(value=tuple(found) or None)

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        return self.value_of(regions)

    @abstractmethod
    def marked(self, region: Region) -> Any:
        """What one region marks, without the attached controls' answers; a phrase where it cannot be read."""

    @abstractmethod
    def matched(self, one: JSON, other: JSON) -> list[tuple[Any, Any]]:
        """Pairs of regions of two values that mark the same; each region is in one pair at most."""

    def same(self, one: JSON, other: JSON) -> bool:
        """Every region has its like on the other side, with the same answers of the attached controls."""
        pairs = self.matched(one, other)
        if 2 * len(pairs) != len(one) + len(other):
            return False
        return all(c.agree(a, b) for c in self.attached for a, b in self.attached_pairs(pairs, c))

    def attached_pairs(self, pairs: Iterable[tuple[Any, Any]], control: Control) -> Iterator[tuple[JSON, JSON]]:
        """What an attached control says in the regions of each pair."""
        for pair in pairs:
            first, second = ({a.control: a.value for a in region.answers}.get(control.name) for region in pair)
            yield first, second

    def as_json(self, value: JSON | None) -> JSON | None:
        """A list with each region's place and labels, as Label Studio writes them."""
        if value is None:
            return None
        items = (({"item_index": r["item_index"]} if "item_index" in r else {}, r) for r in self.regions(value))
        return [{**r["value"], **item} for item, r in items]

    def grouped(self, value: JSON) -> list[list[dict[str, JSON]]]:
        by_name = {control.name: control for control in self.attached}
        groups: list[list[dict[str, JSON]]] = []
        for region, read in zip(self.regions(value), value, strict=True):
            # The editor writes each answer with the keys of its region's place, and nothing of the others.
            place = {key: part for key, part in region["value"].items() if not key.endswith("labels")}
            group = [region]
            for answer in read.answers:
                if answer.value is not None:
                    group += [
                        {**region, **one, "value": {**place, **one["value"]}}
                        for one in by_name[answer.control].regions(answer.value)
                    ]
            groups.append(group)
        return groups


def _most_given(answers: Sequence[Answer]) -> Answer:
    """Of the first that read as most of them do."""
    values = [(answer.value is None, answer.value) for answer in answers]
    most, _ = Counter(values).most_common(1)[0]
    return answers[values.index(most)]


def may_be_null(control: Control) -> bool:
    """Whether null is an answer in a region: it may be hidden there, or empty."""
    return bool(control.conditions) or not control.required


def _quoted(key: str) -> str:
    return f'"{key}"'


def _given(item: Mapping[str, JSON], key: str, others: Collection[str]) -> JSON:
    """An item's answer under a key, up to its case and punctuation; what stands under one of `others` is theirs."""
    if key in item:
        return item[key]
    wanted = normalised(key)
    similar = [v for n, v in item.items() if isinstance(n, str) and n not in others and wanted == normalised(n)]
    return similar[0] if len(similar) == 1 and wanted else None


def _read(control: Control, raw: JSON, shown: Mapping[str, Shown]) -> Answer:
    if raw is None:
        return Answer(control=control.name, value=None, problem="is empty" if control.required else None)
    decoded = control.decode(raw, shown)
    problem = decoded.problem
    return Answer(control=control.name, value=decoded.value, problem=problem, rejected=decoded.rejected)


def _answer_in(control: Control, regions: Sequence[Region]) -> Answer:
    """What the regions of one id say of an attached control."""
    read = control.read_back(regions)
    return Answer(control=control.name, value=read.value, problem=read.problem)


def _unseen(answer: Answer) -> Answer:
    return Answer(control=answer.control, value=None, problem=_UNSEEN if answer.value is not None else None)
