"""Options that each task brings along: `value="$key"`, or a path, on Choices, Taxonomy and the Labels.

A reason to refuse them names the key, never what the task holds: reasons are stored and logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON
from backend.labeling.controls.base import Option, Refused, clip, repeated_option
from backend.labeling.data_values import look_up
from backend.labeling.objects.page import text_of_html

MAX_DYNAMIC_OPTIONS = 10_000
MAX_DEPTH = 50
MAX_HTML_CHARS = 20_000  # of one option
MAX_DESCRIPTION_CHARS = 200  # of one option, from its hint and its HTML


@dataclass(frozen=True, kw_only=True)
class Given:
    """One option of the data, with those below it."""

    option: Option
    html: str | None = None  # what the editor shows instead of the value, but for Taxonomy
    children: tuple[Given, ...] = ()


def variable_of(element: Element, child_tag: str = "Choice") -> str | None:
    """The key, or path, of the task's data that holds the options; None where the labeling config lists them."""
    if element.get("apiUrl"):
        raise Refused("loads its options from a URL, which Prelabel does not call")
    value = (element.get("value") or "").strip()
    if not value.startswith("$") or not value.strip("$.[] "):
        return None
    if any(child.get("value") for child in element.iter(child_tag)):
        raise Refused("lists options beside those of the task's data, which Label Studio's own check then refuses")
    return value[1:]


def bound_options(data: Mapping[str, JSON], variable: str) -> tuple[Option, ...]:
    """The options of one level, all different. Raises `Refused`.

    The editor shows an option's html in the place of its value, so that the model is told what it says.
    """
    options = tuple(_with_html(given, variable) for given in given_options(data, variable))
    if repeated_option(options) is not None:
        raise Refused(f"{_takes(variable)}, which has an option twice")
    return options


def _takes(variable: str) -> str:
    return f"takes its options from the data's {clip(variable)!r}"


def _with_html(given: Given, variable: str) -> Option:
    option = given.option
    if given.html is None:
        return option
    if len(given.html) > MAX_HTML_CHARS:
        raise Refused(f"{_takes(variable)}, which shows one by HTML of more than {MAX_HTML_CHARS:,} characters")
    text = " ".join(text_of_html(given.html).split())
    if not text:
        raise Refused(f"{_takes(variable)}, which shows one by HTML without a word to read (an image)")
    told = [part for part in (option.description, text if text != option.name else None) if part]
    return replace(option, description=_described("; ".join(told)))


def _described(text: str | None) -> str | None:
    """As much of a task's own words as may stand among the options, in one line."""
    line = " ".join((text or "")[: 10 * MAX_DESCRIPTION_CHARS].split())
    return (line if len(line) <= MAX_DESCRIPTION_CHARS else line[: MAX_DESCRIPTION_CHARS - 1] + "…") or None


def given_options(data: Mapping[str, JSON], variable: str) -> tuple[Given, ...]:
    """The options under `variable`: a list of {"value", "alias"?, "hint"?, "children"?} or of strings.

    Raises `Refused` where there is no such list, or one that the editor could not show.
    """
    found = look_up(data, variable)
    if not isinstance(found, list) or not found:
        raise Refused(f"{_takes(variable)}, which holds no list")
    budget = iter(range(MAX_DYNAMIC_OPTIONS))
    return tuple(_given(found, variable, budget, depth=1))


def _given(items: list[JSON], variable: str, budget: Iterator[int], *, depth: int) -> Iterator[Given]:
    for item in items:
        if next(budget, None) is None or depth > MAX_DEPTH:
            raise Refused(f"{_takes(variable)}, which holds too many")
        item = {"value": item} if isinstance(item, str) else item
        name = item.get("value") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            raise Refused(f"{_takes(variable)}, in which one has no value")
        children = item.get("children")
        name = storable(name)
        yield Given(
            option=Option(
                value=_text(item, "alias") or name,
                name=name,
                description=_described(_text(item, "hint")),
                selected=item.get("selected") is True,
            ),
            html=_text(item, "html"),
            children=tuple(_given(children, variable, budget, depth=depth + 1)) if isinstance(children, list) else (),
        )


def _text(item: dict[str, JSON], key: str) -> str | None:
    value = item.get(key)
    return storable(value) if isinstance(value, str) and value else None
