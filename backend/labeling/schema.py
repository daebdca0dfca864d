"""The limits of strict structured outputs, kept for the whole answer.

Endpoints refuse a schema with too many enum values (OpenAI: 1,000 over the whole schema; a single enum of more than
250 may hold 15,000 characters). Answers are matched to the options here in any case, so that the longest lists can
do without.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.core.values import JSON

MAX_ENUM_VALUES = 1_000
MAX_LONG_ENUM_CHARS = 15_000
LONG_ENUM = 250


def strict_object(properties: Mapping[str, JSON]) -> dict[str, JSON]:
    """An object with exactly these properties: strict structured outputs know no optional ones."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def nullable(schema: dict[str, JSON]) -> dict[str, JSON]:
    """The schema, with null as a further answer."""
    return schema if "null" in schema.get("type", ()) else {"anyOf": [schema, {"type": "null"}]}


def within_enum_limits(properties: Mapping[str, JSON]) -> dict[str, JSON]:
    """The properties, those with the longest enums without them, until the limits hold."""
    enums = {name: _enums(schema) for name, schema in properties.items()}
    kept = {name for name in properties if all(_fits(enum) for enum in enums[name])}
    by_length = sorted(kept, key=lambda name: sum(len(enum) for enum in enums[name]))
    while sum(len(enum) for name in by_length for enum in enums[name]) > MAX_ENUM_VALUES:
        by_length.pop()
    return {name: schema if name in by_length else _without_enums(schema) for name, schema in properties.items()}


def _fits(enum: list[JSON]) -> bool:
    return len(enum) <= LONG_ENUM or sum(len(str(value)) for value in enum) <= MAX_LONG_ENUM_CHARS


def _enums(schema: JSON) -> list[list[JSON]]:
    if isinstance(schema, dict):
        own = [schema["enum"]] if isinstance(schema.get("enum"), list) else []
        return own + [enum for value in schema.values() for enum in _enums(value)]
    return [enum for value in schema for enum in _enums(value)] if isinstance(schema, list) else []


def _without_enums(schema: JSON) -> JSON:
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key != "enum" or not isinstance(value, list)}
        return {key: _without_enums(value) for key, value in kept.items()}
    return [_without_enums(value) for value in schema] if isinstance(schema, list) else schema
