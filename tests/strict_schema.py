"""The strict subset of JSON schema that endpoints with structured outputs accept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_ENUM_VALUES = 1000  # over the whole schema
MAX_DEPTH = 10
_KEYWORDS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "description",
        "title",
        "$ref",
        "$defs",
    ]
)
_TYPES = frozenset({"string", "number", "integer", "boolean", "null", "object", "array"})


def strict_faults(schema: Any) -> list[str]:
    """Everything in `schema` that a strict endpoint refuses, one phrase each."""
    faults = [] if isinstance(schema, dict) and schema.get("type") == "object" else ["$: the root is not an object"]
    faults += _faults(schema, "$", 1)
    enums = sum(len(node["enum"]) for node in _nodes(schema) if isinstance(node.get("enum"), list))
    if enums > MAX_ENUM_VALUES:
        faults.append(f"$: {enums} enum values, at most {MAX_ENUM_VALUES}")
    return faults


def _faults(schema: Any, path: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{path}: is not a schema"
        return
    if depth > MAX_DEPTH:
        yield f"{path}: nested deeper than {MAX_DEPTH}"
        return
    yield from _own_faults(schema, path)
    types = schema.get("type", [])
    if "object" in types:
        yield from _object_faults(schema, path, depth)
    if "array" in types:
        yield from _faults(schema.get("items"), f"{path}.items", depth + 1)
    for index, branch in enumerate(schema.get("anyOf", [])):
        yield from _faults(branch, f"{path}.anyOf[{index}]", depth + 1)


def _own_faults(schema: dict[str, Any], path: str) -> Iterator[str]:
    for keyword in sorted(set(schema) - _KEYWORDS):
        yield f"{path}: {keyword!r} is not permitted"
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if name not in _TYPES:
            yield f"{path}: type {name!r} is unknown"
    if not set(schema) & {"type", "anyOf", "$ref", "enum", "const"}:
        yield f"{path}: has no type"
    if schema.get("enum") == []:
        yield f"{path}: enum is empty"


def _object_faults(schema: dict[str, Any], path: str, depth: int) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"{path}: additionalProperties is not false"
    properties = schema.get("properties", {})
    if sorted(schema.get("required", [])) != sorted(properties):
        yield f"{path}: not every property is required"
    for name, inner in properties.items():
        yield from _faults(inner, f"{path}.{name}", depth + 1)


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _nodes(value)
