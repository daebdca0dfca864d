"""The one exception of parsing a tag and binding it to a task."""

from __future__ import annotations


class Refused(Exception):
    """This tag cannot be answered; the message is the reason, a phrase that follows the tag's name."""
