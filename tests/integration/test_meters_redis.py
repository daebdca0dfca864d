"""The counters over a real Redis: all processes add to the same sums, and without the server nothing fails."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.adapters import redis_meters
from backend.adapters.redis_meters import KEY, RedisMeters
from backend.core.errors import QueueError
from backend.ports.meters import MESSAGES, MODEL_CALL_SECONDS, MODEL_CALLS, WRITEBACK_PREDICTIONS
from scripts.processes import free_port
from scripts.services import Redis, start_redis
from tests.integration.test_worker_processes import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def url(redis: Redis) -> Iterator[str]:
    yield redis.url
    RedisMeters(redis.url)._connection.delete(KEY)


def count_in_a_process(url: str) -> None:
    meters = RedisMeters(url)
    for _ in range(100):
        meters.add(MODEL_CALLS, "m", "answered")
        meters.observe(MODEL_CALL_SECONDS, 0.3, "m")
    meters.flush()


def test_processes_add_up(url: str) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=count_in_a_process, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    totals = RedisMeters(url).totals()
    assert totals["model_calls", "m", "answered"] == 300
    assert totals["model_call_seconds", "m", "0.5"] == 300
    assert totals["model_call_seconds", "m", "sum"] == pytest.approx(90.0)


def test_what_is_here_is_this_process_s_own(url: str) -> None:
    meters, other = RedisMeters(url), RedisMeters(url)
    other.add(WRITEBACK_PREDICTIONS, by=5)
    other.close()
    meters.add(WRITEBACK_PREDICTIONS, by=2)
    meters.flush()
    meters.flush()  # nothing is added twice
    assert meters.here() == {("writeback_predictions",): 2}
    assert meters.totals() == {("writeback_predictions",): 7}
    meters.close()


def test_it_is_shared_now_and_then_without_being_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_meters, "FLUSH_S", 0.1)
    meters, looking = RedisMeters(url), RedisMeters(url)
    meters.add(WRITEBACK_PREDICTIONS)
    eventually(lambda: looking.totals() == {("writeback_predictions",): 1}, "it is shared")
    meters.close()


@pytest.mark.parametrize("label", ['"]', "a\x00b\n", "नमस्ते 👋🏽", ""])
def test_any_label_comes_back_as_it_was(url: str, label: str) -> None:
    meters = RedisMeters(url)
    meters.add(MODEL_CALLS, label, "answered")
    meters.close()
    assert RedisMeters(url).totals()["model_calls", label, "answered"] == 1


def test_a_wrong_number_of_labels_is_a_mistake_of_ours(url: str) -> None:
    with pytest.raises(ValueError, match="model_calls has the labels"):
        RedisMeters(url).add(MODEL_CALLS, "m")


def test_without_its_server_it_is_kept_for_later(tmp_path: Path) -> None:
    port = free_port()
    meters = RedisMeters(f"redis://127.0.0.1:{port}/0")
    meters.add(MESSAGES, "write_back", "done")
    meters.flush()
    meters.add(MESSAGES, "write_back", "done")
    with pytest.raises(QueueError, match="REDIS_URL"):
        meters.totals()
    with start_redis(tmp_path, persist=False, port=port):
        meters.flush()
        assert meters.totals() == {("messages", "write_back", "done"): 2}
        meters.close()
