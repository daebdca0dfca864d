"""Which tasks of a project are nearly the same, so that nobody has to answer one question twenty times.

Two texts are near duplicates when they share about four fifths of their words and pairs of neighbouring words (cosine
of 0.8; each counts once, in whatever case; any number is as good as another). Texts are looked at in their order: each
joins the most similar of the texts that lead a cluster, or leads one of its own. So a text is always nearly the same
as its leader, clusters do not grow into chains, and later texts leave the earlier ones' clusters as they are.

Two texts that are so similar have one of the rarest 36 % of the first one's terms in common, for the others alone
cannot bring the cosine to 0.8: only texts that have are compared. Of these terms the eight rarest count, and others
that few texts have, so that long texts in everyday words take no longer; next to no pair is missed by that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from backend.learning.example_pool import says
from backend.learning.student import same_text, words_in

if TYPE_CHECKING:
    import numpy as np

NEAR = 0.8  # the least cosine of a text with its leader
MAX_CHARS = 2_000  # of a text, what is compared: time and memory are in proportion
MOST_TEXTS = 20_000  # different ones; of more, the last join only what says the same
_FEW = 100  # texts that have a term: fewer share it than are worth passing over
_ALWAYS = 8  # of a text's rarest terms, so many count however many texts have them
_ROWS = 500  # texts that are looked at together
_PAIRS = 20_000  # that are compared together
_TERMS = 2**20  # numbers that terms are hashed to
_DIGITS = re.compile(r"\d+")


def clusters(texts: Sequence[str]) -> list[int]:
    """For each text the index of the one that leads its cluster, often itself. A text that says nothing is a cluster
    of its own."""
    first: dict[str, int] = {}
    same = [first.setdefault(said, index) if (said := says(text)) else index for index, text in enumerate(texts)]
    compared = list(first.values())[:MOST_TEXTS]
    rows = _leaders([texts[index] for index in compared])
    leader = {index: compared[row] for index, row in zip(compared, rows, strict=True)}
    return [leader.get(index, index) for index in same]


def _leaders(texts: Sequence[str]) -> list[int]:
    """For each row the row of its leader."""
    import numpy as np

    found = np.arange(len(texts))
    if len(texts) < 2:
        return list(range(len(texts)))
    terms = _vectorizer().transform(texts)
    rare = _rarest(terms)
    for start in range(0, len(texts), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(texts)))
        _join(found, *_near(terms, rare, rows, np.flatnonzero(found[:start] == np.arange(start))))
        left = rows[found[rows] == rows]
        _join(found, *_near(terms, rare, left, left))
    return [int(row) for row in found]


def _join(found: np.ndarray[Any, Any], rows: Any, leaders: Any, cosines: Any) -> None:
    """Let each row, the first one first, join the most similar of what leads by then; of several, the first."""
    import numpy as np

    for place in np.lexsort((leaders, -cosines, rows)):
        row, leader = rows[place], leaders[place]
        if leader < row and found[row] == row and found[leader] == leader:
            found[row] = leader


def _near(terms: Any, rare: Any, rows: np.ndarray[Any, Any], others: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    """The pairs of these rows and others that are near duplicates, with their cosines."""
    import numpy as np

    pairs = (rare[rows] @ terms[others].T).tocoo()
    one, other = rows[pairs.row], others[pairs.col]
    kept = one > other
    one, other = one[kept], other[kept]
    cosines = np.zeros(len(one))
    for start in range(0, len(one), _PAIRS):
        part = slice(start, start + _PAIRS)
        cosines[part] = np.asarray(terms[one[part]].multiply(terms[other[part]]).sum(axis=1)).ravel()
    near = np.round(cosines, 9) >= NEAR
    return one[near], other[near], cosines[near]


def _rarest(terms: Any) -> Any:
    """Of each row the terms that the fewest rows have, by which its near duplicates are looked for."""
    import numpy as np

    counts = np.diff(terms.indptr)
    of_row = np.repeat(np.arange(len(counts)), counts)
    rows_with = terms.getnnz(axis=0)[terms.indices]
    order = np.lexsort((terms.indices, rows_with, of_row))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order)) - np.repeat(terms.indptr[:-1], counts)
    rare = terms.copy()
    enough = rank > (counts * (1 - NEAR**2))[of_row]  # the length of these and the next ones is below `NEAR`
    rare.data[enough | ((rank >= _ALWAYS) & (rows_with > _FEW))] = 0
    rare.eliminate_zeros()
    return rare


@lru_cache(maxsize=1)
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(analyzer=_terms, n_features=_TERMS, binary=True, alternate_sign=False, norm="l2")


def _terms(text: str) -> list[str]:
    words = words_in(_DIGITS.sub("0", same_text(text[:MAX_CHARS]))) or [says(text)]
    return [*words, *map(" ".join, pairwise(words))]
