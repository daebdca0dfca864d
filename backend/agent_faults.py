"""What is wrong with a value of an agent's file, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is not infinite",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must hold keys and values",
    "model_type": "must hold keys and values",
    "model_attributes_type": "must hold keys and values",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be {} or less"),
    "string_too_short": ("min_length", "must have {} character or more"),
    "string_too_long": ("max_length", "must have {} characters or fewer"),
    "too_short": ("min_length", "must have {} entry or more"),
    "too_long": ("max_length", "must have {} entries or fewer"),
    "literal_error": ("expected", "must be {}"),
}


def in_plain_words(fault: Mapping[str, Any]) -> str:
    """Of one of pydantic's errors; what a check of ours said stays as it is."""
    kind, told = fault["type"], fault.get("ctx") or {}
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS and _BOUNDS[kind][0] in told:
        name, words = _BOUNDS[kind]
        bound = told[name]
        return words.format(f"{bound:,}" if isinstance(bound, int) else str(bound).replace("'", '"'))
    if kind == "string_pattern_mismatch":
        return "must be letters, digits, dots, hyphens and underscores, a letter or digit first"
    return str(fault["msg"]).removeprefix("Value error, ")
