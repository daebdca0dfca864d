"""Prices of models: those that the settings say, else those that the library genai-prices knows of the endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.errors import SettingsError

_MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class KnownPrices:
    """`backend.ports.prices.Prices`. The two settings are US dollars for a million tokens."""

    per_million_input: float | None = None
    per_million_output: float | None = None

    def __post_init__(self) -> None:
        if (self.per_million_input is None) != (self.per_million_output is None):
            raise SettingsError(
                "A price needs both PRELABEL_USD_PER_MILLION_INPUT and PRELABEL_USD_PER_MILLION_OUTPUT: "
                "set or unset both."
            )

    def price(self, model: str, prompt_tokens: int, completion_tokens: int, endpoint: str) -> float | None:
        if self.per_million_input is not None and self.per_million_output is not None:
            return (prompt_tokens * self.per_million_input + completion_tokens * self.per_million_output) / _MILLION
        from genai_prices import Usage, calc_price  # a third of a second and its tables: only where it is asked

        try:  # by the endpoint's address: a local server has a model of a famous name for nothing
            found = calc_price(
                Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens),
                model_ref=model,
                provider_api_url=endpoint,
            )
        except (LookupError, ValueError):
            return None
        return float(found.total_price)
