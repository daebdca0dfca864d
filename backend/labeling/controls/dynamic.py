"""Options that each task brings along: `value="$key"` on Choices and Taxonomy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON
from backend.labeling.controls.base import Option, Refused

MAX_DYNAMIC_OPTIONS = 10_000
MAX_DEPTH = 50


@dataclass(frozen=True, kw_only=True)
class Given:
    """One option of the data, with those below it."""

    option: Option
    children: tuple[Given, ...] = ()


def variable_of(element: Element) -> str | None:
    """The key of the task's data that holds the options; None where the labeling config lists them."""
    if element.get("apiUrl"):
        raise Refused("loads its options from a URL, which Prelabel does not call")
    value = (element.get("value") or "").strip()
    if not value.startswith("$") or len(value) == 1:
        return None
    if any(child.get("value") for child in element.iter("Choice")):
        raise Refused("lists options beside those of the task's data, which Label Studio's own check then refuses")
    return value[1:]


def given_options(data: Mapping[str, JSON], variable: str) -> tuple[Given, ...]:
    """The options under `variable`: a list of {"value", "alias"?, "hint"?, "children"?} or of strings.

    Raises `Refused` where there is no such list, or one that the editor could not show.
    """
    found = data.get(variable)
    if not isinstance(found, list) or not found:
        raise Refused(f"takes its options from the data's {variable!r}, which holds no list")
    budget = iter(range(MAX_DYNAMIC_OPTIONS))
    return tuple(_given(found, variable, budget, depth=1))


def _given(items: list[JSON], variable: str, budget: Iterator[int], *, depth: int) -> Iterator[Given]:
    for item in items:
        if next(budget, None) is None or depth > MAX_DEPTH:
            raise Refused(f"takes its options from the data's {variable!r}, which holds too many")
        item = {"value": item} if isinstance(item, str) else item
        name = item.get("value") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            raise Refused(f"takes its options from the data's {variable!r}, in which one has no value")
        children = item.get("children")
        name = storable(name)
        yield Given(
            option=Option(value=_text(item, "alias") or name, name=name, description=_text(item, "hint")),
            children=tuple(_given(children, variable, budget, depth=depth + 1)) if isinstance(children, list) else (),
        )


def _text(item: dict[str, JSON], key: str) -> str | None:
    value = item.get(key)
    return storable(value) if isinstance(value, str) and value else None
