"""A small classifier of texts: TF-IDF over words and characters, and logistic regression.

Two uses. Trained on the model's own labels it tells what the other tasks suggest for one ("out of fold": from
a student that has not seen that task), which `backend.confidence.fused` weighs against the model's word. Trained on
verified labels it is an annotator itself, the better one in languages that the model hardly knows.

Words are one and two in a row, characters three to five within words. What is written without spaces between words
(Chinese, Japanese) counts as one word a character, so that two in a row are most of its words. Combining vowel signs
(Devanagari, Arabic) stay in their words.

With many labels it makes do with the most frequent terms, and with some of the texts, so that it learns from them in
about a minute, in some 500 MB.

It is not stored: the same texts, labels and seed give the same student. scikit-learn takes about a second and 120 MB to
import, so that it is imported where it is first needed.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum, log
from typing import Any

from backend.core.folds import drawn, folds

FOLDS = 5
MAX_CHARS = 1_000  # of a text, what the student reads of it: time and memory are in proportion
MAX_TERMS = 100_000  # of each kind, the most frequent ones
MAX_WEIGHTS = 1_000_000  # of the regression, labels times terms of both kinds: it keeps 20 numbers for each
MAX_WORK = 100_000_000  # of one of its steps, labels times terms in all texts: of more texts some are learnt from
MAX_SHARES = 200_000  # probabilities that are told at a time, texts times labels
MAX_STEPS = 100  # of the regression
STRENGTHS = (1.0, 3.0, 10.0, 30.0)  # inverse of its ridge: the one that foretells held-out labels best is taken
USUAL_STRENGTH = 3.0  # with too few texts to choose
TO_CHOOSE = (100, 2_000)  # texts that it takes to choose the strength, and that it is chosen on at most
WORK_TO_CHOOSE = (
    MAX_WORK // 5
)  # as `MAX_WORK`, with which the strength is still chosen: that takes four times as many fits
_LEAST = 1e-3  # a probability below it counts as this much where students are compared
_ALONE = "\u2e80-\u2fff\u3040-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # a word each
_BETWEEN = (  # space and punctuation: ASCII, Latin-1, Arabic, Devanagari, general, Chinese and full width
    "\\s!-/:-@\\[-`{-\u00bf\u060c\u061b\u061f\u06d4\u0964\u0965\u2000-\u206f\u2e00-\u2e7f\u3000-\u303f"
    "\uff00-\uff0f\uff1a-\uff20"
)
_WORD = re.compile(f"[{_ALONE}]|[^{_BETWEEN}{_ALONE}]+")

Probabilities = dict[str, float]  # of each label that the student may give


@dataclass(frozen=True, kw_only=True)
class Student:
    """A trained student, good for as long as the process lives."""

    labels: tuple[str, ...]  # that it has seen, sorted
    _terms: _Terms
    _model: _Model

    def probabilities(self, texts: Sequence[str]) -> list[Probabilities]:
        """For each text the probability of each label. A text without a known term gets what holds for any text."""
        return self._model.probabilities(self._terms.matrix(texts), self.labels) if texts else []


def train(texts: Sequence[str], labels: Sequence[str], *, seed: int) -> Student:
    """A student of these texts, each with its label. One that knows a single label is certain of it.

    Raises ValueError without any text.
    """
    return Lesson.of(texts, labels, seed=seed).student()


def out_of_fold(texts: Sequence[str], labels: Sequence[str], *, seed: int) -> list[Probabilities | None]:
    """For each text the probability of each label, from a student that was trained on other texts only.

    Equal texts, up to case and space, are held out together. Terms and their weights are counted, and the strength is
    chosen, once over all texts. A label that only held-out texts have gets 0. None where there is no other text.
    """
    return Lesson.of(texts, labels, seed=seed).out_of_fold() if texts or labels else []


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Texts with their labels, read once for `train` and `out_of_fold` alike."""

    labels: tuple[str, ...]
    seed: int
    _groups: list[str]
    _terms: _Terms
    _matrix: Any
    _strength: float

    @classmethod
    def of(cls, texts: Sequence[str], labels: Sequence[str], *, seed: int, to_choose: int = TO_CHOOSE[1]) -> Lesson:
        """The strength is chosen on `to_choose` texts at most. Raises ValueError without any text."""
        if not texts or len(texts) != len(labels):
            raise ValueError("a student is trained on texts with one label each")
        groups = [same_text(text) for text in texts]
        terms, matrix = _Terms.fit(texts, labels=len(set(labels)))
        strength = _chosen_strength(matrix, groups, labels, seed, most=to_choose)
        return cls(labels=tuple(labels), seed=seed, _groups=groups, _terms=terms, _matrix=matrix, _strength=strength)

    def student(self) -> Student:
        model = _Model.fit(self._matrix, self.labels, self._strength)
        return Student(labels=tuple(sorted(set(self.labels))), _terms=self._terms, _model=model)

    def out_of_fold(self) -> list[Probabilities | None]:
        """As the function of that name."""
        found: list[Probabilities | None] = [None] * len(self.labels)
        for row, shares in self.held_out():
            found[row] = shares
        return found

    def held_out(self) -> Iterator[tuple[int, Probabilities]]:
        """The same as (number of the text, probabilities), in no order, to take from each what is needed: of many
        texts and labels all of it is gigabytes."""
        fold = folds(self._groups, self.labels, most=FOLDS, seed=self.seed)
        yield from _held_out(self._matrix, self.labels, fold, self._strength)


