"""Which option a model meant by a string: exact, then normalised. Never the nearest one.

Options are given as `Spelled`: the value to return and every spelling that counts as it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MINUS = re.compile(r"(?<!\w)[-\u2010-\u2013](?=\d)")
_DENIALS = {"not", "no", "non", "never", "neither", "nor", "without", "t", "cannot", "except", "unless"}  # "t": isn't
_DOUBTS = {"maybe", "perhaps", "possibly", "might", "could", "may", "either", "or", "both", "unsure", "unclear"}
_HEDGES = _DENIALS | _DOUBTS


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """A label's value and the ways in which a model may write it (the value itself is always one)."""

    value: str
    spellings: tuple[str, ...] = ()

    @property
    def all_spellings(self) -> tuple[str, ...]:
        return (self.value, *self.spellings)


@dataclass(frozen=True, kw_only=True)
class Match:
    """The option that was meant and the step that found it."""

    value: str
    step: str  # "exact" or "normalised"


def normalised(text: str) -> str:
    """Case-folded NFKC with punctuation as spaces and runs of spaces as one.

    Works on every script: letters, marks and digits of any alphabet are kept, as are `+` and `#` ("C++", "C#") and
    the sign of a number: "-1" is not "1".
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    signed = _MINUS.sub("\N{MINUS SIGN}", folded)
    kept = "".join(c if unicodedata.category(c)[0] in "LMNS" or c == "#" else " " for c in signed)
    return " ".join(kept.split())


def match_option(text: str, options: Sequence[Spelled]) -> Match | None:
    """The option that `text` names, or None where none or more than one does."""
    exact = _only(o.value for o in options if text in o.all_spellings)
    if exact is not None:
        return Match(value=exact, step="exact")
    wanted = normalised(text)
    if not wanted:
        return None
    near = _only(o.value for o in options if any(normalised(s) == wanted for s in o.all_spellings))
    return Match(value=near, step="normalised") if near is not None else None


def options_in_prose(text: str, options: Sequence[Spelled]) -> list[str]:
    """Every option whose spelling stands in `text` as whole words and not inside a longer option's spelling.

    "not entailment" does not count as "entailment" where both are options, since the longer one covers it. Where a
    word that denies or hedges is left over ("It is not positive"), nothing is named: better no label than its opposite.
    """
    words = f" {normalised(text)} "
    spelled = [(normalised(s), o.value) for o in options for s in o.all_spellings]
    found: list[str] = []
    for spelling, value in sorted(set(spelled), key=lambda pair: -len(pair[0])):
        if spelling and f" {spelling} " in words:
            words = words.replace(f" {spelling} ", " \0 ")
            if value not in found:
                found.append(value)
    return [] if _HEDGES & set(words.split()) else found


def _only(values: Iterable[str]) -> str | None:
    """The one distinct value, or None for none or several."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else None
