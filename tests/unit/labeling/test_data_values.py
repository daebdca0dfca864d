"""What a `value` names of the data, and how the editor writes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labeling.data_values import ABSENT, filled, in_javascript, is_template, look_up, variables_in


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (1, "1"),
        (-2.5, "-2.5"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (5e-324, "5e-324"),
        (2**53 + 1, "9007199254740992"),
        (123456789012345678901, "123456789012345680000"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (ABSENT, "undefined"),
    ],
)
def test_values_are_written_as_javascript_does(value: Any, text: str) -> None:
    assert in_javascript(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_number_again(value: float) -> None:
    assert float(in_javascript(value)) == value


@pytest.mark.parametrize(
    ("value", "variables"),
    [
        ("$a", None),
        (" $a ", ("a",)),
        ("$a.b[0]", None),
        ("$ключ", None),
        ("$a: $b", ("a", "b")),
        ("$a, $a", ("a",)),
        ("Read this", ()),
        ("", ()),
        ("$", ()),
        ("5$ or more", ()),
        ("$a-b", ("a",)),
        ("by $a.", ("a.",)),
        ("$.", ()),
    ],
)
def test_a_text_with_variables_is_told_from_one_variable(value: str, variables: tuple[str, ...] | None) -> None:
    assert is_template(value) is (variables is not None)
    if variables is not None:
        assert variables_in(value) == variables


def test_a_template_is_filled() -> None:
    values: dict[str, Any] = {"a": "$b", "b": 2, "c": None}
    assert filled("$a and $b, $c $d.", values) == "$b and 2, null undefined"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("a", {"b": [1, 2]}), ("a.b[1]", 2), ("a.b[2]", ABSENT), ("x", ABSENT), ("k.l", 3), ("a.b[²]", ABSENT)],
)
def test_paths_are_followed(variable: str, value: Any) -> None:
    assert look_up({"a": {"b": [1, 2]}, "k.l": 3, "k": {"l": 4}}, variable) == value