def _held_out(
    matrix: Any, labels: Sequence[str], fold: Sequence[int], strength: float
) -> Iterator[tuple[int, Probabilities]]:
    known = sorted(set(labels))
    at_once = max(1, MAX_SHARES // max(1, len(known)))
    for number in sorted(set(fold)):
        held_out = [row for row, own in enumerate(fold) if own == number]
        others = [row for row, own in enumerate(fold) if own != number]
        if others:
            model = _Model.fit(matrix[others], [labels[row] for row in others], strength)
            for start in range(0, len(held_out), at_once):
                some = held_out[start : start + at_once]
                yield from zip(some, model.probabilities(matrix[some], known), strict=True)


def _chosen_strength(matrix: Any, groups: Sequence[str], labels: Sequence[str], seed: int, *, most: int) -> float:
    """The strength with which held-out labels are foretold best, on a part of the texts where there are many."""
    least = TO_CHOOSE[0]
    most = max(least, min(most, int(WORK_TO_CHOOSE / _work(matrix, labels))))
    part = folds(groups, labels, most=-(-len(groups) // most), seed=seed)
    rows = [row for row, own in enumerate(part) if own == 0]
    own_labels = [labels[row] for row in rows]
    fold = folds([groups[row] for row in rows], own_labels, most=FOLDS, seed=seed)
    if len(rows) < least or len(set(own_labels)) == 1 or len(set(fold)) < FOLDS:
        return USUAL_STRENGTH

    def likelihood(strength: float) -> float:
        found = _held_out(matrix[rows], own_labels, fold, strength)
        return fsum(log(max(shares[own_labels[row]], _LEAST)) for row, shares in found)

    return max(STRENGTHS, key=likelihood)


def _work(matrix: Any, labels: Sequence[str]) -> float:
    """Of a step of the regression, for each text."""
    return float(max(1.0, len(set(labels)) * matrix.nnz / len(labels)))


def same_text(text: str) -> str:
    """What two texts have in common that differ in case, space and the way of writing characters only."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words_in(text: str) -> list[str]:
    """The words of a text as `same_text` writes it; a character of Chinese or Japanese is one."""
    return _WORD.findall(text)


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """The vocabularies; none where no text has a word or a character."""

    vectorizers: tuple[Any, ...]

    @classmethod
    def fit(cls, texts: Sequence[str], *, labels: int) -> tuple[_Terms, Any]:
        """The vocabularies of the texts, to tell so many labels apart, and the texts in them: a sparse matrix, a row a
        text."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        read = _read(texts)
        same = {"lowercase": False, "max_features": min(MAX_TERMS, max(1, MAX_WEIGHTS // (2 * labels)))}
        kinds = []
        if any(words_in(text) for text in read):
            kinds.append(TfidfVectorizer(tokenizer=words_in, token_pattern=None, ngram_range=(1, 2), **same))
        if any(read):
            kinds.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), **same))
        parts = [kind.fit_transform(read) for kind in kinds]
        return cls(vectorizers=tuple(kinds)), _beside(parts, len(texts))

    def matrix(self, texts: Sequence[str]) -> Any:
        read = _read(texts)
        return _beside([vectorizer.transform(read) for vectorizer in self.vectorizers], len(texts))


def _read(texts: Sequence[str]) -> list[str]:
    return [same_text(text[:MAX_CHARS]) for text in texts]


def _beside(parts: Sequence[Any], rows: int) -> Any:
    from scipy.sparse import csr_matrix, hstack

    return hstack(parts, format="csr") if parts else csr_matrix((rows, 0))


@dataclass(frozen=True, kw_only=True)
class _Model:
    """The regression, or only how frequent each label is where there is nothing to tell labels apart by."""

    frequency: dict[str, float]
    regression: Any | None

    @classmethod
    def fit(cls, matrix: Any, labels: Sequence[str], strength: float) -> _Model:
        import numpy as np
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        most = max(2, int(MAX_WORK / _work(matrix, labels)))
        if len(labels) > most:
            rows = drawn(len(labels), most=most, seed=0)
            matrix, labels = matrix[rows], [labels[row] for row in rows]
        counts = Counter(labels)
        frequency = {label: count / len(labels) for label, count in counts.items()}
        if len(counts) == 1 or not matrix.nnz:
            return cls(frequency=frequency, regression=None)
        regression = LogisticRegression(C=strength, max_iter=MAX_STEPS, tol=1e-3)
        numbers = {label: number for number, label in enumerate(sorted(counts))}
        columns = matrix.getnnz(axis=0).nonzero()[0]  # a term that none of these texts has would get no weight
        # Several threads are no faster here, and several times as slow where others keep the cores busy.
        with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # after `MAX_STEPS` it is good enough
            regression.fit(matrix[:, columns], [numbers[label] for label in labels])
        weights = np.zeros((regression.coef_.shape[0], matrix.shape[1]))
        weights[:, columns] = regression.coef_
        regression.coef_, regression.n_features_in_ = weights, matrix.shape[1]
        return cls(frequency=frequency, regression=regression)

    def probabilities(self, matrix: Any, labels: Sequence[str]) -> list[Probabilities]:
        """A mapping a row, over all `labels`."""
        nothing = dict.fromkeys(labels, 0.0)
        if self.regression is None:
            return [nothing | self.frequency for _ in range(matrix.shape[0])]
        own = sorted(self.frequency)
        return [nothing | dict(zip(own, row, strict=True)) for row in self.regression.predict_proba(matrix).tolist()]
