"""What `/metrics` tells, read with Prometheus's own parser."""

from __future__ import annotations

import math
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.adapters.metrics import MOST_PROJECTS, Metrics, metric_names
from backend.core.errors import QueueError
from backend.core.values import TaskState
from backend.ports.governor import GovernorLevel
from backend.ports.meters import (
    COUNTERS,
    HISTOGRAMS,
    MODEL_CALL_SECONDS,
    MODEL_CALLS,
    MODEL_TOKENS,
    WRITEBACK_CALL_SECONDS,
)
from tests.fakes.installation import HandClock, memory_store
from tests.fakes.memory_meters import MemoryMeters
from tests.fakes.memory_queue import MemoryQueue

LEVEL = GovernorLevel(
    requests_per_minute=600,
    tokens_per_minute=None,
    requests_used=30,
    tokens_used=9_000,
    in_flight=12,
    window=None,
    paused_s=20.0,
)
Samples = dict[tuple[str, frozenset[str]], float]


def metrics(**changes: Any) -> Metrics:
    parts: dict[str, Any] = {
        "store": memory_store(HandClock()),
        "queue": MemoryQueue(),
        "meters": MemoryMeters(),
        "limits": lambda: {("http://model/v1", "a-model"): LEVEL},
    }
    return Metrics(**{**parts, **changes})


def read(found: Metrics) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(found.render().decode())
        for sample in family.samples
    }


def everything() -> Metrics:
    """With something of each."""
    meters = MemoryMeters()
    for counter in COUNTERS:
        meters.add(counter, *("x" for _ in counter.labels))
    for histogram in HISTOGRAMS:
        meters.observe(histogram, 0.3, *("x" for _ in histogram.labels))
    level = GovernorLevel(**{**vars(LEVEL), "tokens_per_minute": 90_000, "window": 8})
    found = metrics(meters=meters, limits=lambda: {("http://model/v1", "a-model"): level})
    found.store.task_totals = lambda: {(1, TaskState.DONE): 3}  # type: ignore[method-assign]
    return found


def test_the_names_are_all_that_there_are_and_as_prometheus_wants_them() -> None:
    found = {name for name, _ in read(everything())}
    assert found == metric_names()
    for name in found:
        assert name.startswith("prelabel_")
        assert not name.endswith(("_ms", "_minutes", "_count_total"))


def test_every_metric_says_what_it_is() -> None:
    families = list(text_string_to_metric_families(everything().render().decode()))
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter", "histogram"}


def test_where_the_limits_stand() -> None:
    other = GovernorLevel(**{**vars(LEVEL), "in_flight": 3})
    found = read(metrics(limits=lambda: {("http://model/v1", "a-model"): LEVEL, ("http://own/v1", "a-model"): other}))
    assert found["prelabel_model_calls_in_flight", frozenset({"http://own/v1", "a-model"})] == 3
    labels = frozenset({"http://model/v1", "a-model"})
    assert found["prelabel_limit_requests_per_minute", labels] == 600
    assert found["prelabel_model_calls_in_flight", labels] == 12
    assert found["prelabel_limit_paused_seconds", labels] == 20
    assert ("prelabel_limit_tokens_per_minute", labels) not in found  # not known, hence not told
    assert ("prelabel_model_calls_window", labels) not in found


def test_counters_and_a_histogram_that_adds_up() -> None:
    meters = MemoryMeters()
    for seconds in (0.05, 0.3, 0.3, 3_000.0):
        meters.observe(MODEL_CALL_SECONDS, seconds, "m")
    meters.add(MODEL_CALLS, "m", "rate_limited", by=3)
    meters.add(MODEL_TOKENS, "m", "prompt", by=120)
    found = read(metrics(meters=meters))
    assert found["prelabel_model_calls_total", frozenset({"m", "rate_limited"})] == 3
    assert found["prelabel_model_tokens_total", frozenset({"m", "prompt"})] == 120
    assert found["prelabel_model_call_seconds_bucket", frozenset({"m", "0.1"})] == 1
    assert found["prelabel_model_call_seconds_bucket", frozenset({"m", "0.5"})] == 3
    assert found["prelabel_model_call_seconds_bucket", frozenset({"m", "+Inf"})] == 4
    assert found["prelabel_model_call_seconds_count", frozenset({"m"})] == 4
    assert math.isclose(found["prelabel_model_call_seconds_sum", frozenset({"m"})], 3_000.65)
    assert found["prelabel_writeback_predictions_total", frozenset()] == 0


@pytest.mark.parametrize("label", ['quote " and \\', "line\nend", "नमस्ते", "x" * 5_000, ""])
def test_whatever_a_label_holds_the_text_can_be_read(label: str) -> None:
    meters = MemoryMeters()
    meters.add(MODEL_CALLS, label, "answered")
    assert read(metrics(meters=meters))["prelabel_model_calls_total", frozenset({label, "answered"})] == 1


def test_what_another_version_counted_is_left_out() -> None:
    meters = MemoryMeters()
    meters.counted["model_calls", "m", "answered", "a label more"] = 1
    meters.counted["never_heard_of", "m"] = 1
    meters.counted[WRITEBACK_CALL_SECONDS.name, "a label", "0.1"] = 1
    found = read(metrics(meters=meters))
    assert {name for name, _ in found} <= metric_names()
    assert not [labels for name, labels in found if name.startswith(("prelabel_model_calls_t", "prelabel_writeback_c"))]


def test_projects_have_no_endless_series() -> None:
    found = metrics()
    totals = {(project, TaskState.DONE): 1 for project in range(1, MOST_PROJECTS + 31)}
    found.store.task_totals = lambda: totals  # type: ignore[method-assign]
    tasks = {labels: n for (name, labels), n in read(found).items() if name == "prelabel_tasks"}
    assert len(tasks) == MOST_PROJECTS * len(TaskState) + 1
    assert tasks[frozenset({"other", "done"})] == 30
    assert tasks[frozenset({str(MOST_PROJECTS + 30), "done"})] == 1


def test_tasks_are_counted_again_after_a_while_that_grows_with_what_it_takes() -> None:
    now, asked = 0.0, 0

    def count() -> dict[tuple[int, TaskState], int]:
        nonlocal now, asked
        now, asked = now + 1.0, asked + 1
        return {}

    found = metrics(clock=lambda: now)
    found.store.task_totals = count  # type: ignore[method-assign]
    found.render()
    now = 49.0
    found.render()
    assert asked == 1
    now = 51.0
    found.render()
    assert asked == 2


def away() -> dict[str, GovernorLevel]:
    raise QueueError("Redis is away.")


def test_a_part_that_is_away_hides_no_other() -> None:
    found = read(metrics(limits=away))
    assert found["prelabel_up", frozenset({"redis"})] == 0
    assert found["prelabel_up", frozenset({"database"})] == 1
    assert ("prelabel_jobs", frozenset({"done"})) in found
