"""The enum limits of strict structured outputs."""

from __future__ import annotations

from typing import Any

from backend.labeling.parsing import parse_config
from backend.labeling.schema import strict_object, within_enum_limits
from tests.strict_schema import strict_faults


def enum(count: int, width: int = 3) -> dict[str, Any]:
    return {"type": "string", "enum": [f"{n:0{width}d}" for n in range(count)]}


def test_an_object_is_strict() -> None:
    found = strict_object({"b": {"type": "string"}, "a": {"type": "number"}})
    assert strict_faults(found) == []
    assert (found["required"], list(found["properties"])) == (["b", "a"], ["b", "a"])


def test_short_lists_stay() -> None:
    properties = {"a": enum(400), "b": {"type": "array", "items": enum(600)}}
    assert within_enum_limits(properties) == properties


def test_the_longest_list_goes_first() -> None:
    kept = within_enum_limits({"a": enum(300), "b": {"type": "array", "items": enum(800)}, "c": enum(10)})
    assert kept == {"a": enum(300), "b": {"type": "array", "items": {"type": "string"}}, "c": enum(10)}


def test_a_long_list_of_long_names_goes() -> None:
    assert within_enum_limits({"a": enum(251, width=60), "b": enum(250, width=60)}) == {
        "a": {"type": "string"},
        "b": enum(250, width=60),
    }


def test_a_taxonomy_of_thousands_is_within_the_limits_and_still_read() -> None:
    paths = "".join(f'<Choice value="class {n}"/>' for n in range(1500))
    config = parse_config(f'<View><Text name="t" value="$t"/><Taxonomy name="x" toName="t">{paths}</Taxonomy></View>')
    assert strict_faults(config.schema()) == []
    decoded = config.controls[0].decode(["class 1499"], config.show({"t": "x"}))
    assert decoded.value == (("class 1499",),)
