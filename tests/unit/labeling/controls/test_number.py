"""What a Number asks for: its bounds and steps with all their digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labeling.controls.number import exact
from backend.labeling.parsing import parse_config


@pytest.mark.parametrize(
    ("attributes", "asked"),
    [
        ("", "a number"),
        ('min="1"', "a number of at least 1"),
        ('max="2.50"', "a number of at most 2.5"),
        ('min="1" max="2"', "a number of at least 1 and of at most 2"),
        ('min="1000001" max="123456789"', "a number of at least 1000001 and of at most 123456789"),
        ('min="-0.1234567" step="0.0000001"', "a number of at least -0.1234567 in steps of 1e-07"),
        ('min="0" max="1" step="0.25"', "a number of at least 0 and of at most 1 in steps of 0.25"),
    ],
)
def test_bounds_are_told_exactly(attributes: str, asked: str) -> None:
    xml = f'<View><Text name="t" value="$t"/><Number name="n" toName="t" required="true" {attributes}/></View>'
    (control,) = parse_config(xml).controls
    assert control.ask() == asked


def test_a_refusal_tells_them_exactly() -> None:
    xml = '<View><Text name="t" value="$t"/><Number name="n" toName="t" min="1000002" max="1000001"/></View>'
    assert parse_config(xml).refusals[0].reason == "has min=1000002, which is above max=1000001"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_digit_is_lost(number: float) -> None:
    assert float(exact(number)) == number
