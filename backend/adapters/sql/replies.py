"""Replies of models that were paid for. The table holds what models wrote about the data, as the records do."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.database import Database, batches, utc
from backend.adapters.sql.schema import replies
from backend.core.text import storable
from backend.core.values import Reply, TokenLogprob, Usage

_USED_AGAIN = timedelta(days=1)  # a use is noted once in this time: most hits only read
_MODEL_CHARS = 200

_LOOK_UP = sa.select(replies).where(replies.c.key.in_(sa.bindparam("keys", expanding=True)))


class SqlReplies(Database):
    def reply(self, key: str) -> Reply | None:
        return self.replies([key]).get(key)

    def replies(self, keys: Collection[str]) -> dict[str, Reply]:
        found: dict[str, Reply] = {}
        old: list[str] = []
        long_ago = self._clock() - _USED_AGAIN
        for some in batches(keys):
            with self.begin(read_only=True) as connection:
                for row in connection.execute(_LOOK_UP, {"keys": some}).mappings():
                    found[row["key"]] = _reply(row)
                    if utc(row["used_at"]) < long_ago:
                        old.append(row["key"])
        for some in batches(old):
            with self.begin() as connection:
                used = sa.update(replies).where(replies.c.key.in_(some)).values(used_at=self._clock())
                connection.execute(used)
        return found

    def has_reply(self, key: str) -> bool:
        with self.begin(read_only=True) as connection:
            return connection.execute(sa.select(replies.c.key).where(replies.c.key == key)).first() is not None

    def save_reply(self, key: str, request_key: str, reply: Reply) -> None:
        self.save_replies([(key, request_key, reply)])

    def save_replies(self, paid: Sequence[tuple[str, str, Reply]]) -> None:
        now = self._clock()
        rows = [
            {
                "key": key,
                "request_key": request_key,
                "text": storable(reply.text),
                "finish_reason": reply.finish_reason,
                "model": storable(reply.model)[:_MODEL_CHARS],
                "tokens": None if reply.tokens is None else packed(reply.tokens),
                "prompt_tokens": reply.usage.prompt_tokens,
                "completion_tokens": reply.usage.completion_tokens,
                "calls": reply.usage.calls,
                "created_at": now,
                "used_at": now,
            }
            for key, request_key, reply in paid
        ]
        if not rows:
            return
        insert = self._insert(replies).on_conflict_do_nothing(index_elements=["key"])
        with self.begin() as connection:
            connection.execute(insert, rows)

    def forget_replies(self, request_keys: Collection[str]) -> None:
        for keys in batches(request_keys):
            with self.begin() as connection:
                connection.execute(sa.delete(replies).where(replies.c.request_key.in_(keys)))

    def delete_replies(self, *, unused_since: datetime, most: int) -> int:
        old = sa.select(replies.c.key).where(replies.c.used_at < unused_since).order_by(replies.c.used_at).limit(most)
        with self.begin() as connection:
            return connection.execute(sa.delete(replies).where(replies.c.key.in_(old))).rowcount


def _reply(row: RowMapping) -> Reply:
    return Reply(
        text=row["text"],
        finish_reason=row["finish_reason"],
        usage=Usage(prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"], calls=row["calls"]),
        model=row["model"],
        tokens=None if row["tokens"] is None else unpacked(row["tokens"]),
    )


def packed(tokens: Sequence[TokenLogprob]) -> bytes:
    """Tokens with their alternatives in few bytes, every number as it was: a score must not change by being stored."""
    plain = [[t.token, t.logprob, [list(pair) for pair in t.top]] for t in tokens]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode("ascii"))


def unpacked(blob: bytes) -> tuple[TokenLogprob, ...]:
    """What `packed` was given."""
    return tuple(
        TokenLogprob(token=token, logprob=logprob, top=tuple((other, number) for other, number in top))
        for token, logprob, top in json.loads(zlib.decompress(blob))
    )
