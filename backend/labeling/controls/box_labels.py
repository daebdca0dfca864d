"""`<Labels>` on an Image: the labels of boxes that a `<Rectangle>` on it draws."""

from __future__ import annotations

from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.controls.base import common, options_of
from backend.labeling.controls.choices import Choices
from backend.labeling.controls.dynamic import variable_of


class BoxLabels(Choices):
    """It marks nothing by itself: the editor writes it as a second region of the box, of the same id.

    A value is a tuple of option values. Every box needs one. `maxUsages` is left to the annotators.
    """

    tag: ClassVar[str] = "Labels"
    object_tags: ClassVar[frozenset[str]] = frozenset({"Image"})
    value_key: ClassVar[str] = "labels"

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        variable = variable_of(element, "Label")
        return cls(
            **(common(element, question) | {"required": True}),
            options=() if variable else options_of(element, "Label"),
            options_variable=variable,
            multiple=element.get("choice", "single").strip().lower() == "multiple",
        )

    def chosen(self, value: JSON) -> frozenset[str]:
        return frozenset()  # a label is no choice that another control waits for
