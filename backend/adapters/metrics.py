"""What `/metrics` tells Prometheus: how things stand, read at each scrape, and the counters of all processes."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from backend.core.errors import PrelabelError
from backend.core.values import JobState, TaskState
from backend.ports.governor import Levels
from backend.ports.meters import COUNTERS, HISTOGRAMS, SUM, Histogram, Meters, Totals
from backend.ports.queue import Queue
from backend.ports.store import Store

_log = logging.getLogger(__name__)
MOST_PROJECTS = 50  # as many have their own series; the others are summed up as "other"
_KEPT_S, _KEPT_TIMES = 5.0, 50.0  # counts of tasks are kept at least so long, and this many times as long as they took

GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "up": ("1 when the part answers: database, redis", ("part",)),
    "tasks": ("Tasks by state, over all versions", ("project", "state")),
    "jobs": ("Jobs by state", ("state",)),
    "predictions_undelivered": (
        "Finished predictions that Label Studio does not have yet, without those of outdated versions",
        (),
    ),
    "queue_messages": ("Queue messages by state: waiting, started, scheduled, failed", ("queue", "state")),
    "queue_oldest_seconds": ("How long the first message of the queue has waited; 0: none waits", ("queue",)),
    "workers": ("Worker processes that gave a sign of life lately", ("queue",)),
    "limit_requests_per_minute": ("The model's limit of requests, set or learnt", ("endpoint", "model")),
    "limit_tokens_per_minute": ("The model's limit of tokens, set or learnt", ("endpoint", "model")),
    "limit_requests_used": ("Requests of the last minute, as the limit counts them", ("endpoint", "model")),
    "limit_tokens_used": ("Tokens of the last minute, reserved ones included", ("endpoint", "model")),
    "limit_paused_seconds": ("How long nobody calls, because the endpoint asked for it", ("endpoint", "model")),
    "model_calls_in_flight": ("Model calls in flight, of all workers", ("endpoint", "model")),
    "model_calls_window": ("Most calls in flight, where that is what bounds them", ("endpoint", "model")),
}


def metric_names() -> set[str]:
    """Every name that `/metrics` may hold, as a query writes it; of a histogram its three series."""
    counters = {f"prelabel_{one.name}_total" for one in COUNTERS}
    histograms = {f"prelabel_{one.name}_{part}" for one in HISTOGRAMS for part in ("bucket", "sum", "count")}
    return {f"prelabel_{name}" for name in GAUGES} | counters | histograms


@dataclass(kw_only=True)
class Metrics:
    """The metrics of one installation, told by the service."""

    store: Store
    queue: Queue
    meters: Meters
    limits: Callable[[], Levels]
    clock: Callable[[], float] = time.monotonic
    _tasks: Mapping[tuple[int, TaskState], int] = field(default_factory=dict)
    _tasks_until: float = float("-inf")

    def render(self) -> bytes:
        """The text format of Prometheus. A part that does not answer is told as 0 in `prelabel_up`."""
        registry = CollectorRegistry()
        registry.register(_Collected(self._collect))
        return generate_latest(registry)

    def _collect(self) -> Iterator[Metric]:
        up = _gauge("up")
        for part, look in (("database", self._from_the_database), ("redis", self._from_redis)):
            try:
                found = list(look())
                up.add_metric([part], 1)
                yield from found
            except PrelabelError as error:
                _log.warning("metrics: a part does not answer", extra={"part": part, "reason": error.for_log})
                up.add_metric([part], 0)
        yield up

    def _from_the_database(self) -> Iterator[Metric]:
        tasks, jobs, undelivered = _gauge("tasks"), _gauge("jobs"), _gauge("predictions_undelivered")
        for (project, state), n in _bounded(self._task_totals()).items():
            tasks.add_metric([project, state], n)
        totals = self.store.job_totals()
        for state in JobState:
            jobs.add_metric([state.value], totals.get(state.value, 0))
        undelivered.add_metric([], self.store.undelivered_total())
        yield from (tasks, jobs, undelivered)

    def _task_totals(self) -> Mapping[tuple[int, TaskState], int]:
        """As they were counted lately: of a million tasks it takes a tenth of a second."""
        started = self.clock()
        if started >= self._tasks_until:
            self._tasks = self.store.task_totals()
            took_s = self.clock() - started
            self._tasks_until = started + max(_KEPT_S, _KEPT_TIMES * took_s)
        return self._tasks

    def _from_redis(self) -> Iterator[Metric]:
        messages, oldest, workers = _gauge("queue_messages"), _gauge("queue_oldest_seconds"), _gauge("workers")
        for name, level in self.queue.levels().items():
            for state in ("waiting", "started", "scheduled", "failed"):
                messages.add_metric([name, state], getattr(level, state))
            oldest.add_metric([name], level.oldest_s or 0.0)
            workers.add_metric([name], level.workers)
        yield from (messages, oldest, workers)
        yield from self._from_the_governor()
        yield from _counters(self.meters.totals())

    def _from_the_governor(self) -> Iterator[Metric]:
        fields = {
            "limit_requests_per_minute": "requests_per_minute",
            "limit_tokens_per_minute": "tokens_per_minute",
            "limit_requests_used": "requests_used",
            "limit_tokens_used": "tokens_used",
            "limit_paused_seconds": "paused_s",
            "model_calls_in_flight": "in_flight",
            "model_calls_window": "window",
        }
        levels = self.limits()
        for name, field_name in fields.items():
            gauge = _gauge(name)
            for (endpoint, model), level in levels.items():
                value = getattr(level, field_name)
                if value is not None:
                    gauge.add_metric([endpoint, model], value)
            yield gauge


@dataclass(frozen=True)
class _Collected(Collector):
    read: Callable[[], Iterator[Metric]]

    def collect(self) -> Iterator[Metric]:
        return self.read()


def _gauge(name: str) -> GaugeMetricFamily:
    about, labels = GAUGES[name]
    return GaugeMetricFamily(f"prelabel_{name}", about, labels=labels)


def _bounded(totals: Mapping[tuple[int, TaskState], int]) -> Mapping[tuple[str, str], int]:
    """(project, state) -> tasks, with every state of each of the newest projects, and the others as one."""
    newest = set(sorted({project for project, _ in totals}, reverse=True)[:MOST_PROJECTS])
    told = {(str(project), state.value): 0 for project in sorted(newest) for state in TaskState}
    for (project, state), n in totals.items():
        key = (str(project) if project in newest else "other", state.value)
        told[key] = told.get(key, 0) + n
    return told


def _counters(totals: Totals) -> Iterator[Metric]:
    """What a later version has counted, under names or labels that this one does not know, is left out."""
    by_name: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for (name, *labels), amount in totals.items():
        by_name[name][tuple(labels)] = amount
    for counter in COUNTERS:
        unlabelled = {} if counter.labels else {(): 0.0}
        family = CounterMetricFamily(f"prelabel_{counter.name}", counter.about, labels=counter.labels)
        for values, amount in (unlabelled | by_name[counter.name]).items():
            if len(values) == len(counter.labels):
                family.add_metric(values, amount)
        yield family
    for histogram in HISTOGRAMS:
        yield _histogram(histogram, by_name[histogram.name])


def _histogram(histogram: Histogram, amounts: Mapping[tuple[str, ...], float]) -> Metric:
    family = HistogramMetricFamily(f"prelabel_{histogram.name}", histogram.about, labels=histogram.labels)
    for values in sorted({key[:-1] for key in amounts if len(key) == len(histogram.labels) + 1}):
        below, buckets = 0.0, []
        for bound in (*map(str, histogram.buckets), "+Inf"):
            below += amounts.get((*values, bound), 0.0)
            buckets.append((bound, below))
        family.add_metric(values, buckets, sum_value=amounts.get((*values, SUM), 0.0))
    return family
