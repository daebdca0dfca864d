"""Answers on labelled lines: `Label: x`, `**Label** - x`, `<answer>x</answer>`, `1. x`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from backend.reading.match import normalised

_ANSWER_WORDS = """
    label labels answer class category classification prediction result output choice response verdict
    antwort réponse respuesta risposta resposta odpowiedź ответ 答案 回答 答え उत्तर إجابة الإجابة
"""
_BESIDE_THEM = "the my your is final correct chosen selected predicted"
ANSWER_WORDS = frozenset(_ANSWER_WORDS.split())
_GLUE = frozenset(_BESIDE_THEM.split())
_MAX_LINE = 2_000
_MAX_LINES = 2_000
_MAX_KEY = 60
_SEPARATOR = re.compile(r"[:=：→|]|->|(?<=[\s*])[-–—](?=\s)")
_EMPHASIS = re.compile(r"\*\*|__|`")
_BULLET = re.compile(r"(?:[-*•–]|\(?\d{1,3}[.)])\s+(?=\S)")
_ELEMENT = re.compile(r"<([A-Za-z][\w-]{0,40})>([^<>]{0,2000})</([A-Za-z][\w-]{0,40})>")


def is_answer_key(key: str) -> bool:
    """Whether a key says no more than that the answer follows: "label", "Final answer"."""
    words = set(normalised(key).split())
    return bool(words & ANSWER_WORDS) and words <= ANSWER_WORDS | _GLUE


def labelled_values(text: str, names: Mapping[str, bool], *, sole: str | None) -> list[tuple[str, str | list[str]]]:
    """Pairs of a control and what the reply gives for it. `names` says of each control whether a list is asked for.

    With a `sole` control a line may also begin with a word such as "answer", and enumerated lines are its answers.
    """
    wanted = {normalised(name): name for name in names}
    lines = [line.strip() for line in text.splitlines()[:_MAX_LINES] if line.strip() and len(line) <= _MAX_LINE]
    found: list[tuple[str, str | list[str]]] = []
    for match in _ELEMENT.finditer(text):
        name = _control(match.group(1).replace("_", " "), wanted, sole)
        if name and match.group(1) == match.group(3):
            found.append((name, _value(match.group(2), [], asked_list=names[name])))
    for number, line in enumerate(lines):
        key, value = _split(line)
        name = _control(key, wanted, sole) if value is not None else None
        if name and value is not None:
            found.append((name, _value(value, lines[number + 1 :], asked_list=names[name])))
    if found or sole is None:
        return found
    items = _items(lines)
    if items and len(items) == len(lines):
        return [(sole, items if names[sole] or len(items) > 1 else items[0])]
    return []


def _control(key: str, wanted: Mapping[str, str], sole: str | None) -> str | None:
    name = wanted.get(normalised(key))
    return name or (sole if sole and is_answer_key(key) else None)


def _split(line: str) -> tuple[str, str | None]:
    """What stands before and after the first separator of a line; None: there is none."""
    line = _BULLET.sub("", line, count=1) if _BULLET.match(line) else line
    line = line.strip("|#> \t")
    match = _SEPARATOR.search(line, 1, _MAX_KEY + 10) if line else None
    if match is None:
        return "", None
    key, value = line[: match.start()], line[match.end() :]
    if _EMPHASIS.search(key) and len(_EMPHASIS.findall(key)) % 2:  # `**Label:** x`
        value = value.lstrip("*_` ")
    return key, value.strip().strip("|").strip()


def _value(value: str, after: list[str], *, asked_list: bool) -> str | list[str]:
    """The value of a line; where it is empty, what stands on the lines below."""
    if not value.strip():
        items = _items(after)
        if items and asked_list:
            return items
        value = (items or after or [""])[0]
    value = value.strip().rstrip(",")
    return [part.strip() for part in value.strip("[]").split(",") if part.strip()] if asked_list else value


def _items(lines: Iterable[str]) -> list[str]:
    """The enumerated lines that stand first."""
    items: list[str] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if bullet is None:
            break
        items.append(line[bullet.end() :].strip())
    return items
