"""Signs of life in Redis: which queue messages somebody is at now. A process that was killed gives none."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import RedisError

SIGN_S = 15  # so long a sign is good
RENEW_S = 4.0


@contextmanager
def sign_of_life(connection: Redis, claimant: str) -> Iterator[None]:
    """Say, until the context ends or this process does, that somebody is at the message.

    Also to a Redis that has lost everything meanwhile, within `RENEW_S` of its return. Raises `RedisError` when it
    cannot be said at all.
    """
    key, left = _key(claimant), threading.Event()
    connection.set(key, 1, ex=SIGN_S)

    def renew() -> None:
        while not left.wait(RENEW_S):
            with suppress(RedisError):
                connection.set(key, 1, ex=SIGN_S)

    thread = threading.Thread(target=renew, name="sign-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join(1.0)  # it may be waiting for a Redis that is away; a sign that stays ends by itself
        with suppress(RedisError):
            connection.delete(key)


def silent(connection: Redis, claimants: Collection[str]) -> set[str]:
    """Those of whom there is no sign."""
    names = list(claimants)
    signs = connection.mget([_key(name) for name in names]) if names else []
    return {name for name, sign in zip(names, list(signs), strict=True) if sign is None}


def _key(claimant: str) -> str:
    return f"prelabel:at-work:{claimant}"
