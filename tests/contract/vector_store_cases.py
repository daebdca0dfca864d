"""What every store must do for vectors of texts."""

from __future__ import annotations

from array import array
from datetime import timedelta

from backend.adapters.sql.store import SqlStore
from backend.ports.embeddings import Vector
from tests.fakes.installation import HandClock


def vector(*numbers: float) -> Vector:
    return array("f", numbers)


class VectorStoreCases:
    """`store` and `clock` are fixtures of the subclass."""

    def test_vectors_come_back_as_they_were(self, store: SqlStore) -> None:
        made = {"a": vector(0.1, -2.5, 1e-30), "b": vector(*[0.25] * 3_000)}
        store.save_vectors(made)
        assert store.vectors(["a", "b", "c"]) == made
        assert store.vectors([]) == {}
        store.save_vectors({})

    def test_of_two_vectors_under_one_key_the_first_stays(self, store: SqlStore) -> None:
        store.save_vectors({"a": vector(1.0)})
        store.save_vectors({"a": vector(2.0), "b": vector(3.0)})
        assert store.vectors(["a", "b"]) == {"a": vector(1.0), "b": vector(3.0)}

    def test_many_vectors_are_found_at_once(self, store: SqlStore) -> None:
        made = {f"{n:064d}": vector(n) for n in range(1_200)}
        store.save_vectors(made)
        assert store.vectors(list(made)) == made

    def test_old_vectors_are_deleted_a_few_at_a_time(self, store: SqlStore, clock: HandClock) -> None:
        store.save_vectors({"a": vector(1.0), "b": vector(1.0), "c": vector(1.0)})
        clock.now += timedelta(days=2)
        store.save_vectors({"d": vector(1.0)})
        before = clock.now - timedelta(days=1)
        assert [store.delete_vectors(made_before=before, most=2) for _ in range(3)] == [2, 1, 0]
        assert list(store.vectors(["a", "b", "c", "d"])) == ["d"]
