"""Vectors of texts, as little-endian numbers of four bytes. They tell something of the texts, and go as replies go."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from backend.adapters.sql.database import Database, batches
from backend.adapters.sql.schema import vectors
from backend.ports.embeddings import Vector


class SqlVectors(Database):
    def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        for some in batches(keys):
            query = sa.select(vectors.c.key, vectors.c.numbers).where(vectors.c.key.in_(some))
            with self.begin(read_only=True) as connection:
                found |= {key: _unpacked(numbers) for key, numbers in connection.execute(query)}
        return found

    def save_vectors(self, made: Mapping[str, Vector]) -> None:
        now = self._clock()
        rows = [{"key": key, "numbers": _packed(vector), "created_at": now} for key, vector in made.items()]
        insert = self._insert(vectors).on_conflict_do_nothing(index_elements=["key"])
        for some in batches(rows):
            with self.begin() as connection:
                connection.execute(insert, some)

    def delete_vectors(self, *, made_before: datetime, most: int) -> int:
        old = sa.select(vectors.c.key).where(vectors.c.created_at < made_before).order_by(vectors.c.created_at)
        with self.begin() as connection:
            return connection.execute(sa.delete(vectors).where(vectors.c.key.in_(old.limit(most)))).rowcount


def _packed(vector: Vector) -> bytes:
    return _little_endian(array("f", vector)).tobytes()


def _unpacked(numbers: bytes) -> Vector:
    vector = array("f")
    vector.frombytes(numbers)
    return _little_endian(vector)


def _little_endian(vector: Vector) -> Vector:
    """The same numbers in the other order of bytes, or back, where this machine has the other one."""
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
