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
_TAKEN, _OWN = b"\1", b"\2"  # where a quote stands: another one, or one of those that are looked for

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
    before the folded forms, a free place before one that a longer quote has a part of. A quote that is given several
    times takes its occurrences in reading order. A quote begins and ends with a whole character, its marks, emoji
    modifiers and joined emoji included.
    """
    same: dict[str, list[int]] = {}  # folded quote -> where it is given
    for index, quote in enumerate(quotes):
        wanted = fold(quote.strip())[0].strip()
        if wanted:
            same.setdefault(wanted, []).append(index)
    haystack = _Haystack(text)
    answers: list[Place | None] = [None] * len(quotes)
    for wanted, given in sorted(same.items(), key=lambda group: -len(group[0])):
        forms = [quotes[index].strip() for index in given]
        for index, place in _dealt(given, forms, haystack.take(forms, wanted), text):
            answers[index] = place
    return answers


def _dealt(
    given: Sequence[int], forms: Sequence[str], places: Sequence[Place], text: str
) -> Iterator[tuple[int, Place]]:
    """Each quote with its place: in reading order, but first those that stand in the text letter by letter."""
    if len(set(forms)) == 1:
        yield from zip(given, places, strict=False)  # fewer places than quotes: the last ones have none
        return
    left, other = list(places), list[int]()
    for index, form in zip(given, forms, strict=True):
        place = next((place for place in left if text[slice(*place)] == form), None)
        if place is None:
            other.append(index)
        else:
            left.remove(place)
            yield index, place
    yield from zip(other, left, strict=False)


class _Haystack:
    """A text to find quotes in; folded only when a quote does not stand in it letter by letter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._taken = bytearray(len(text))

    @cached_property
    def _folded(self) -> tuple[str, list[int]]:
        return fold(self._text)

    @cached_property
    def _ends(self) -> dict[int, int]:
        return dict(_clusters(self._text))

    def take(self, forms: Sequence[str], wanted: str) -> list[Place]:
        """Places for quotes of the folded form `wanted`, one each as far as there are any, in reading order."""
        for whole in (True, False):
            free: list[Place] = []
            shared: dict[Place, None] = {}
            for begin, end in chain(*map(self._exact, dict.fromkeys(forms)), self._as_folded(wanted)):
                if whole and not (_is_boundary(self._text, begin) and _is_boundary(self._text, end)):
                    continue
                if not any(self._taken[begin:end]):
                    self._taken[begin:end] = _OWN * (end - begin)
                    free.append((begin, end))
                elif _OWN not in self._taken[begin:end]:
                    shared[begin, end] = None
                if len(free) == len(forms):
                    break
            found = _apart(sorted([*free, *shared][: len(forms)]))
            for begin, end in (*free, *found):
                self._taken[begin:end] = _TAKEN * (end - begin)
            if found:
                return found
        return []

    def _exact(self, quote: str) -> Iterator[Place]:
        at = self._text.find(quote)
        while at >= 0:
            end = at + len(quote)
            if not _continues(self._text, at) and not _continues(self._text, end):
                yield at, end
            at = self._text.find(quote, at + 1)

    def _as_folded(self, wanted: str) -> Iterator[Place]:
        folded, origin = self._folded
        at = folded.find(wanted)
        while at >= 0:
            last = at + len(wanted) - 1
            begins_cluster = at == 0 or origin[at - 1] != origin[at]
            ends_cluster = last + 1 == len(origin) or origin[last + 1] != origin[last]
            if begins_cluster and ends_cluster:
                yield origin[at], self._ends[origin[last]]
            at = folded.find(wanted, at + 1)


def _apart(places: Sequence[Place]) -> list[Place]:
    """Without those that begin inside the one before."""
    kept: list[Place] = []
    for place in places:
        if not kept or place[0] >= kept[-1][1]:
            kept.append(place)
    return kept


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
