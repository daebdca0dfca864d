"""`<Paragraphs>`: a dialogue, shown as one line a turn, the speaker first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from backend.core.values import JSON
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag, attribute, written
from backend.labeling.shown import Node, NodeText, Piece

_BETWEEN = "\uffff\n"  # between two turns: no quote holds a noncharacter, and no mark joins a line end


@dataclass(frozen=True, kw_only=True)
class Paragraphs(ObjectTag):
    """Regions name a turn by its number in the list and count UTF-16 units of its text; none reaches over turns."""

    tag: ClassVar[str] = "Paragraphs"

    name_key: str = "author"
    text_key: str = "text"
    by_time: bool = False  # `contextScroll`: the editor numbers the turns by their start

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        return {
            "name_key": attribute(element, "nameKey") or cls.name_key,
            "text_key": attribute(element, "textKey") or cls.text_key,
            "by_time": attribute(element, "contextScroll").lower() == "true",
        }

    def content_of(self, value: JSON) -> Content:
        if not isinstance(value, list):
            raise NothingToShow("is not a list of turns")
        turns = sorted(value, key=_time) if self.by_time else value
        lines: list[str] = []
        names: set[str] = set()
        nodes: list[Node] = []
        for index, turn in enumerate(turns):
            if isinstance(turn, dict):
                name, text = written(turn.get(self.name_key)).strip(), written(turn.get(self.text_key))
                if _is_drawn(turn.get(self.text_key)):
                    nodes.append(Node(name=str(index), text=text))
            else:
                name, text = "", written(turn)
            if text.strip():
                lines.append(turn_line(name, text))
                names |= {name} - {""}
        return Content(text="\n".join(lines), passages=_passages(nodes, frozenset(names)))


def turn_line(name: str, text: str) -> str:
    return f"{name}: {text}" if name else text


def _is_drawn(text: JSON) -> bool:
    """What the editor shows of a turn's text: strings and numbers, in which alone regions can stand."""
    return isinstance(text, str | int | float) and not isinstance(text, bool)


def _passages(nodes: Sequence[Node], names: frozenset[str]) -> NodeText:
    pieces: list[Piece] = []
    begin = 0
    for index, node in enumerate(nodes):
        pieces.append(Piece(begin=begin, end=begin + len(node.text), node=index, at=0))
        begin += len(node.text) + len(_BETWEEN)
    text = _BETWEEN.join(node.text for node in nodes)
    return NodeText(text=text, pieces=tuple(pieces), nodes=tuple(nodes), across=False, names=names)


def _time(turn: JSON) -> tuple[bool, float, float]:
    """The editor's order under `contextScroll`: by start, then end; turns that start nowhere (or at 0) come last."""
    times = turn if isinstance(turn, dict) else {}
    start, end, duration = (_number(times.get(key)) for key in ("start", "end", "duration"))
    return (not start, start, end or start + duration) if start else (True, 0.0, 0.0)


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else 0.0
