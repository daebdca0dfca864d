"""The counters in Redis: one hash, to which every process adds what it has counted, now and then and at its end."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter as Sums

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from backend.adapters.rq_queue import away, place
from backend.core.errors import QueueError
from backend.ports.meters import SUM, Counter, Histogram, Totals, bucket_of

_log = logging.getLogger(__name__)
KEY = "prelabel:meters"
FLUSH_S = 5.0  # a process that is killed takes as much with it
_TIMEOUT_S = 2.0  # nobody waits longer for a Redis that does not answer


class RedisMeters:
    """`backend.ports.meters.Meters`. Make it after any fork: a thread of it shares the sums now and then."""

    def __init__(self, url: str) -> None:
        try:
            self._connection = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            raise QueueError("REDIS_URL cannot be used: write redis://HOST:PORT/NUMBER.") from error
        self._here: Sums[tuple[str, ...]] = Sums()
        self._unshared: Sums[tuple[str, ...]] = Sums()
        self._lock = threading.Lock()
        self._sharing: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, counter: Counter, *labels: str, by: float = 1.0) -> None:
        if len(labels) != len(counter.labels):
            raise ValueError(f"{counter.name} has the labels {counter.labels}")
        self._add({(counter.name, *labels): by})

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        if len(labels) != len(histogram.labels):
            raise ValueError(f"{histogram.name} has the labels {histogram.labels}")
        name = (histogram.name, *labels)
        self._add({(*name, bucket_of(histogram, seconds)): 1.0, (*name, SUM): seconds})

    def _add(self, amounts: dict[tuple[str, ...], float]) -> None:
        with self._lock:
            for key, amount in amounts.items():
                self._here[key] += amount  # type: ignore[assignment]  # typeshed counts in whole numbers
                self._unshared[key] += amount  # type: ignore[assignment]
            if self._sharing is None:
                self._sharing = threading.Thread(target=self._share, name="meters", daemon=True)
                self._sharing.start()

    def here(self) -> Totals:
        with self._lock:
            return dict(self._here)

    def flush(self) -> None:
        with self._lock:
            amounts, self._unshared = self._unshared, Sums()
        if not amounts:
            return
        try:
            with self._connection.pipeline(transaction=True) as adding:
                for key, amount in amounts.items():
                    adding.hincrbyfloat(KEY, json.dumps(key, ensure_ascii=False), amount)
                adding.execute()
        except RedisError as error:
            _log.info("counters are kept until Redis answers", extra={"error": type(error).__name__})
            with self._lock:
                self._unshared.update(amounts)

    def totals(self) -> Totals:
        try:
            stored = self._connection.hgetall(KEY)
        except RedisError as error:
            raise away(place(self._connection.connection_pool.connection_kwargs), error) from error
        assert isinstance(stored, dict)  # redis types the answer of both its clients
        return {tuple(json.loads(key)): float(value) for key, value in stored.items()}

    def close(self) -> None:
        self._closed.set()
        self.flush()
        self._connection.close()

    def _share(self) -> None:
        while not self._closed.wait(FLUSH_S):
            self.flush()
