"""Which labels the beginning of a value can still become, whatever the way it is cut into tokens."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

_TO_CLOSING_QUOTE = re.compile(r'((?:[^"\\]|\\.)*)"', re.DOTALL)


class Spellings:
    """The spellings of every label as they stand in a reply: in a JSON string (`quoted`), or bare in plain text.

    Case and space around a label say nothing, except where case is all that tells two labels apart ("US", "us").
    """

    def __init__(self, spellings: Mapping[str, Sequence[str]], *, quoted: bool) -> None:
        self._quoted = quoted
        self._forms: dict[str, set[tuple[str, str]]] = {}  # folded: (as written, label)
        for label, forms in spellings.items():
            for form in filter(None, (form.strip() for form in forms)):
                for written in _as_json(form) if quoted else {form}:
                    self._forms.setdefault(written.casefold(), set()).add((written, label))
        self._longest = max(map(len, self._forms), default=0)

    def begun(self, text: str) -> tuple[frozenset[str], bool]:
        """The labels that a value beginning with `text` can be, and whether `text` holds the value's end.

        No space or quote stands before the label in `text`.
        """
        closed = _TO_CLOSING_QUOTE.match(text) if self._quoted else None
        if closed:
            return self.whole(closed[1]), True
        folded = text.casefold()
        labels = self._told_apart((f for f in self._forms if f.startswith(folded)), lambda form: form.startswith(text))
        if labels or self._quoted:
            return labels, False
        for end in range(min(len(text) - 1, self._longest), 0, -1):  # plain text: "entail." and "entail\n" end here
            if not _in_word(text[end]) and (labels := self.whole(text[:end])):
                return labels, True
        return labels, False

    def whole(self, text: str) -> frozenset[str]:
        """The labels that a value can be that reads `text`."""
        text = text.strip()
        return self._told_apart({text.casefold()} & self._forms.keys(), lambda form: form == text)

    def value(self, text: str) -> str:
        """`text` up to the closing quote, if there is one."""
        closed = _TO_CLOSING_QUOTE.match(text) if self._quoted else None
        return closed[1].strip() if closed else text

    def _told_apart(self, folded: Iterable[str], same_case: Callable[[str], bool]) -> frozenset[str]:
        """The labels of these folded spellings; of those that differ in case only, the ones in the case at hand."""
        labels: set[str] = set()
        for forms in (self._forms[f] for f in folded):
            labels |= {label for form, label in forms if same_case(form)} or {label for _, label in forms}
        return frozenset(labels)


def _as_json(form: str) -> set[str]:
    """Between the quotes of a JSON string, with other alphabets written as they are or as \\uXXXX."""
    return {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in "_-"
