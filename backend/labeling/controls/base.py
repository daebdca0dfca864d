"""What every control tag must be able to do: say what it asks, read an answer, write regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self, TypedDict
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.conditions import Condition
from backend.labeling.controls.reading_back import Decoded as Decoded
from backend.labeling.controls.reading_back import Region, own_regions
from backend.labeling.data_values import is_template, variables_in
from backend.labeling.refused import Refused as Refused
from backend.labeling.shown import Shown
from backend.reading.match import Match, Spelled, match_option

if TYPE_CHECKING:
    from backend.labeling.objects.base import ObjectTag

MAX_REJECTED_CHARS = 80
# Objects that a model takes in as a whole, and those of which it may read what was said in them.
READABLE = frozenset(
    [
        *("Text", "HyperText", "Paragraphs", "Chat", "List", "Table", "Image", "Pdf"),
        *("Audio", "AudioPlus", "Video", "TimeSeries"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One label, choice or path of a control."""

    value: str  # what the region holds: the alias where there is one, as the editor writes it
    name: str  # what the model is shown and answers
    description: str | None = None  # the `hint` attribute
    selected: bool = False  # the editor preselects it in a task without a prediction

    @property
    def spelled(self) -> Spelled:
        return Spelled(value=self.value, name=self.name, description=self.description)


@dataclass(frozen=True, kw_only=True)
class Control(ABC):
    """A control tag of one labeling config. Subclasses are frozen and know no task."""

    tag: ClassVar[str]
    object_tags: ClassVar[frozenset[str]]  # the object tags that it can point to
    item_regions: ClassVar[bool] = False  # each item of a value is a region, or a group, of its own, in that order

    needs_all_options: ClassVar[bool] = False  # `offering` cannot leave any out

    name: str
    to_name: tuple[str, ...]
    required: bool = False
    question: str | None = None  # the nearest Header before it
    options: tuple[Option, ...] = field(default=())
    conditions: tuple[Condition, ...] = ()  # it is shown, and answered, when all of them hold
    options_variable: str | None = None  # the key of the task's data that the options come from; None: the config

    @classmethod
    @abstractmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        """Read the tag. Raises `Refused` with the reason when this very tag cannot be answered."""

    def bind(self, data: Mapping[str, JSON]) -> Self:
        """The control with the options of one task. Raises `Refused` where the task's data holds none."""
        return self

    def about(self, target: ObjectTag) -> Self:
        """The control as it asks about that very object."""
        return self

    def offering(self, ranked: Sequence[int], most: int) -> Self:
        """The control with only `most` of its options, those whose indexes are `ranked` first, in the old order."""
        kept = sorted(ranked[:most])
        return replace(self, options=tuple(self.options[index] for index in kept))

    @property
    def must_write(self) -> tuple[str, ...]:
        """What every answer holds, whatever is answered; empty where an answer may be short."""
        return ()

    def unanswerable(self, target: Shown) -> str | None:
        """Why it is not asked about an object as a task shows it: a phrase; None where it is."""
        return target.problem

    def chosen(self, value: JSON) -> frozenset[str]:
        """The names and values of the classes that a decoded value chooses: what `visibleWhen` may ask for."""
        return frozenset()

    @abstractmethod
    def schema(self) -> dict[str, JSON]:
        """JSON schema of the answer, in the subset that strict structured outputs accept."""

    @abstractmethod
    def ask(self) -> str:
        """What the model is to answer, as one phrase; the options are listed apart."""

    @abstractmethod
    def shape(self) -> str:
        """The answer's form in the JSON example of the prompt."""

    @abstractmethod
    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        """Read the value that a model gave. Never raises, whatever `raw` is."""

    def encode(self, value: JSON | None) -> JSON:
        """The answer that `decode` reads as this value, in the words that the model is shown."""
        if value is None:
            return [] if self.schema().get("type") == "array" else None
        return self.as_answer(value)

    def as_answer(self, value: JSON) -> JSON:
        """`encode` of what is not empty."""
        return self.as_json(value)

    @property
    def names(self) -> dict[str, str]:
        """The options' names by their values."""
        return {option.value: option.name for option in self.options}

    @abstractmethod
    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        """Label Studio regions of a decoded value, without ids."""

    def value_of(self, result: JSON) -> Decoded:
        """What the regions of an annotation or a prediction say of this control: the value that `decode` gives for
        such an answer. Never raises; what cannot be read is None with a problem, no region of the control is None."""
        own = own_regions(result, self.name)
        return own if isinstance(own, Decoded) else self.read_back(own)

    @abstractmethod
    def read_back(self, regions: Sequence[Region]) -> Decoded:
        """The value of the control's own regions, of which there may be none. Never raises."""

    def agreement(self, one: JSON | None, other: JSON | None) -> float:
        """How alike two values are, in [0, 1]; 1 for the same, whichever comes first. Two empty answers agree."""
        if one is None or other is None:
            return float(one is None and other is None)
        return self.likeness(one, other)

    def agree(self, one: JSON | None, other: JSON | None) -> bool:
        """Whether a person who turned the one into the other has confirmed it."""
        if one is None or other is None:
            return one is None and other is None
        return self.same(one, other)

    @abstractmethod
    def likeness(self, one: JSON, other: JSON) -> float:
        """`agreement` of two values."""

    def same(self, one: JSON, other: JSON) -> bool:
        """`agree` of two values: no difference at all, where the control does not say otherwise."""
        return bool(one == other)

    def as_json(self, value: JSON | None) -> JSON | None:
        """A value as JSON, to be stored and shown."""
        return [self.as_json(item) for item in value] if isinstance(value, tuple) else value

    def grouped(self, value: JSON) -> list[list[dict[str, JSON]]]:
        """The regions of a decoded value; those in one list are about one place and share an id."""
        return [[region] for region in self.regions(value)]

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        """An answer that `decode` accepts: the first option, the smallest number, the first word."""
        return self.options[0].name if self.options else None

    @property
    def has_confidence(self) -> bool:
        """Whether two answers can be the same at all, unlike free text."""
        return True

    @property
    def free_text_keys(self) -> frozenset[str]:
        """The keys in an answer's items that hold free text."""
        return frozenset()

    def allows(self, value: JSON) -> bool:
        """Whether a value that is put together of several answers keeps the control's limits."""
        return True

    @property
    def is_set(self) -> bool:
        """Whether a value is a tuple of items that are right or wrong each by itself."""
        return False

    def origins(self, value: JSON) -> tuple[int, ...]:
        """Where each item of a value is a region: which item of the answer's list it was read from."""
        return ()

    def aligned(self, values: Sequence[JSON | None]) -> list[JSON | None]:
        """Values of several answers, with items that mean the same made equal; None stays None."""
        return list(values)

    @property
    def closed_options(self) -> tuple[Option, ...]:
        """The options of an answer that is exactly one of them; empty for every other kind of answer."""
        return ()

    def region(self, value: dict[str, JSON]) -> dict[str, JSON]:
        """One region of this control around `value`; in the order in which a Data Manager cell is best read."""
        return {
            "from_name": self.name,
            "value": value,
            "to_name": self.to_name[0],
            "type": self.tag.lower(),
        }

    @cached_property
    def values_by_name(self) -> dict[str, str]:
        """Option values by what a region may hold for them: the value, or in imported ones the name."""
        return {o.name: o.value for o in self.options} | {o.value: o.value for o in self.options}

    def in_order(self, values: Collection[str]) -> tuple[str, ...]:
        """Different option values in the config's order: that in which a model names them means nothing."""
        return tuple(option.value for option in self.options if option.value in values)

    def match(self, text: str) -> Match | None:
        return match_option(text, [o.spelled for o in self.options])


