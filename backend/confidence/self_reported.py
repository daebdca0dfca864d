"""The number that a model wrote about its own answer. The last resort: it clusters at 0.8, 0.9 and 0.95.

Words ("high") are not numbers and are not turned into any.
"""

from __future__ import annotations

import math
import re
import unicodedata

from backend.core.values import JSON

_WRITTEN = re.compile(r"(\d{1,6}(?:[.,]\d{1,20})?|[.,]\d{1,20})\s*(%|per ?cent)?", re.IGNORECASE)


def self_reported_probability(written: JSON) -> float | None:
    """`written` as a probability in [0, 1]: 0.85, 85, "0.85", "0,85", "85%" and "85 per cent" are the same.

    A number of at most 1 is a probability, one above 10 and up to 100 is per cent. Between them it may just as well
    stand on a scale of 5 or 10, so it is None, as is all that is out of range or no number.
    """
    if isinstance(written, bool):
        return None
    if isinstance(written, int | float):
        return _scaled(written, per_cent=False)
    if not isinstance(written, str):
        return None
    match = _WRITTEN.fullmatch(unicodedata.normalize("NFKC", written[:80]).strip())
    return _scaled(float(match[1].replace(",", ".")), per_cent=bool(match[2])) if match else None


def per_cent_probability(written: JSON) -> float | None:
    """`written`, which was asked for as a whole number from 0 to 100, as a probability in [0, 1].

    A fraction between 0 and 1 was meant as a probability. 1 may be either, so it is None.
    """
    if isinstance(written, str):
        match = _WRITTEN.fullmatch(unicodedata.normalize("NFKC", written[:80]).strip())
        if match is None or match[2]:
            return self_reported_probability(written)
        written = float(match[1].replace(",", "."))
    if isinstance(written, bool) or not isinstance(written, int | float) or written == 1:
        return None
    return _scaled(written, per_cent=not 0 < written < 1)


def _scaled(number: int | float, *, per_cent: bool) -> float | None:
    if not 0 <= number <= 100 or (not per_cent and 1 < number <= 10):  # also refuses NaN
        return None
    probability = number / 100 if per_cent or number > 1 else float(number)
    return probability if math.isfinite(probability) else None
