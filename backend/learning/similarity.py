"""Which options are most like a text: TF-IDF cosine over words and over characters.

Words (one and two in a row) find the terms that a text and a class's name share; characters (three to five, within
words) find them under another ending or spelling. Both know only the letters, not the meaning: "money back" is not
like "refund". The weights are fitted on the options alone, for a term that no option has cannot change their order.

scikit-learn takes about a second and 120 MB to import, so that it is imported where it is first needed. Processes
that will fork call `load` before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_QUERY_CHARS = 20_000  # what of a long text is compared: 20 ms of work
MAX_OPTION_CHARS = 200
MAX_LIST_CHARS = 600_000  # of all options together: tasks can bring lists along, and their terms are kept in memory
# The terms: words, one and two in a row, and characters, three to five within words; of `words_of` a text.
KINDS: tuple[dict[str, Any], ...] = (
    {"ngram_range": (1, 2), "tokenizer": str.split, "token_pattern": None, "lowercase": False},
    {"analyzer": "char_wb", "ngram_range": (3, 5), "lowercase": False},
)
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_NO_WORD = re.compile(r"[\W_]+")


def ranking(query: str, options: Sequence[str]) -> tuple[int, ...]:
    """The indexes of `options`, the most similar to `query` first; the equally similar in their own order.

    The same input gives the same order. A query that shares nothing with any option leaves them as they are.
    """
    similarity = _fitted(tuple(options)).similarity(query) if options else []
    return tuple(sorted(range(len(options)), key=lambda index: -similarity[index]))


def load() -> None:
    """Import what `ranking` needs."""
    import sklearn.feature_extraction.text  # noqa: F401


def words_of(text: str) -> str:
    """Words in lower case, parted by spaces: snake_case and camelCase come apart."""
    return _NO_WORD.sub(" ", _HUMP.sub(" ", text)).strip().lower()


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """The options of one list as rows of two sparse matrices, each row of length 1."""

    spaces: tuple[tuple[Any, Any], ...]  # (vectorizer, its transposed matrix), one a kind of term
    count: int

    def similarity(self, query: str) -> list[float]:
        """Of each option: the sum of its cosines, rounded so that equal ones are equal on every machine."""
        words = words_of(query[:MAX_QUERY_CHARS])
        total = [0.0] * self.count
        for vectorizer, matrix in self.spaces:
            cosines = (vectorizer.transform([words]) @ matrix).tocoo()
            for index, cosine in zip(cosines.col.tolist(), cosines.data.tolist(), strict=True):
                total[index] += cosine
        return [round(value, 9) for value in total]


@lru_cache(maxsize=4)
def _fitted(options: tuple[str, ...]) -> _Fitted:
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = min(MAX_OPTION_CHARS, MAX_LIST_CHARS // len(options))
    words = [words_of(option[:most]) for option in options]
    if not any(words):  # nothing but punctuation: a vectorizer has no vocabulary then
        return _Fitted(spaces=(), count=len(options))
    vectorizers = [TfidfVectorizer(**kind) for kind in KINDS]
    return _Fitted(
        spaces=tuple((vectorizer, vectorizer.fit_transform(words).T.tocsr()) for vectorizer in vectorizers),
        count=len(options),
    )