class Common(TypedDict):
    """What most tags say in the same way."""

    name: str
    to_name: tuple[str, ...]
    required: bool
    question: str | None


def common(element: Element, question: str | None) -> Common:
    """What nearly every tag is parsed to, to be spread over its class."""
    return Common(
        name=element.get("name", ""),
        to_name=to_names(element),
        required=attribute_is_true(element, "required"),
        question=question,
    )


def to_names(element: Element) -> tuple[str, ...]:
    """The objects that `toName` points to."""
    return tuple(part.strip() for part in element.get("toName", "").split(","))


def attribute_is_true(element: Element, name: str) -> bool:
    """Whether an attribute is "true", whatever the case of its name: the editor reads them so."""
    return any(key.lower() == name.lower() and value.strip().lower() == "true" for key, value in element.attrib.items())


def options_of(element: Element, child_tag: str) -> tuple[Option, ...]:
    """The direct children as options. Raises `Refused` for none and for two of one name."""
    return distinct(tuple(option_of(child) for child in _children(element, child_tag) if child.get("value")))


def _children(element: Element, tag: str) -> Iterator[Element]:
    """The children of that tag, also those that a View only lays out."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag == "View":
            yield from _children(child, tag)


def distinct(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """The options as they are, some and all different. Raises `Refused` otherwise."""
    if not options:
        raise Refused("has no option with a value")
    twice = repeated_option(options)
    if twice is not None:
        raise Refused(f"has the option {clip(twice)!r} twice: rename one")
    return options


def repeated_option(options: Iterable[Option]) -> str | None:
    """A value, or a name, that two of them have."""
    options = tuple(options)
    for given in ([o.value for o in options], [o.name for o in options]):
        repeated = sorted(v for v, count in Counter(given).items() if count > 1)
        if repeated:
            return repeated[0]
    return None


def option_of(child: Element) -> Option:
    name = child.get("value", "")
    return Option(
        value=child.get("alias") or name,
        name=name,
        description=child.get("hint") or None,
        selected=child.tag == "Choice" and child.get("selected") == "true",
    )


def preselected(options: Iterable[Option]) -> str:
    """What the model is told of the options that the project preselects. A prediction without them takes them away."""
    names = [f'"{" ".join(o.name.split())}"' for o in options if o.selected]
    kept = "is preselected: keep it unless another" if len(names) == 1 else "are preselected: keep them unless another"
    return f" ({' and '.join(names)} {kept} is right)" if names else ""


def clip(value: object) -> str:
    """A rejected answer, short enough to store and list."""
    text = value if isinstance(value, str) else repr(value)
    return text[:MAX_REJECTED_CHARS]


def joined_steps(steps: list[str]) -> str | None:
    """The weakest step of several."""
    return next((step for step in ("fuzzy", "normalised") if step in steps), steps[0] if steps else None)


def question_of(text: str | None) -> str | None:
    """A Header's text, unless it comes from the task's data."""
    return text.strip() if text and text.strip() and is_template(text) and not variables_in(text) else None
