"""What a call costs: as the settings say, as a table of public prices says, or not known."""

from __future__ import annotations

import pytest

from backend.adapters.prices import KnownPrices
from backend.core.errors import SettingsError

OPENAI = "https://api.openai.com/v1"


def test_the_settings_come_first() -> None:
    prices = KnownPrices(per_million_input=2.0, per_million_output=8.0)
    assert prices.price("gpt-4o-mini", 1_000_000, 500_000, OPENAI) == pytest.approx(6.0)
    assert prices.price("mine", 1_000, 0, "http://localhost:11434/v1") == pytest.approx(0.002)


def test_a_public_price() -> None:
    assert KnownPrices().price("gpt-4o-mini", 1_000, 100, OPENAI) == pytest.approx(0.00021)


@pytest.mark.parametrize(
    ("model", "endpoint"),
    [("gpt-4o-mini", "http://localhost:11434/v1"), ("nobody-s-model", OPENAI), ("", OPENAI), ("m\0", "")],
)
def test_unknown_is_none(model: str, endpoint: str) -> None:
    assert KnownPrices().price(model, 10, 10, endpoint) is None


def test_one_price_alone_is_refused() -> None:
    with pytest.raises(SettingsError, match="set or unset both"):
        KnownPrices(per_million_input=1.0)
