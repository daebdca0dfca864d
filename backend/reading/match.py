"""Which option a model meant by a string, in named steps: exact, normalised, fuzzy. Never simply the nearest one.

Options are given as `Spelled`: the value to return and everything that counts as it. The name that the model was shown
goes before every other spelling, and what is one option's name is no other option's spelling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from backend.reading.fuzzy import nearest

_MAX_CHARS = 2_000  # a longer answer is compared letter by letter only: no label is that long
_SIGN_OF_NUMBER = re.compile(r"(?<!\w)[-\u2010-\u2013](?=\d)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}+)(?![\s*])([^*]*+)(?<!\s)\1(?![\w*])")
_TRAILING_MINUS = re.compile(r"(?<=\w)[-\u2010-\u2013](?!\w)")
_TRAILING_STAR = re.compile(r"(?<=\w)\*(?!\w)")
_LEADING_NOT = re.compile(r"!(?=\w)")
_WRAPPING = dict(zip("\"'`*_~([{<“‘„«「『|", "\"'`*_~)]}>”’“»」』|", strict=True))
_AFTER = ".,;:。।、…"


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """A label's value and the ways in which a model may write it (the value itself is always one)."""

    value: str
    name: str | None = None  # what the model was shown; None: the value
    spellings: tuple[str, ...] = ()
    description: str | None = None  # a model that answers with the whole of it means the label

    @property
    def shown(self) -> str:
        return self.value if self.name is None else self.name

    @property
    def all_spellings(self) -> tuple[str, ...]:
        """The name first. Some may be another option's: `spellings_of` leaves those out."""
        return tuple(dict.fromkeys((self.shown, self.value, *self.spellings)))


@dataclass(frozen=True, kw_only=True)
class Match:
    """The option that was meant and the step that found it."""

    value: str
    step: str  # "exact", "normalised" or "fuzzy"


def spellings_of(options: Sequence[Spelled]) -> dict[str, tuple[str, ...]]:
    """For each value what a model may write for it, its name first; another option's name is left out."""
    names = {o.shown for o in options}
    folded = {normalised(name) for name in names}
    return {
        o.value: (o.shown, *(s for s in o.all_spellings[1:] if s not in names and normalised(s) not in folded))
        for o in options
    }


def match_option(text: str, options: Sequence[Spelled]) -> Match | None:
    """The option that `text` names, or None where none or more than one does."""
    index = _index(tuple(options))
    for table in (index.names, index.others):
        if text in table:
            return _one(table[text], "exact")
    if len(text) > _MAX_CHARS or (text.rstrip().endswith("?") and not index.asks):
        return None  # "positive?" is a question
    for fold, tables in ((_lightly, index.lightly), (normalised, index.normalised)):
        wanted = fold(text)
        for table in tables:
            if wanted and wanted in table:
                return _one(table[wanted], "normalised")
    return _one(nearest(normalised(text), index.normalised[0], index.normalised[1]), "fuzzy")


@lru_cache(maxsize=4096)
def normalised(text: str) -> str:
    """Case-folded NFKC with punctuation as spaces and runs of spaces as one.

    Works on every script: letters, marks and digits of any alphabet are kept, as are symbols and `#` ("C++", "C#"),
    the sign of a number ("-1" is not "1"), a sign after a word ("HIV-" is not "HIV", "A*" is not "A") and the
    exclamation mark of a denial ("!spam"), each as a symbol of its own.
    """
    folded = _EMPHASIS.sub(r"\2", _unwrapped(_folded(text)))
    folded = _SIGN_OF_NUMBER.sub("\N{MINUS SIGN}", folded)
    folded = _TRAILING_MINUS.sub("\N{MINUS SIGN}", folded)
    folded = _TRAILING_STAR.sub("\N{ASTERISK OPERATOR}", folded)
    folded = _LEADING_NOT.sub("\N{NOT SIGN}", folded)
    kept = "".join(c if unicodedata.category(c)[0] in "LMNS" or c == "#" else " " for c in folded)
    return " ".join(kept.split())


@dataclass(frozen=True, kw_only=True)
class _Index:
    """Spellings -> values; names apart from the others, which only count where no name is meant."""

    names: Mapping[str, frozenset[str]]
    others: Mapping[str, frozenset[str]]
    lightly: tuple[Mapping[str, frozenset[str]], Mapping[str, frozenset[str]]]
    normalised: tuple[Mapping[str, frozenset[str]], Mapping[str, frozenset[str]]]
    asks: bool  # an option ends with a question mark


@lru_cache(maxsize=64)
def _index(options: tuple[Spelled, ...]) -> _Index:
    known = spellings_of(options)
    names = [(o.shown, o.value) for o in options]
    others = [(s, value) for value, spellings in known.items() for s in spellings[1:]]
    for o in options:
        if o.description:
            others += [(o.description, o.value), (f"{o.shown}: {o.description}", o.value)]
    others = [(s, value) for s, value in others if s not in {name for name, _ in names}]
    return _Index(
        names=_table(names, str),
        others=_table(others, str),
        lightly=(_table(names, _lightly), _table(others, _lightly)),
        normalised=(_table(names, normalised), _table(others, normalised)),
        asks=any(s.rstrip().endswith("?") for s, _ in names + others),
    )


def _table(pairs: Iterable[tuple[str, str]], fold: Callable[[str], str]) -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for spelling, value in pairs:
        table.setdefault(fold(spelling), set()).add(value)
    return {spelling: frozenset(values) for spelling, values in table.items()}


def _one(values: frozenset[str] | None, step: str) -> Match | None:
    return Match(value=next(iter(values)), step=step) if values and len(values) == 1 else None


def _lightly(text: str) -> str:
    """Case, quotes around it and the full stop after it folded; punctuation inside kept."""
    return " ".join(_unwrapped(_folded(text)).split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _unwrapped(text: str) -> str:
    """Without the quotes, brackets or emphasis that stand around all of it, and without what ends a sentence."""
    begin, end = 0, len(text)
    while begin < end:
        if text[begin].isspace():
            begin += 1
        elif text[end - 1].isspace() or text[end - 1] in _AFTER:
            end -= 1
        elif end - begin > 1 and _WRAPPING.get(text[begin]) == text[end - 1]:
            begin, end = begin + 1, end - 1
        else:
            break
    return text[begin:end]
