"""Quoted text -> offsets. The model quotes, we find; nothing is placed approximately.

Offsets are Unicode code points (Python's own), which is what Label Studio's editor counts on `<Text>`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_QUOTES = {"‘": "'", "’": "'", "‚": "'", "‛": "'", "`": "'", "´": "'"}
_QUOTES |= {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'}
_DASHES = {"‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-"}
_SAME = _QUOTES | _DASHES


def fold(text: str) -> tuple[str, list[int]]:
    """`text` with case, compatibility forms, quotes, dashes and runs of whitespace folded, and an offset map.

    The map has one entry a folded character: the index in `text` that it came from. One character may fold to
    several ('İ' in lower case is two, 'ß' casefolds to 'ss'), which is why offsets are never taken from
    `text.lower()`. Combining marks are kept with their letter by composing each cluster on its own.
    """
    out: list[str] = []
    origin: list[int] = []
    for begin, end in _clusters(text):
        cluster = text[begin:end]
        if cluster.isspace():
            folded = "" if out and out[-1] == " " else " "
        else:
            folded = unicodedata.normalize("NFKC", _SAME.get(cluster, cluster)).casefold()
        out.extend(folded)
        origin.extend([begin] * len(folded))
    return "".join(out), origin


def _clusters(text: str) -> list[tuple[int, int]]:
    """Half-open ranges of one base character with the combining marks that follow it."""
    starts = [i for i, c in enumerate(text) if i == 0 or not unicodedata.combining(c)]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def find_quotes(text: str, quotes: Sequence[str]) -> list[tuple[int, int] | None]:
    """Where each quote stands in `text`, as half-open code-point ranges; None where it does not.

    A quote that is given several times takes its occurrences in reading order. The exact characters win; else
    the folded forms are compared. A quote must begin and end on a whole character cluster.
    """
    taken: dict[str, int] = {}  # folded quote -> where to look from next
    folded_text, origin = fold(text)
    ends = dict(_clusters(text))
    answers: list[tuple[int, int] | None] = []
    for quote in quotes:
        wanted = fold(quote.strip())[0].strip()
        if not wanted:
            answers.append(None)
            continue
        found = _find_exact(text, quote.strip(), taken.get(wanted, 0)) or _find_folded(
            folded_text, origin, ends, wanted, taken.get(wanted, 0)
        )
        if found is not None:
            taken[wanted] = found[1]
        answers.append(found)
    return answers


def _find_exact(text: str, quote: str, start: int) -> tuple[int, int] | None:
    """Whole-word occurrence first ("Ann" not inside "Anniversary"), else any occurrence."""
    fallback: tuple[int, int] | None = None
    at = text.find(quote, start)
    while at >= 0:
        end = at + len(quote)
        if _is_boundary(text, at) and _is_boundary(text, end):
            return at, end
        if fallback is None and not _splits_cluster(text, at) and not _splits_cluster(text, end):
            fallback = (at, end)
        at = text.find(quote, at + 1)
    return fallback


def _find_folded(
    folded: str, origin: list[int], ends: dict[int, int], wanted: str, start: int
) -> tuple[int, int] | None:
    at = folded.find(wanted)
    while at >= 0:
        last = at + len(wanted) - 1
        begins_cluster = at == 0 or origin[at - 1] != origin[at]
        ends_cluster = last + 1 == len(origin) or origin[last + 1] != origin[last]
        if origin[at] >= start and begins_cluster and ends_cluster:
            return origin[at], ends[origin[last]]
        at = folded.find(wanted, at + 1)
    return None


def _splits_cluster(text: str, at: int) -> bool:
    return 0 < at < len(text) and bool(unicodedata.combining(text[at]))


def _is_boundary(text: str, at: int) -> bool:
    if at in (0, len(text)):
        return True
    return not _splits_cluster(text, at) and not (_is_word(text[at - 1]) and _is_word(text[at]))


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
