"""What model calls cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backend.core.values import Usage

Price = Callable[[str, Usage], "float | None"]  # model, tokens -> US dollars; None: the model's price is not known


def cost_of(usage: Usage, models: Sequence[str | None], price: Price) -> float | None:
    """US dollars, by the first of the model's names that has a price. None: not known, as where an endpoint tells no
    tokens. What no call was made for costs nothing."""
    if not usage.calls:
        return 0.0
    if not usage.prompt_tokens:
        return None
    return next((cost for model in models if model and (cost := price(model, usage)) is not None), None)
