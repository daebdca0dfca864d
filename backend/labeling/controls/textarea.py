"""`<TextArea>`: free text, such as a summary, a translation or a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from rapidfuzz.distance import Indel

from backend.core.values import JSON
from backend.labeling.controls.base import READABLE, Control, Decoded, clip, common
from backend.labeling.controls.reading_back import Region, listed_in
from backend.labeling.shown import Shown

MAX_TEXTS = 100
_COMPARED_CHARS = 10_000  # of a text, for its similarity: the effort grows with the square
_TRANSCRIBE = re.compile(r"transcri|subtitle|\basr\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class TextArea(Control):
    """A value is a tuple of strings: Label Studio keeps a list even for one.

    The model is asked for one text, or for a list where `maxSubmissions` allows more than one.

    Agreement is the share of characters that can stay when the one is edited into the other (rapidfuzz's normalised
    indel similarity); confirmed is the same text but for white space and for how Unicode composes a letter.
    """

    tag: ClassVar[str] = "TextArea"
    object_tags: ClassVar[frozenset[str]] = READABLE

    placeholder: str | None = None
    most: int = 1  # how many texts are asked for at most

    def unanswerable(self, target: Shown) -> str | None:
        """A transcript of what is not shown would be made up, whatever else is shown."""
        transcribes = any(_TRANSCRIBE.search(text) for text in (self.name, self.question, self.placeholder) if text)
        return target.unseen if target.unseen and transcribes else super().unanswerable(target)

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        return cls(
            **common(element, question),
            placeholder=element.get("placeholder") or None,
            most=_most(element.get("maxSubmissions") or element.get("maxsubmissions") or ""),
        )

    @property
    def has_confidence(self) -> bool:
        return False

    def schema(self) -> dict[str, JSON]:
        if self.most > 1:
            return {"type": "array", "items": {"type": "string"}}
        return {"type": "string"} if self.required else {"type": ["string", "null"]}

    def ask(self) -> str:
        hint = f" ({self.placeholder})" if self.placeholder else ""
        if self.most > 1:
            none = "" if self.required else "; an empty list if there is nothing to write"
            return f"a list of at most {self.most} short texts{hint}{none}"
        return f"a short text{hint}" + ("" if self.required else ", or null if there is nothing to write")

    def shape(self) -> str:
        return '["<text>", ...]' if self.most > 1 else '"<text>"'

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        return ["text"] if self.most > 1 else "text"

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        answers = raw if isinstance(raw, list) else [raw]
        texts = [answer.strip() for answer in answers if isinstance(answer, str)]
        strange = [answer for answer in answers if not isinstance(answer, str) and answer is not None]
        if strange:
            return Decoded(value=None, problem="is not text", rejected=(clip(strange[0]),))
        kept = tuple(text for text in texts if text)
        if len(kept) > self.most > 1:
            return Decoded(value=None, problem=f"has more than {self.most} texts")
        if not kept:
            return Decoded(value=None, problem="is empty") if self.required else Decoded(value=None, step="exact")
        return Decoded(value=kept, step="exact")

    def as_answer(self, value: JSON) -> JSON:
        return list(value) if self.most > 1 or len(value) > 1 else value[0]

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"text": list(value)})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = listed_in(regions, "text")
        if not all(isinstance(text, str) for text in given):
            return Decoded(value=None, problem="is not text")
        return Decoded(value=tuple(text.strip() for text in given if text.strip()) or None)

    def likeness(self, one: JSON, other: JSON) -> float:
        first, second = _plain(one), _plain(other)
        if first == second:
            return 1.0
        return Indel.normalized_similarity(first[:_COMPARED_CHARS], second[:_COMPARED_CHARS])

    def same(self, one: JSON, other: JSON) -> bool:
        return _plain(one) == _plain(other)


def _plain(texts: JSON) -> str:
    """The texts, a line each, without what confirming does not look at."""
    return "\n".join(" ".join(unicodedata.normalize("NFC", text).split()) for text in texts)


def _most(given: str) -> int:
    """`maxSubmissions`. The editor takes any number of texts without it; one is what a project mostly wants."""
    given = given.strip()
    return (
        min(int(given), MAX_TEXTS) if given.isascii() and given.isdigit() and 0 < len(given) < 9 and int(given) else 1
    )
