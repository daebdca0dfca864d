"""A label in a sentence, accepted only where the sentence says nothing else.

What is left besides the label must be a few words from a closed list that can neither deny nor doubt: "The sentiment
is positive." is read, "It is hardly positive", "I am unable to label this as positive" and "a COVID positive test" are
not. A list of words that deny would never be complete, in any language; this one errs towards asking again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.reading.lines import ANSWER_WORDS
from backend.reading.match import Spelled, match_option, normalised, spellings_of

_SAYING_NOTHING = """
    a an and as be been best by classified classify choose chose select pick assign for given has have here i in is it
    its labeled labelled me most my option predicted final correct chosen selected of on overall s say so sure certainly
    the therefore this that these thus to was will with would
    comment document expressed input message passage review sentence sentiment statement text tweet tone
"""
SAYING_NOTHING = ANSWER_WORDS | frozenset(_SAYING_NOTHING.split())
_RULE = re.compile(r"^[|:\-=+ ]{3,}$|\|", re.MULTILINE)  # of a table
_MOST_WORDS = 12
_MAX_CHARS = 400  # besides the longest label
_HTML = re.compile(
    r"</?(?:b|i|u|em|strong|p|br|span|div|code|pre|ul|ol|li|mark|html|body|h[1-6])(?:\s[^<>]{0,200})?/?>", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a text without JSON answers: as text to be matched, and where in the reply it stands."""

    text: str
    position: tuple[int, int] | None


def named_in_prose(text: str, options: Sequence[Spelled], name: str) -> Named | None:
    """The one option that all of `text` names, with only empty words around it. `name` is the control's."""
    spelled = spellings_of(options)
    longest = max((len(s) for forms in spelled.values() for s in forms), default=0)
    begin = len(text) - len(text.lstrip())
    text = text.strip()
    if not text or len(text) > longest + _MAX_CHARS:
        return None
    plain = _RULE.sub(" ", _HTML.sub(" ", text))
    if match_option(plain, options) is not None:
        return Named(text=plain.strip(), position=_position(text, [plain.strip(' \n"*_`.')], begin))
    if "?" in plain and not any("?" in s for forms in spelled.values() for s in forms):
        return None
    empty = SAYING_NOTHING | frozenset(normalised(name).split())
    value = _one_label(plain, spelled, empty)
    if value is None:
        return None
    return Named(text=spelled[value][0], position=_position(text, spelled[value], begin))


def _one_label(plain: str, spelled: dict[str, tuple[str, ...]], empty: frozenset[str]) -> str | None:
    """The value of the only label that is named, where nothing else is said."""
    forms = {(normalised(s), s, value) for value, all_forms in spelled.items() for s in all_forms}
    found: set[str] = set()
    tail = plain.rstrip(" \n.*_`\"')")
    for words, form, value in sorted(forms):  # "A" or "I": only as the very last word, as it is written
        if words and set(words.split()) <= empty and re.search(rf"(?<!\w){re.escape(form)}\Z", tail):
            found.add(value)
            plain = tail[: -len(form)]
            break
    rest = f" {normalised(plain)} "
    for words, _, value in sorted(forms, key=lambda one: -len(one[0])):
        if words and f" {words} " in rest and not set(words.split()) <= empty:
            rest = rest.replace(f" {words} ", " \0 ")
            found.add(value)
    left = [word for word in rest.split() if word != "\0"]
    return found.pop() if len(found) == 1 and len(left) <= _MOST_WORDS and set(left) <= empty else None


def _position(text: str, forms: Iterable[str], begin: int) -> tuple[int, int] | None:
    """Where the label stands; None where it stands at no place or at several."""
    found = {
        (match.start() + begin, match.end() + begin)
        for form in forms
        if form
        for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text, re.IGNORECASE)
    }
    return found.pop() if len(found) == 1 else None
