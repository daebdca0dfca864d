"""What a model's tokens cost, by the price list of the library genai-prices. It asks no network."""

from __future__ import annotations

import genai_prices

from backend.core.values import Usage


def price(model: str, usage: Usage) -> float | None:
    """US dollars for the tokens of `usage`; None for a model that the list does not have."""
    tokens = genai_prices.Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
    try:
        return float(genai_prices.calc_price(tokens, model).total_price)
    except (LookupError, ValueError):
        return None
