"""Reading back what a fitted score was stored as: whatever else it may be is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.values import JSON

_MOST = 1e6  # no fit gives parameters of such a size


def object_of(stored: JSON, kind: str, keys: Sequence[str]) -> Mapping[str, JSON]:
    """`stored` as an object of that kind with exactly these keys. Raises ValueError."""
    if not isinstance(stored, dict) or stored.get("kind") != kind or stored.keys() != {"kind", *keys}:
        raise ValueError(f'this is not a stored score of the kind "{kind}": fit it again')
    return stored


def number_at(stored: Mapping[str, JSON], key: str, *, least: float = -_MOST, most: float = _MOST) -> float:
    """The finite number under a key. Raises ValueError."""
    return _number(stored.get(key), key, least, most)


def numbers_at(
    stored: Mapping[str, JSON], key: str, *, count: int, least: float = -_MOST, most: float = _MOST
) -> dict[str, float]:
    """The object of finite numbers under a key, at most `count` of them. Raises ValueError."""
    value = stored.get(key)
    if not isinstance(value, dict) or len(value) > count or not all(isinstance(name, str) for name in value):
        raise ValueError(f'"{key}" of a stored score is not an object of at most {count:,} numbers: fit it again')
    return {name: _number(number, key, least, most) for name, number in value.items()}


def _number(value: JSON, key: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:  # also NaN
        raise ValueError(f'"{key}" of a stored score holds no number from {least:g} to {most:g}: fit it again')
    return float(value)
