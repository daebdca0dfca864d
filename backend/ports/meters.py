"""Counters of what happens, shared by all processes, for `/metrics`.

A worker works on each message in a process of its own, which ends with it: what is counted has to be kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

LATENCY_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)


@dataclass(frozen=True)
class Counter:
    """Something that is counted. Its name in `/metrics` is `prelabel_` before `name` and `_total` after it."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Histogram:
    """Seconds that something took, counted in buckets. Its name in `/metrics` is `prelabel_` before `name`."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCY_BUCKETS_S


MODEL_CALLS = Counter(
    "model_calls", "Model calls that ended, by `result`: answered, or the class of the error", ("model", "result")
)
MODEL_RETRIES = Counter("model_retries", "Model calls that asked again what a failed call had asked", ("model",))
MODEL_TOKENS = Counter(
    "model_tokens", "Tokens of answered calls as the endpoint reports them, by `kind`: prompt, completion",
    ("model", "kind"),
)  # fmt: skip
MODEL_COST_USD = Counter("model_cost_usd", "US dollars for answered calls, of models whose price is known", ("model",))
MODEL_CALL_SECONDS = Histogram("model_call_seconds", "How long answered model calls took", ("model",))
CACHED_REPLIES = Counter("cached_replies", "Replies from the cache, for which no call was made", ("model",))
LIMIT_WAIT_SECONDS = Counter(
    "limit_wait_seconds", "Seconds that calls waited for room under the model's limit, summed over calls", ("model",)
)
LIMIT_PUT_OFFS = Counter(
    "limit_put_offs", "Calls given up for now because the model's limit was far off", ("model",)
)  # fmt: skip
TASKS_FINISHED = Counter("tasks_finished", "Tasks that ended in this state, repeats counted", ("state",))
TASK_FAILURES = Counter("task_failures", "Tasks that ended without an answer, by the error's class", ("error",))
MESSAGES = Counter("messages", "Queue messages worked on, by `result`: done, failed", ("work", "result"))
MESSAGE_SECONDS = Counter("message_seconds", "Seconds spent on queue messages", ("work",))
WRITEBACK_PREDICTIONS = Counter("writeback_predictions", "Predictions written to Label Studio by the workers")
WRITEBACK_FAILURES = Counter(
    "writeback_failures", "Calls of the write-back that failed, by the error's class", ("error",)
)
WRITEBACK_CALL_SECONDS = Histogram("writeback_call_seconds", "How long calls that write predictions took")

COUNTERS = (
    MODEL_CALLS,
    MODEL_RETRIES,
    MODEL_TOKENS,
    MODEL_COST_USD,
    CACHED_REPLIES,
    LIMIT_WAIT_SECONDS,
    LIMIT_PUT_OFFS,
    TASKS_FINISHED,
    TASK_FAILURES,
    MESSAGES,
    MESSAGE_SECONDS,
    WRITEBACK_PREDICTIONS,
    WRITEBACK_FAILURES,
)
HISTOGRAMS = (MODEL_CALL_SECONDS, WRITEBACK_CALL_SECONDS)

SUM = "sum"  # in place of a bucket's bound: the seconds themselves
# (name, label values ...) -> sum. Of a histogram (name, label values ..., a bucket's upper bound) -> calls in that
# bucket alone, and with SUM as the last -> their seconds.
Totals = Mapping[tuple[str, ...], float]


class Meters(Protocol):
    """The counters. Counting never fails the work: only `totals` raises."""

    def add(self, counter: Counter, *labels: str, by: float = 1.0) -> None:
        """`labels` are the values of `counter.labels`, in their order."""
        ...

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None: ...

    def here(self) -> Totals:
        """What this process has counted since it began."""
        ...

    def flush(self) -> None:
        """Share what has been counted; without the server it is kept for the next time."""
        ...

    def totals(self) -> Totals:
        """What all processes have shared. Raises `QueueError`."""
        ...


def bucket_of(histogram: Histogram, seconds: float) -> str:
    """The upper bound of the bucket that it falls in, as the label `le` has it."""
    return next((str(bound) for bound in histogram.buckets if seconds <= bound), "+Inf")
