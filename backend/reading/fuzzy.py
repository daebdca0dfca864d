"""The option that was misspelled, where there can be no other: "positve" is "positive".

Counted in slips of the pen: a letter too many, missing, wrong, or two swapped (optimal string alignment). A slip is
believed only inside a word of at least five letters whose first letter is right, one a word: so a missing or added
word is none ("not entailment"), nor a prefix that turns the meaning round ("non-positive", "untypical", "atypical"),
nor a sign or digit ("HIV+", "grade 2"). The threshold is two slips, each in a word of its own, and one in a label of a
single word. The margin: every other option must be at least two slips further away.

Measured on the 359 label sets of real labeling configs and corpora (1,511 labels, up to 77 a set): a label that is left
out of its set is never read as another one, and of all 752 labels together only three pairs are slips of each other,
which are one word spelled twice. Of random slips in labels of five letters and more 63 % are read; the others, most of
them in first letters, short words and the narrow margin between alike labels, are asked again. Jaro-Winkler at 0.6, as
MEGAnno+ has it, reads "non-positive" (0.85) as "positive".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rapidfuzz.distance import OSA

_LEAST_LETTERS = 5
_MOST_SLIPS = 2
_MARGIN = 2
_MAX_CHARS = 300

Table = Mapping[str, frozenset[str]]


def nearest(wanted: str, *tables: Table) -> frozenset[str] | None:
    """The values of the one spelling that `wanted` is a slip of; all are normalised. None where there is none."""
    if not _LEAST_LETTERS <= len(wanted) <= _MAX_CHARS:
        return None
    reach = _MOST_SLIPS + _MARGIN
    near = [
        (distance, spelling, values)
        for spelling, values in _pairs(tables)
        if (distance := OSA.distance(wanted, spelling, score_cutoff=reach)) < reach
    ]
    if not near:
        return None
    best, spelling, values = min(near, key=lambda one: one[0])
    rivals = [distance for distance, _, others in near if others != values]
    if len(values) != 1 or not _is_slip(wanted, spelling) or (rivals and min(rivals) - best < _MARGIN):
        return None
    return values


def _pairs(tables: Iterable[Table]) -> Iterable[tuple[str, frozenset[str]]]:
    return (pair for table in tables for pair in table.items())


def _is_slip(wanted: str, spelling: str) -> bool:
    written, right = wanted.split(), spelling.split()
    if len(written) != len(right):
        return False
    wrong = [(w, r) for w, r in zip(written, right, strict=True) if w != r]
    return len(wrong) <= _MOST_SLIPS and all(
        w[0] == r[0]
        and min(len(w), len(r)) >= _LEAST_LETTERS
        and w.isalpha()
        and r.isalpha()
        and OSA.distance(w, r, score_cutoff=1) <= 1
        for w, r in wrong
    )
