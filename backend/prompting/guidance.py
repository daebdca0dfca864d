"""What an agent adds to a project's instructions: sentences, in the prompt's place for instructions and nowhere else.

A model may have written it, after it read tasks that anybody may have written: what looks like another part of the
prompt (fences, a list of options, the shape of the answer) is taken out or refused. What may be answered is the
template's, and stands after it or before it whatever it says. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from backend.core.text import storable
from backend.labeling.config import LabelingConfig
from backend.labeling.controls.regions import RegionControl
from backend.labeling.following import every

MAX_GUIDANCE_CHARS = 4_000
_JOINERS = "\u200c\u200d"  # of letters in Persian and Indic scripts, and of emoji
_QUOTES = "\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a\u300c-\u300f\u301d-\u301f\uff02\uff07"
# As the lines begin that stand in the templates beside instructions, in front of data and examples, and after them.
_HEADS = (
    rf"data\s*[{_QUOTES}].*:",
    r"(its|the) right answer\s*:",
    "answer with exactly this",
    "examples of such data",
    "these were the examples",
    r"instructions of the project\s*:",
    r"you will be given data to annotate",
    "(annotate|read|look closely at) the data above",
    "give the annotation of the data above",
    "what are the right annotations of the data above",
    rf"for each item\s*[{_QUOTES}]",
)
_HEAD = re.compile(rf"^[\W_]*(?:{'|'.join(_HEADS)})", re.IGNORECASE | re.MULTILINE)
# As an option's line begins, and a heading.
_LIST_MARK = re.compile(r"^(?:\s|[-*+>#]+(?=\s|$)|[\u2022\u2023\u2043\u2013\u2014]|\d{1,3}[.)](?=\s))+")


def with_guidance(instructions: str, guidance: str | None) -> str:
    """The project's instructions first; as they are where there is no guidance."""
    return "\n\n".join(part for part in (instructions.strip(), guidance) if part) if guidance else instructions


def plain_guidance(text: str) -> str:
    """What a model wrote, as lines of plain text: no control characters, no signs of lists and headings."""
    lines = [_LIST_MARK.sub("", _printable(line)).rstrip() for line in storable(text).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def fault_in(guidance: str, controls: Iterable[str] = ()) -> str | None:
    """Why it may not stand in a prompt that asks under the names `controls`: a phrase without a word of it; None where
    it may."""
    if not guidance.strip():
        return "is empty"
    if len(guidance) > MAX_GUIDANCE_CHARS:
        return f"has more than {MAX_GUIDANCE_CHARS:,} characters"
    if any(_printable(line) != line.replace("\t", " ") for line in guidance.split("\n")):
        return "has control characters"
    if re.search(r"~{3}|`{3}", guidance):
        return "has a fence"
    if re.search(r"[{}]|\bjson\b", guidance, re.IGNORECASE):
        return "speaks of the answer's format"
    names = "|".join(map(re.escape, controls))
    named = rf"^[\W_]*[{_QUOTES}]\s*(?:{names})\s*[{_QUOTES}]"
    if names and re.search(named, guidance, re.IGNORECASE | re.MULTILINE):
        return "begins a line like one of the prompt's questions"
    if _HEAD.search(unicodedata.normalize("NFKC", guidance)):
        return "begins a line like a part of the prompt"
    return None


def names_asked(config: LabelingConfig) -> list[str]:
    """The names under which a prompt asks, those of single regions too."""
    regions = [control for control in config.controls if isinstance(control, RegionControl)]
    keys = [key for control in regions for key in control.keys]
    return list(dict.fromkeys([*(control.name for control in every(config.controls)), *keys]))


def _printable(line: str) -> str:
    """Without control and format characters, but for those that join letters."""
    return "".join(
        c for c in line.replace("\t", " ") if c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp")
    )
