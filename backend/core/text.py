"""Text that every database, JSON writer and endpoint takes."""

from __future__ import annotations

import re

from backend.core.values import JSON

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_DIGITS = 8


def storable(value: JSON) -> JSON:
    """`value` with U+0000 and lone surrogates in its strings replaced by U+FFFD, one for one: offsets stay true.

    PostgreSQL refuses the first, UTF-8 has no form for the second; a JSON escape brings in both, and a text cut in
    the middle of an emoji the second.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    if isinstance(value, dict):
        return {storable(key): storable(inner) for key, inner in value.items()}
    return value


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent; never rounded to all or nothing where it is neither: 299 of 300 are not 100 %."""
    told = f"{share:.{digits}%}"
    while 0 < share < 1 and told in (f"{0:.{digits}%}", f"{1:.{digits}%}") and digits < _MOST_DIGITS:
        digits += 1
        told = f"{share:.{digits}%}"
    return told
