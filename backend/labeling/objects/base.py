"""What every object tag must be able to do: turn the task's data into what the model is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON
from backend.labeling.controls.base import Refused
from backend.labeling.shown import Shown


@dataclass(frozen=True, kw_only=True)
class ObjectTag(ABC):
    """An object tag of one labeling config."""

    tag: ClassVar[str]

    name: str
    variable: str  # the key of the task's data, without the `$`

    @classmethod
    def parse(cls, element: Element) -> Self:
        """Read the tag. Raises `Refused` with the reason when its content cannot be shown."""
        value = (element.get("value") or "").strip()
        if not value.startswith("$") or len(value) == 1:
            raise Refused('has no value of the form "$key"')
        if element.get("valueType", "").lower() == "url":
            raise Refused("loads its text from a URL, which is not supported yet")
        return cls(name=element.get("name", ""), variable=value[1:])

    def show(self, data: Mapping[str, JSON]) -> Shown:
        """The object as the model sees it; a `problem` when the task has nothing to show."""
        if self.variable not in data:
            return Shown(name=self.name, text="", problem=f"the data has no key {self.variable!r}")
        value = data[self.variable]
        if value is None:
            return Shown(name=self.name, text="", problem=f"the data's {self.variable!r} is null")
        if isinstance(value, dict | list):
            return Shown(name=self.name, text="", problem=f"the data's {self.variable!r} is not text")
        text = self.text_of(storable(str(value)))
        if not text.strip():
            return Shown(name=self.name, text=text, problem=f"the data's {self.variable!r} is empty")
        return Shown(name=self.name, text=text)

    @abstractmethod
    def text_of(self, value: str) -> str:
        """The readable text of a value."""
