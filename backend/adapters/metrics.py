"""Prometheus metrics, read from the store and the queue at each scrape, so that every process tells the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backend.core.errors import PrelabelError
from backend.core.values import TaskState
from backend.ports.queue import Queue
from backend.ports.store import Store

_log = logging.getLogger(__name__)


class _StateCollector(Collector):
    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("prelabel_up", "1 when the part answers", labels=["part"])
        tasks = GaugeMetricFamily("prelabel_tasks", "Tasks by state, over all versions", labels=["state"])
        depth = GaugeMetricFamily("prelabel_queue_messages", "Messages that wait", labels=["queue"])
        try:
            totals = self._store.state_totals()
            for state in TaskState:
                tasks.add_metric([state.value], totals.get(state.value, 0))
            up.add_metric(["database"], 1)
        except PrelabelError:
            _log.exception("metrics: the database does not answer")
            up.add_metric(["database"], 0)
        try:
            for name, messages in self._queue.depth().items():
                depth.add_metric([name], messages)
            up.add_metric(["redis"], 1)
        except PrelabelError:
            _log.exception("metrics: redis does not answer")
            up.add_metric(["redis"], 0)
        yield from (up, tasks, depth)


def render_metrics(store: Store, queue: Queue) -> bytes:
    """The text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_StateCollector(store, queue))
    return generate_latest(registry)
