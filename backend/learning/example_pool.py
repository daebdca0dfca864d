"""Verified tasks that may stand in a prompt as examples, and which of them do for one task.

By similarity: TF-IDF over words and over characters, as options are compared (`learning.similarity`); or vectors that
somebody else made of the texts; or by lot. The same pool gives the same choice, however it grew: terms are hashed, so
that none needs a vocabulary, and their weights are those of the pool as it is.

A task is never its own example, nor is what says the same up to case, punctuation and space.

Balance: of one label there are at most half of the examples, rounded up, as long as others are there; by lot, a label
comes a second time only after every other one has come. Without it the examples of a frequent label crowd out those
that would show the difference; more of it would crowd out the similar ones, which are worth more (arXiv 2504.15022).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from backend.core.values import JSON
from backend.learning.similarity import KINDS, words_of
from backend.learning.student import same_text, words_in

if TYPE_CHECKING:
    import numpy as np

MAX_CHARS = 1_000  # of a text, what is compared: time and memory are in proportion
MAX_SAME_CHARS = 20_000  # of a text, by what its duplicates are found
_FEATURES = 2**18  # of each kind of term: few of them share a number
_DIGITS = 6  # of a similarity: what is equal but for rounding goes by age


@dataclass(frozen=True, kw_only=True)
class PoolTask:
    """A verified task."""

    task_id: int
    text: str  # as it is shown to the model
    answer: Mapping[str, JSON]  # control -> value, as a reply would have it
    data: Mapping[str, JSON] = field(default_factory=dict)  # what the labeling config shows
    label: str | None = None  # by which examples are balanced; None: this task's are not

    @cached_property
    def same_as(self) -> str:
        return says(self.text)


def says(text: str) -> str:
    """What two texts have in common that differ in case, punctuation, space and the way of writing characters only."""
    plain = same_text(text[:MAX_SAME_CHARS])
    return " ".join(words_in(plain)) or plain


class ExamplePool:
    """Tasks by their ids; it never changes, and a grown one shares its work."""

    def __init__(self, tasks: Iterable[PoolTask] = (), *, _before: ExamplePool | None = None) -> None:
        self.tasks = tuple(sorted({task.task_id: task for task in tasks}.values(), key=lambda task: task.task_id))
        self._made: tuple[Mapping[int, Sequence[float]], tuple[int, int], list[int], Any] | None = None
        counted = _before is None or "_counts" in _before.__dict__
        # The nearest one before it whose terms were counted.
        self._before: ExamplePool | None = _before if counted or _before is None else _before._before

    def changed(self, tasks: Iterable[PoolTask], without: Collection[int] = ()) -> ExamplePool:
        """The pool with these tasks, some of them perhaps in the place of older ones, and `without` others."""
        kept = {task.task_id: task for task in self.tasks if task.task_id not in without}
        return ExamplePool((kept | {task.task_id: task for task in tasks}).values(), _before=self)

    def choose(
        self,
        task_id: int,
        text: str,
        count: int,
        *,
        selector: str,
        seed: int = 0,
        usable: Callable[[PoolTask], bool] = lambda _: True,
        vectors: Mapping[int, Sequence[float]] | None = None,
        vector: Sequence[float] | None = None,
    ) -> tuple[PoolTask, ...]:
        """At most `count` examples for a task, the most similar first; by lot ("random"), in the lot's order.

        Those that are not `usable` are passed over, and so is every second task that says the same. With "embeddings",
        `vectors` are those of the pool's tasks, and `vector` is the text's; tasks without one as long are left out.
        """
        if selector == "random":
            order, most = self._lot(text, seed), 1
        elif selector == "embeddings":
            order, most = self._nearest(vectors or {}, vector), -(-count // 2)
        elif selector == "tfidf":
            order, most = self._similar(text), -(-count // 2)
        else:
            raise ValueError(f"there is no selector {selector!r}")
        own = says(text)
        others = (task for task in order if task.task_id != task_id and task.same_as != own)
        return tuple(_balanced(_different(filter(usable, others)), count, most))

    def _lot(self, text: str, seed: int) -> Iterator[PoolTask]:
        """In an order that depends on the text, not on the task's id: tasks that are alike are asked alike."""
        import numpy as np

        chance = np.random.default_rng([seed, zlib.crc32(text.encode("utf-8", "surrogatepass"))])
        return (self.tasks[index] for index in chance.permutation(len(self.tasks)))

    def _similar(self, text: str) -> Iterator[PoolTask]:
        import numpy as np

        total = np.zeros(len(self.tasks))
        asked = _counted([text]) if self.tasks else ()
        for counts, space in zip(asked, self._spaces, strict=True):
            total += space.cosines(counts)
        return self._in_order(total)

    def _nearest(self, vectors: Mapping[int, Sequence[float]], vector: Sequence[float] | None) -> Iterator[PoolTask]:
        import numpy as np

        if vector is None or not len(vector):
            return iter(())
        known, rows = self._rows(vectors, len(vector))
        length = float(np.linalg.norm(vector))
        total = np.full(len(self.tasks), -np.inf)
        if known:
            total[known] = rows @ (np.array(vector, dtype=np.float32) / (length or 1.0))
        return islice(self._in_order(total), len(known))

    def _rows(self, vectors: Mapping[int, Sequence[float]], length: int) -> tuple[list[int], Any]:
        """Places of the tasks that have a vector of this length, and these as rows of length 1. Made once, as long as
        it is the same mapping and none is added to it."""
        import numpy as np

        made = self._made
        if made is None or made[0] is not vectors or made[1] != (len(vectors), length):
            known = [n for n, task in enumerate(self.tasks) if len(vectors.get(task.task_id, ())) == length]
            rows = np.array([vectors[self.tasks[n].task_id] for n in known], dtype=np.float32).reshape(-1, length)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
            made = self._made = (vectors, (len(vectors), length), known, rows)
        return made[2], made[3]

    def _in_order(self, similarity: np.ndarray[Any, Any]) -> Iterator[PoolTask]:
        """The most similar first; the equally similar from the newest task to the oldest."""
        import numpy as np

        found = np.lexsort((-np.arange(len(self.tasks)), -np.round(similarity, _DIGITS)))
        return (self.tasks[index] for index in found)

    @cached_property
    def _spaces(self) -> tuple[_Space, ...]:
        return tuple(_Space.of(counts) for counts in self._counts) if self.tasks else ()

    @cached_property
    def _counts(self) -> tuple[Any, ...]:
        """How often each term is in each task: a sparse matrix for each kind of term, a row a task."""
        from scipy.sparse import vstack

        before, self._before = self._before, None  # what it took is taken over: the old pool may go
        known = {task.text: row for row, task in enumerate(before.tasks)} if before is not None else {}
        old = [place for place, task in enumerate(self.tasks) if task.text in known]
        new = [place for place, task in enumerate(self.tasks) if task.text not in known]
        counted = _counted([self.tasks[place].text for place in new]) if new else (None,) * len(KINDS)
        if before is None or not old:
            return counted
        rows = [known[self.tasks[place].text] for place in old]
        places = sorted(range(len(self.tasks)), key=[*old, *new].__getitem__)
        both = zip(before._counts, counted, strict=True)
        kept = [(own[rows], added) for own, added in both]
        return tuple(vstack([a, b], format="csr")[places] if b is not None else a[places] for a, b in kept)


