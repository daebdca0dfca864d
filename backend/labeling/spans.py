"""Quoted text -> offsets. The model quotes, we find; nothing is placed approximately.

Offsets are Unicode code points (Python's own), which is what Label Studio's editor counts on `<Text>`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, pairwise

_QUOTES = {"‘": "'", "’": "'", "‚": "'", "‛": "'", "`": "'", "´": "'"}
_QUOTES |= {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'}
_DASHES = {"‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-"}
_SAME = _QUOTES | _DASHES
_JOINER = "\u200d"
_NON_JOINER = "\u200c"
_STYLES = {0xFE0E: None, 0xFE0F: None}  # text or emoji style: models leave them out

Place = tuple[int, int]


def fold(text: str) -> tuple[str, list[int]]:
    """`text` with case, compatibility forms, quotes, dashes and runs of whitespace folded, and an offset map.

    The map has one entry a folded character: the index in `text` that it came from. One character may fold to
    several ('İ' in lower case is two, 'ß' casefolds to 'ss'), which is why offsets are never taken from
    `text.lower()`. Marks are kept with their letter by composing each cluster on its own.
    """
    out: list[str] = []
    origin: list[int] = []
    for begin, end in _clusters(text):
        cluster = text[begin:end]
        if cluster.isspace():
            folded = "" if out and out[-1] == " " else " "
        elif _is_invisible(cluster):
            folded = ""
        else:
            plain = _SAME.get(cluster, cluster).translate(_STYLES)
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())
        out.extend(folded)
        origin.extend([begin] * len(folded))
    return "".join(out), origin


def find_quotes(text: str, quotes: Sequence[str]) -> list[Place | None]:
    """Where each quote stands in `text`, as half-open code-point ranges; None where it does not.

    Whole words first ("Ann" is not looked for inside "Anniversary" where it also stands alone), the exact characters
    before the folded forms, a free place before one that another quote has a part of. A quote that is given several
    times takes its occurrences in reading order. A quote begins and ends with a whole character, its marks, emoji
    modifiers and joined emoji included.
    """
    haystack = _Haystack(text)
    taken = bytearray(len(text))  # 1 where a quote stands
    last: dict[str, tuple[Place, bool]] = {}  # folded quote -> its latest place, and whether whole words
    answers: list[Place | None] = []
    for quote in quotes:
        exact = quote.strip()
        wanted = fold(exact)[0].strip()
        found = None
        if wanted:
            place, whole = last.get(wanted, ((0, 0), True))
            found = haystack.find(exact, wanted, place[1], taken, whole=True) if whole else None
            if found is None and not (whole and wanted in last):
                whole, found = False, haystack.find(exact, wanted, place[1], taken, whole=False)
            if found is not None:
                last[wanted] = found, whole
                taken[slice(*found)] = b"\1" * (found[1] - found[0])
        answers.append(found)
    return answers


class _Haystack:
    """A text to find quotes in; folded only when a quote does not stand in it letter by letter."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _folded(self) -> tuple[str, list[int]]:
        return fold(self._text)

    @cached_property
    def _ends(self) -> dict[int, int]:
        return dict(_clusters(self._text))

    def find(self, exact: str, wanted: str, start: int, taken: bytearray, *, whole: bool) -> Place | None:
        """The first free place from `start` on, else the first one that is partly `taken`."""
        first: Place | None = None
        for begin, end in chain(self._exact(exact, start), self._as_folded(wanted, start)):
            if not whole or (_is_boundary(self._text, begin) and _is_boundary(self._text, end)):
                if taken.find(1, begin, end) < 0:
                    return begin, end
                first = first or (begin, end)
        return first

    def _exact(self, quote: str, start: int) -> Iterator[Place]:
        at = self._text.find(quote, start)
        while at >= 0:
            end = at + len(quote)
            if not _continues(self._text, at) and not _continues(self._text, end):
                yield at, end
            at = self._text.find(quote, at + 1)

    def _as_folded(self, wanted: str, start: int) -> Iterator[Place]:
        folded, origin = self._folded
        at = folded.find(wanted)
        while at >= 0:
            last = at + len(wanted) - 1
            begins_cluster = at == 0 or origin[at - 1] != origin[at]
            ends_cluster = last + 1 == len(origin) or origin[last + 1] != origin[last]
            if origin[at] >= start and begins_cluster and ends_cluster:
                yield origin[at], self._ends[origin[last]]
            at = folded.find(wanted, at + 1)


def _clusters(text: str) -> list[Place]:
    """Half-open ranges of one character as a reader sees it: a base with all that belongs to it."""
    starts = [i for i, c in enumerate(text) if (c < "\u0300" and text[i - 1] != _JOINER) or not _continues(text, i)]
    return list(pairwise([*starts, len(text)]))


def _continues(text: str, at: int) -> bool:
    """Whether the code point at `at` belongs to the character before it: a mark, a joiner, or what it joins."""
    if not 0 < at < len(text) or text[at - 1].isspace():
        return False
    character = text[at]
    return (
        unicodedata.category(character)[0] == "M"
        or character in (_JOINER, _NON_JOINER)
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or (text[at - 1] == _JOINER and unicodedata.category(character)[0] in "LS")
    )


def _is_invisible(cluster: str) -> bool:
    """A soft hyphen, a zero-width space, a mark of direction: models leave them out. Not the tags of a flag."""
    return (
        len(cluster) == 1
        and cluster < "\U000e0000"
        and cluster not in (_JOINER, _NON_JOINER)
        and (unicodedata.category(cluster) == "Cf")
    )


def _is_boundary(text: str, at: int) -> bool:
    return at in (0, len(text)) or not (_is_word(text[at - 1]) and _is_word(text[at]))


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
