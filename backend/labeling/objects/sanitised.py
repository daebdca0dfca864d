"""HTML as Label Studio's editor leaves it before it is shown.

The editor runs a sanitiser with a parser of its own (sanitize-html over htmlparser2) and gives its output to the
browser. Comments, scripts and frames fall away, so that the texts around them become one node, and tags are closed
by simpler rules than the browser's; both move the paths of text nodes. This does the same to the tags, and leaves
attributes as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from urllib.parse import urlsplit

from justhtml import stream

MAX_OPEN = 2_000  # tags left open: more than the tree may be deep, for a browser closes some by itself
_P = frozenset({"p"})
_FORM = frozenset({"input", "option", "optgroup", "select", "button", "datalist", "textarea"})
_SECTIONS = frozenset({"thead", "tbody"})
_TERMS = frozenset({"dd", "dt"})
_RUBY = frozenset({"rt", "rp"})
_BLOCKS = (
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "address", "article", "aside", "blockquote", "details", "div"),
    *("dl", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol", "pre"),
    *("section", "table", "ul"),
)
_CLOSED_BY: dict[str, frozenset[str]] = {  # tag -> open tags that it closes when they are the innermost
    "tr": frozenset({"tr", "th", "td"}),
    "th": frozenset({"th"}),
    "td": frozenset({"thead", "th", "td"}),
    "body": frozenset({"head", "link", "script"}),
    "li": frozenset({"li"}),
    "option": frozenset({"option"}),
    "optgroup": frozenset({"optgroup", "option"}),
    **dict.fromkeys(("select", "input", "output", "button", "datalist", "textarea"), _FORM),
    **dict.fromkeys(("dd", "dt"), _TERMS),
    **dict.fromkeys(("rt", "rp"), _RUBY),
    **dict.fromkeys(("tbody", "tfoot"), _SECTIONS),
    **dict.fromkeys(_BLOCKS, _P),
}
_VOID = frozenset(
    [
        *("area", "base", "basefont", "br", "col", "command", "embed", "frame", "hr", "img", "input", "isindex"),
        *("keygen", "link", "meta", "param", "source", "track", "wbr"),
    ]
)
_RAW = frozenset({"script", "style", "noscript", "xmp", "noembed", "noframes", "plaintext"})
_ATTRIBUTE = re.compile(r"[^\0\t\n\f\r /<=>]+")
_FOREIGN = frozenset({"svg", "math"})
_HTML_AGAIN = frozenset({"mi", "mo", "mn", "ms", "mtext", "annotation-xml", "foreignobject", "desc", "title"})
_NO_END_TAG = re.compile(r"</(?=\s*(?:>|$))")  # text for the editor, nothing for a browser
_SELF_CLOSED = re.compile(r"(<[A-Za-z][^<>]*)/>")
_MARK = "\ufdd0"  # an attribute that marks a self-closed tag; a noncharacter, so no page's own
_VIDEO_HOSTS = frozenset(
    {"www.youtube.com", "youtube.com", "www.youtube-nocookie.com", "youtube-nocookie.com", "youtu.be"}
)


class TooDeep(Exception):
    """The page nests deeper than a browser's tree."""


def sanitised(html: str) -> str:
    """The HTML that the browser is given. Every tag in it is closed. Raises `TooDeep`."""
    writer = _Writer()
    for kind, what in stream(_SELF_CLOSED.sub(rf"\1 {_MARK}/>", _NO_END_TAG.sub("&lt;/", html))):
        if kind == "start" and isinstance(what[1], dict):
            writer.open(str(what[0]).lower(), what[1])
        elif kind == "end":
            writer.close(str(what).lower())
        elif kind == "text":
            writer.text(str(what))
    while writer.stack:
        writer.pop()
    return "".join(writer.parts)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.stack: list[tuple[str, int | None]] = []  # name, and from which part on it is dropped when it closes
        self._open: Counter[str] = Counter()
        self._foreign: list[bool] = []  # whether the innermost drawing or formula, not HTML in it, is where we are

    def open(self, name: str, attributes: Mapping[str, str | None]) -> None:
        closed = _CLOSED_BY.get(name, frozenset())
        while self.stack and self.stack[-1][0] in closed:
            self.pop()
        dropped = name == "script" or (name == "iframe" and not _is_video(attributes.get("src")))
        begin = len(self.parts)
        kept = (
            f' {key}="{escape(value or "")}"'
            for key, value in attributes.items()
            if key != _MARK and _ATTRIBUTE.fullmatch(key)
        )
        self.parts.append(f"<{name}{''.join(kept)}>")
        if name not in _VOID:
            if len(self.stack) >= MAX_OPEN:
                raise TooDeep
            self.stack.append((name, begin if dropped else None))
            self._open[name] += 1
            if name in _FOREIGN or name in _HTML_AGAIN:
                self._foreign.append(name in _FOREIGN)
            if _MARK in attributes and self._foreign and self._foreign[-1]:
                self.pop()

    def close(self, name: str) -> None:
        if self._foreign and (name in _FOREIGN or name in _HTML_AGAIN):
            self._foreign.pop()  # by its end tag alone: after <svg/> the editor's parser still thinks of a drawing
        if name == "br" or (name == "p" and not self._open["p"]):
            self.open(name, {})
        if name not in _VOID and self._open[name]:
            while self.pop() != name:
                pass

    def text(self, text: str) -> None:
        raw = bool(self.stack) and self.stack[-1][0] in _RAW
        self.parts.append(text if raw else escape(text, quote=False))

    def pop(self) -> str:
        name, begin = self.stack.pop()
        self._open[name] -= 1
        if begin is None:
            self.parts.append(f"</{name}>")
        else:
            del self.parts[begin:]
        return name


def _is_video(source: str | None) -> bool:
    """Whether a frame is one of those that the editor keeps."""
    try:
        url = urlsplit(source or "")
    except ValueError:
        return False
    return url.scheme == "https" and url.hostname in _VIDEO_HOSTS
