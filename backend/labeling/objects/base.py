"""What every object tag must be able to do: turn the task's data into what the model is shown."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON, Media
from backend.labeling.data_values import ABSENT, filled, is_template, keys_of, look_up, variable_of, variables_in
from backend.labeling.refused import Refused
from backend.labeling.shown import Passages, Shown


class NothingToShow(Exception):
    """This task's data cannot be shown; the message is a phrase that follows the key's name."""


class NoSuchKey(Exception):
    """The data has none of the keys; the message names them."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an object makes of one task's data."""

    text: str
    passages: Passages | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectTag(ABC):
    """An object tag of one labeling config."""

    tag: ClassVar[str]
    takes_text: ClassVar[bool] = False  # whether a value may be text beside, or without, variables

    name: str
    variable: str  # the key of the task's data, without the `$`, or a path in it (`ticket.turns[0]`); "": `template`
    template: str | None = None  # a value that is text, with any number of variables in it

    @classmethod
    def parse(cls, element: Element) -> Self:
        """Read the tag. Raises `Refused` with the reason when its content cannot be shown."""
        value = element.get("value") or ""
        template = value if cls.takes_text and is_template(value) else None
        variable = "" if template is not None else variable_of(value)
        if "url" in re.split(r"\W+", attribute(element, "valueType").lower()):
            raise Refused('loads what it shows from a URL of the data (valueType="url"), which Prelabel does not call')
        if attribute(element, "encoding").lower() not in ("", "none"):
            raise Refused(f"has encoding={attribute(element, 'encoding')!r}, which is not supported yet")
        return cls(name=element.get("name", ""), variable=variable, template=template, **cls.attributes(element))

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        """Fields of this very tag."""
        return {}

    def beside(self, others: Sequence[ObjectTag]) -> Self:
        """The object among the others of its labeling config."""
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The top keys of the data under which the value may stand: the whole name, and the first step of a path."""
        return tuple(dict.fromkeys(key for variable in self.variables for key in keys_of(variable)))

    @property
    def kept(self) -> tuple[str, ...]:
        """The top keys of the data that showing it may need."""
        return self.keys

    @property
    def variables(self) -> tuple[str, ...]:
        """Each key or path that its value names."""
        return (self.variable,) if self.template is None else variables_in(self.template)

    def show(self, data: Mapping[str, JSON]) -> Shown:
        """The object as the model sees it; a `problem` when the task has nothing to show."""
        try:
            content = self.content_of(self.value_in(data))
            if not content.text.strip():
                raise NothingToShow("is empty")
        except NothingToShow as nothing:
            return Shown(name=self.name, text="", problem=f"the data's {self._named} {nothing}")
        except NoSuchKey as missing:
            return Shown(name=self.name, text="", problem=f"the data has no key {missing}")
        return Shown(name=self.name, text=content.text, passages=content.passages)

    def value_in(self, data: Mapping[str, JSON]) -> JSON:
        """What the value stands for in a task's data, as the editor puts it together: never null.

        Raises `NothingToShow` for null, and for a structure in the midst of text, and `NoSuchKey`.
        """
        values = {variable: look_up(data, variable) for variable in self.variables}
        if values and all(value is ABSENT for value in values.values()):
            raise NoSuchKey(" and no ".join(map(repr, values)))
        if values and all(value is None or value is ABSENT for value in values.values()):
            raise NothingToShow("is null")
        if self.template is None:
            return values[self.variable]
        for value in values.values():
            if isinstance(value, dict | list):
                raise NothingToShow("is not text")
        return filled(self.template, values)

    @property
    def _named(self) -> str:
        return " and ".join(map(repr, self.variables)) or f'text in "{self.name}"'

    def sources(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        """The images that must be loaded before the object can be shown: URLs, paths."""
        return ()

    def documents(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        """The documents that must be loaded before the object can be shown: URLs, paths."""
        return ()

    def show_loaded(self, data: Mapping[str, JSON], media: Media, first: int) -> Shown:
        """As `show`, with what was loaded of `sources` and `documents`; `first` is the number of its first image."""
        return self.show(data)

    @abstractmethod
    def content_of(self, value: JSON) -> Content:
        """What to show of a value that is not null. Raises `NothingToShow`."""


def attribute(element: Element, name: str) -> str:
    """An attribute as the editor reads it, whatever the case of its name."""
    return next((value.strip() for key, value in element.attrib.items() if key.lower() == name.lower()), "")


def plain(value: JSON) -> str:
    """A text or a number as text. Raises `NothingToShow` for a list or an object."""
    if isinstance(value, dict | list):
        raise NothingToShow("is not text")
    return str(storable(str(value)))


def written(value: JSON) -> str:
    """A part of a structure as text: nothing for null, JSON for what is nested in it."""
    if value is None:
        return ""
    if not isinstance(value, dict | list):
        return plain(value)
    try:
        return str(storable(json.dumps(value, ensure_ascii=False)))
    except (RecursionError, ValueError, TypeError):
        return ""
