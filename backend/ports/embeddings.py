"""Vectors of texts: texts of like meaning have like directions."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

Vector: TypeAlias = "array[float]"  # of typecode "f": four bytes a number


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What one call gave."""

    vectors: tuple[Vector, ...]  # one a text, in the texts' order
    prompt_tokens: int | None = None  # as the endpoint reported them; None: it did not


class Embedder(Protocol):
    """A model that makes vectors, behind an endpoint."""

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        """One call, no retry; all vectors are of one length. Raises a `ModelError`."""
        ...


class Vectors(Protocol):
    """Stored vectors. A key says which endpoint and model made it, of which text. Raises `StoreError`."""

    def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Those that are there."""
        ...

    def save_vectors(self, made: Mapping[str, Vector]) -> None:
        """Of two under one key the first stays."""
        ...

    def delete_vectors(self, *, made_before: datetime, most: int) -> int:
        """Delete up to `most` vectors that were made before; returns how many these were."""
        ...