@dataclass(frozen=True, kw_only=True)
class _Space:
    """The pool by one kind of term, weighted as scikit-learn weights them."""

    weights: np.ndarray[Any, Any]  # of each term: the rarer, the more
    by_term: Any  # a row a term, a column a task, each column of length 1

    @classmethod
    def of(cls, counts: Any) -> _Space:
        from sklearn.feature_extraction.text import TfidfTransformer

        tfidf = TfidfTransformer()
        matrix = tfidf.fit_transform(counts)
        return cls(weights=tfidf.idf_, by_term=matrix.T.tocsr())

    def cosines(self, counts: Any) -> np.ndarray[Any, Any]:
        """Of a text with these counts, with each task. Only the rows of its own terms are looked at."""
        import numpy as np

        weights = counts.data * self.weights[counts.indices]
        length = float(np.linalg.norm(weights))
        if not length:
            return np.zeros(self.by_term.shape[1])
        found: np.ndarray[Any, Any] = (weights / length) @ self.by_term[counts.indices]
        return found


def _counted(texts: Sequence[str]) -> tuple[Any, ...]:
    words = [words_of(text[:MAX_CHARS]) for text in texts]
    return tuple(vectorizer.transform(words) for vectorizer in _vectorizers())


@lru_cache(maxsize=1)
def _vectorizers() -> tuple[Any, ...]:
    from sklearn.feature_extraction.text import HashingVectorizer

    return tuple(HashingVectorizer(**kind, n_features=_FEATURES, alternate_sign=False, norm=None) for kind in KINDS)


def _different(tasks: Iterable[PoolTask]) -> Iterator[PoolTask]:
    """Of tasks that say the same the first."""
    seen: set[str] = set()
    for task in tasks:
        if task.same_as not in seen:
            seen.add(task.same_as)
            yield task


def _balanced(tasks: Iterator[PoolTask], count: int, most: int) -> list[PoolTask]:
    """The first `count`, of one label at most `most`; then what was passed over for that, label by label in turn."""
    chosen: list[PoolTask] = []
    passed: list[PoolTask] = []
    used = Counter[str | None]()
    for task in tasks:
        if len(chosen) == count:
            return chosen
        free = task.label is None or used[task.label] < most
        (chosen if free else passed).append(task)
        used[task.label] += free
    for _ in range(min(count - len(chosen), len(passed))):
        fewest = min(passed, key=lambda task: used[task.label])  # the first of these
        passed.remove(fewest)
        chosen.append(fewest)
        used[fewest.label] += 1
    return chosen
