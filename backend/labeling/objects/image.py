"""`<Image>`: one image (`value`) or a list of them (`valueList`), shown to the model beside the text of the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON, Media, Picture
from backend.labeling.data_values import is_template, variable_of
from backend.labeling.objects.base import Content, NoSuchKey, NothingToShow, ObjectTag, attribute
from backend.labeling.shown import Shown, ShownImage

MAX_IMAGES = 20  # of one object: more fill a model's window, and most endpoints refuse them


@dataclass(frozen=True, kw_only=True)
class Image(ObjectTag):
    """Where the editor has both attributes it shows the list. Regions on a list say which item they are on."""

    tag: ClassVar[str] = "Image"

    listed: bool = False  # valueList

    @classmethod
    def parse(cls, element: Element) -> Self:
        listed = attribute(element, "valueList")
        value = listed or element.get("value") or ""
        template = value if is_template(value) and not listed else None
        variable = "" if template is not None else variable_of(value)
        return cls(name=element.get("name", ""), variable=variable, template=template, listed=bool(listed))

    def sources(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        try:
            return self._sources(data)
        except NothingToShow:
            return ()

    def show(self, data: Mapping[str, JSON]) -> Shown:
        return self.show_loaded(data, {}, 1)

    def show_loaded(self, data: Mapping[str, JSON], media: Media, first: int) -> Shown:
        images: list[ShownImage] = []
        try:
            for item, source in enumerate(self._sources(data)):
                found = media.get(source, "it was not asked for")
                if not isinstance(found, Picture):
                    found = found if isinstance(found, str) else "it is a PDF document"
                    which = f" (item {item + 1})" if self.listed else ""
                    raise NothingToShow(f"{which} could not be loaded: {found}".lstrip())
                images.append(ShownImage(number=first + item, picture=found, item=item if self.listed else None))
        except NothingToShow as nothing:
            return Shown(name=self.name, text="", problem=f"the data's {self._named} {nothing}")
        last = images[-1].number
        text = f"Image {first}" if last == first else f"Images {first} to {last}, in this order"
        return Shown(name=self.name, text=text, images=tuple(images))

    def content_of(self, value: JSON) -> Content:
        raise NothingToShow("is an image, and none was loaded")

    def _sources(self, data: Mapping[str, JSON]) -> tuple[str, ...]:
        """Where its images come from. Raises `NothingToShow`."""
        try:
            value = self.value_in(data)
        except NoSuchKey:
            raise NothingToShow("is not there") from None
        items = value if isinstance(value, list) else [value]
        if not items or value is None or value == "":
            raise NothingToShow("is empty")
        if len(items) > 1 and not self.listed:
            raise NothingToShow("holds several images where the labeling config has value, not valueList")
        if len(items) > MAX_IMAGES:
            raise NothingToShow(f"holds {len(items)} images, more than {MAX_IMAGES}")
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise NothingToShow("is not the address of an image")
        return tuple(storable(item).strip() for item in items)
