"""The text of an HTML page as a reader sees it, and where each character of it stands in the browser's tree.

The tree is that of Label Studio's editor: what its sanitiser leaves (`sanitised.py`), parsed as HTML5 does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from justhtml import JustHTML
from justhtml import Node as Element
from justhtml import Text as TextNode
from justhtml.parser.context import FragmentContext

from backend.labeling.objects.sanitised import TooDeep, sanitised
from backend.labeling.shown import Node, NodeText, Piece

MAX_DEPTH = 500  # Chromium cuts trees at 512 elements: deeper, the paths would not be its own
_BLOCKS = frozenset(
    [
        *("address", "article", "aside", "blockquote", "br", "center", "dd", "details", "dialog", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hr", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary"),
        *("table", "caption", "td", "th", "tr", "ul"),
    ]
)
# In a drawing a highlighted text would vanish: the editor puts it into a span, which a drawing does not show.
_UNSEEN = frozenset(
    [
        *("script", "style", "template", "title", "noscript", "head", "iframe", "textarea", "select", "datalist"),
        *("audio", "video", "canvas", "object", "rp", "noembed", "noframes", "svg"),
    ]
)
_UNSEEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_WORD_OR_SPACE = re.compile(r"(\S+)|\s+")


@dataclass(frozen=True, slots=True)
class XPath:
    """The way from the body to a node, put together only where it is asked for."""

    above: XPath | None
    step: str

    def __str__(self) -> str:
        steps: list[str] = []
        path: XPath | None = self
        while path is not None:
            steps.append(path.step)
            path = path.above
        return "/" + "/".join(reversed(steps))


def read_page(html: str, *, inline: bool = False) -> NodeText:
    """The readable text of a page, a line a block. Raises `TooDeep`.

    With `inline` the HTML is put into Label Studio's own page, else it is a document of its own.
    """
    clean = sanitised(html)
    if inline:
        root: Element | None = JustHTML(
            clean, sanitize=False, fragment_context=FragmentContext("div"), scripting_enabled=True
        ).root
    else:
        document = JustHTML(clean, sanitize=False, iframe_srcdoc=True, scripting_enabled=True).root
        tops = [child for child in document.children or () if child.name == "html"]
        root = next((child for top in tops for child in top.children or () if child.name == "body"), None)
    reader = _Reader()
    if root is not None:
        reader.read(root)
    return NodeText(text="".join(reader.parts), pieces=reader.pieces, nodes=reader.nodes, across=True)


def text_of_html(html: str) -> str:
    """The readable text of a page; nothing for one that is too deep."""
    try:
        return read_page(html).text
    except TooDeep:
        return ""


@dataclass(slots=True)
class _Level:
    """An element on the way down: which of its children is next, and what they are called."""

    path: XPath | None
    children: Iterator[Element | TextNode]
    seen: bool
    pre: bool
    block: bool
    counts: dict[str, int] = field(default_factory=dict)

    def next_step(self, name: str) -> XPath:
        self.counts[name] = self.counts.get(name, 0) + 1
        return XPath(self.path, f"{name}[{self.counts[name]}]")


class _Reader:
    """Collects words, one space or one line end between them, and notes where each stands."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.pieces: list[Piece] = []
        self.nodes: list[Node] = []
        self._length = 0
        self._page_at = 0
        self._line_ends = False
        self._space: int | None = None  # where in the node, of the space that comes before the next word
        self._space_node = 0

    def read(self, root: Element) -> None:
        levels = [_Level(None, iter(root.children or ()), seen=True, pre=False, block=False)]
        while levels:
            level = levels[-1]
            child = next(level.children, None)
            if child is None:
                self._line_ends |= level.block
                levels.pop()
            elif isinstance(child, TextNode):
                self._text(child.data or "", level)
            elif not child.name.startswith(("#", "!", "?")):
                levels.append(self._enter(child, level))
                if len(levels) > MAX_DEPTH:
                    raise TooDeep

    def _enter(self, element: Element, above: _Level) -> _Level:
        name = element.name.lower()
        self._page_at += name == "br"
        block = name in _BLOCKS
        self._line_ends |= block
        attributes = element.attrs or {}
        hidden = bool(attributes.get("hidden")) or _UNSEEN_STYLE.search(attributes.get("style") or "") is not None
        return _Level(
            above.next_step(name),
            iter(element.children or ()),
            seen=above.seen and name not in _UNSEEN and not hidden,
            pre=above.pre or name == "pre",
            block=block,
        )

    def _text(self, text: str, level: _Level) -> None:
        path = level.next_step("text()")
        begin = self._page_at
        self._page_at += len(text)
        if not level.seen:
            return
        self.nodes.append(Node(name=path, text=text, begin=begin))
        node = len(self.nodes) - 1
        for match in _WORD_OR_SPACE.finditer(text):
            if match[1]:
                self._separate()
                self._add(match[1], node, match.start())
            elif level.pre and "\n" in match[0]:
                self._line_ends = True
            elif self._space is None:
                self._space, self._space_node = match.start(), node

    def _separate(self) -> None:
        """What comes before a word: nothing at the very beginning, a line end after a block, one space of many."""
        if self.parts and self._line_ends:
            self.parts.append("\n")
            self._length += 1
        elif self.parts and self._space is not None:
            self._add(" ", self._space_node, self._space)
        self._line_ends, self._space = False, None

    def _add(self, text: str, node: int, at: int) -> None:
        begin, end = self._length, self._length + len(text)
        last = self.pieces[-1] if self.pieces else None
        if last is not None and last.end == begin and last.node == node and last.at + begin - last.begin == at:
            self.pieces[-1] = Piece(begin=last.begin, end=end, node=node, at=last.at)
        else:
            self.pieces.append(Piece(begin=begin, end=end, node=node, at=at))
        self.parts.append(text)
        self._length = end
