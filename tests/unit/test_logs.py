"""Log lines are JSON, one a line, and no call of ours can fail by its fields."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pytest

from backend.logs import JsonFormatter

RESERVED = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def fields_logged(source: str) -> list[str]:
    """The keys of every `extra={...}` in a module."""
    return [
        str(key.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant)
    ]


def test_no_field_has_the_name_of_one_of_logging_s_own(repository: Path) -> None:
    """`extra={"created": 1}` raises KeyError in the middle of whatever was being logged."""
    found = {
        (path.name, field)
        for path in (repository / "backend").rglob("*.py")
        for field in fields_logged(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 10
    assert [place for place in found if place[1] in RESERVED] == []


@pytest.mark.parametrize("value", ["plain", 'quote " and \n line', "नमस्ते 👋🏽", object(), {"a": {1, 2}}, None])
def test_whatever_a_field_holds_a_line_is_one_json_object(value: object) -> None:
    record = logging.makeLogRecord({"msg": "event\nTraceback: secret", "levelname": "INFO", "field": value})
    line = JsonFormatter(tracebacks=False).format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told["event"] == "event"
    assert "field" in told
