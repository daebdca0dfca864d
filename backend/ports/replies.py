"""Replies of models that were paid for, kept so that the same request is not paid for again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from backend.core.values import Reply


class Replies(Protocol):
    """Stored replies. `key` says what a reply is good for (`services/cached_model.py`). Raises `StoreError`."""

    def reply(self, key: str) -> Reply | None:
        """The reply with its usage as it was paid; its latency is not kept. Notes that it was used."""
        ...

    def replies(self, keys: Collection[str]) -> dict[str, Reply]:
        """Those of the replies under these keys that are there, as `reply` gives them."""
        ...

    def has_reply(self, key: str) -> bool:
        """Only looks: it is no use of it."""
        ...

    def save_reply(self, key: str, request_key: str, reply: Reply) -> None:
        """Keep a reply to the request with `Request.key` `request_key`. Of two under one key the first stays."""
        ...

    def save_replies(self, paid: Sequence[tuple[str, str, Reply]]) -> None:
        """Several at once: (key, request key, reply). All are kept, or none."""
        ...

    def forget_replies(self, request_keys: Collection[str]) -> None:
        """Delete the replies to these requests, whatever the endpoint they came from."""
        ...

    def delete_replies(self, *, unused_since: datetime, most: int) -> int:
        """Delete up to `most` replies that were last used before `unused_since`; returns how many these were."""
        ...
