"""What of a task is shown to the model, where quotes are searched in it, and in which units positions count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.core.values import JSON, Picture


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a region of text stands, as Label Studio writes it for the object. Ends are exclusive."""

    start: int | str  # code points, or the name of the node in which the offsets count
    end: int | str
    start_offset: int | None = None  # UTF-16 units in the node
    end_offset: int | None = None
    global_start: int | None = None  # code points over the whole page: the editor's way out when a node is not there
    global_end: int | None = None

    def keys(self) -> dict[str, JSON]:
        """The keys of a region's value."""
        keys: dict[str, JSON] = {"start": self.start, "end": self.end}
        if self.start_offset is not None:
            keys |= {"startOffset": self.start_offset, "endOffset": self.end_offset}
        if self.global_start is not None:
            keys["globalOffsets"] = {"start": self.global_start, "end": self.global_end}
        return keys


@dataclass(frozen=True, kw_only=True)
class Passages(ABC):
    """The text in which quotes are searched, and where its characters stand for Label Studio."""

    text: str

    @abstractmethod
    def place(self, begin: int, end: int) -> Position | None:
        """The position of `text[begin:end]`; None where a region cannot stand."""

    def without_name(self, quote: str) -> str:
        """A quote without the speaker's name, where the text is shown after one."""
        return quote


@dataclass(frozen=True, kw_only=True)
class PlainText(Passages):
    """A text that is shown as it is: positions are Unicode code points, Python's own."""

    def place(self, begin: int, end: int) -> Position | None:
        return Position(start=begin, end=end) if begin < end else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One stretch of text that Label Studio counts offsets in."""

    name: object  # its str() is an xpath, or the number of a paragraph
    text: str
    begin: int | None = None  # code points of the page before it

    def offset(self, index: int) -> int:
        """UTF-16 units before the code point at `index`."""
        return len(self.text[:index].encode("utf-16-le", "surrogatepass")) // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A run of searched characters that stand one after the other in a node."""

    begin: int  # in the searched text
    end: int
    node: int  # index of the node
    at: int  # code points of the node before the run


@dataclass(frozen=True, kw_only=True)
class NodeText(Passages):
    """A text put together from nodes; what lies between pieces (line ends, speakers) stands nowhere."""

    pieces: Sequence[Piece]  # in order, without overlap
    nodes: Sequence[Node]
    across: bool  # whether one region may reach over several nodes
    names: frozenset[str] = frozenset()  # of the speakers

    @cached_property
    def _begins(self) -> list[int]:
        return [piece.begin for piece in self.pieces]

    def place(self, begin: int, end: int) -> Position | None:
        first, last = self._piece(begin), self._piece(end - 1)
        if begin >= end or first is None or last is None or not (self.across or first.node == last.node):
            return None
        start_node, end_node = self.nodes[first.node], self.nodes[last.node]
        start_at, end_at = first.at + begin - first.begin, last.at + end - last.begin
        page = start_node.begin is not None and end_node.begin is not None
        return Position(
            start=str(start_node.name),
            end=str(end_node.name),
            start_offset=start_node.offset(start_at),
            end_offset=end_node.offset(end_at),
            global_start=(start_node.begin or 0) + start_at if page else None,
            global_end=(end_node.begin or 0) + end_at if page else None,
        )

    def without_name(self, quote: str) -> str:
        name, colon, rest = quote.partition(":")
        return rest if colon and name.strip() in self.names and quote not in self.text else quote

    def _piece(self, at: int) -> Piece | None:
        index = bisect_right(self._begins, at) - 1
        return self.pieces[index] if index >= 0 and at < self.pieces[index].end else None


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    """One image of a task as the model sees it."""

    number: int  # by which the model names it: counts from 1 over all objects of the task
    picture: Picture
    item: int | None = None  # its place in a list of images, from 0; None: the object's only image


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One object of a task as the model sees it."""

    name: str  # the object tag's name
    text: str
    problem: str | None = None  # why there is nothing to show: one phrase, no task text
    unseen: str | None = None  # why `text` only says that it is there: one phrase
    images: tuple[ShownImage, ...] = ()
    passages: Passages | None = None  # None where no region of text can be placed
    notes: tuple[str, ...] = ()  # what of it is not shown: phrases, no task text

    @property
    def is_empty(self) -> bool:
        return self.problem is not None
