"""What a `value` attribute names of a task's data, read as the editor reads it: a key, a path, or text with some of
them in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from backend.core.values import JSON
from backend.labeling.refused import Refused

ABSENT = object()
_VARIABLE = re.compile(r"\$([^\s$]+)")
_IN_TEXT = re.compile(r"\$([\w\[\].{}]+)", re.ASCII)  # the editor's own idea of a variable
_STEP = re.compile(r"[^.\[\]]+")
_EXACT = 2**53  # JavaScript's numbers are floats: larger integers lose their last digits


def variable_of(value: str) -> str:
    """The key or path that a `value` names. Raises `Refused`."""
    match = _VARIABLE.fullmatch(value.strip())
    if match is None or not _STEP.search(match[1]):
        raise Refused('has no value of the form "$key"')
    return match[1]


def keys_of(variable: str) -> tuple[str, ...]:
    """The top keys of the data under which the value may stand: the whole name, and the first step of a path."""
    return tuple(dict.fromkeys((variable, *_STEP.findall(variable)[:1])))


def look_up(data: Mapping[str, JSON], variable: str) -> JSON | object:
    """The value of a variable: the key of that very name first, then the path, as the editor does; else `ABSENT`."""
    value: JSON = data
    for step in (variable,) if variable in data else _STEP.findall(variable):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
    return value


def is_template(value: str) -> bool:
    """Whether it is text, with or without variables in it, and not one variable alone."""
    alone = _IN_TEXT.fullmatch(value)
    if alone is None and not _IN_TEXT.search(value):
        alone = _VARIABLE.fullmatch(value.strip())  # a key of other letters
    return alone is None or not _STEP.search(alone[1])


def variables_in(template: str) -> tuple[str, ...]:
    """The variables in a text, in their order, each once."""
    return tuple(dict.fromkeys(name for name in _IN_TEXT.findall(template) if _STEP.search(name)))


def filled(template: str, values: Mapping[str, JSON | object]) -> str:
    """The text with the values of its variables, written as the editor writes them; `ABSENT` is "undefined"."""
    return _IN_TEXT.sub(lambda match: in_javascript(values.get(match[1], ABSENT)), template)


def in_javascript(value: JSON | object) -> str:
    """A string, number, boolean, null or `ABSENT` as JavaScript's `String` writes it."""
    if isinstance(value, str):
        return value
    if value is ABSENT:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) <= _EXACT:
        return str(value)
    return _float(value) if isinstance(value, int | float) else ""


def _float(value: float) -> str:
    try:
        number = float(value)
    except OverflowError:
        return "Infinity" if value > 0 else "-Infinity"
    if number != number or number in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    if number == 0:
        return "0"
    shortest = Decimal(repr(number)).normalize()
    if 1e-6 <= abs(number) < 1e21:
        return f"{shortest:f}"
    mantissa, _, exponent = f"{shortest:e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
