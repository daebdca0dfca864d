"""The one exception of parsing a tag and binding it to a task."""

from __future__ import annotations


class Refused(Exception):
    """This tag cannot be answered; the message is the reason, a phrase that follows the tag's name.

    `another_tag`: the tag itself, or what it points to, is the reason, and not how it is written.
    """

    def __init__(self, reason: str, *, another_tag: bool = False) -> None:
        super().__init__(reason)
        self.another_tag = another_tag
