"""Which rows are held out together, and which are taken at all: the same for the same rows and seed anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def folds(groups: Sequence[str], strata: Sequence[str], *, most: int, seed: int) -> list[int]:
    """The fold of each row, from 0 to below `most`.

    Rows of one group (the same text) share a fold, so that none is judged by its own copy. Each fold has its share of
    each stratum; a group counts as the stratum of its first row. With fewer groups than `most` there are fewer folds.
    """
    if len(groups) != len(strata):
        raise ValueError("every row needs one group and one stratum")
    stratum: dict[str, str] = {}
    for group, own in zip(groups, strata, strict=True):
        stratum.setdefault(group, own)
    dealt = sorted(stratum, key=lambda group: (stratum[group], _draw(group, seed), group))
    fold = {group: place % most for place, group in enumerate(dealt)}
    return [fold[group] for group in groups]


def drawn(count: int, *, most: int, seed: int) -> list[int]:
    """The rows of a part of `most` of them, drawn at random; all of fewer. Ascending."""
    if count <= most:
        return list(range(count))
    return sorted(sorted(range(count), key=lambda row: _draw(str(row), seed))[:most])


def _draw(group: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{group}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
