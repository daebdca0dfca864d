"""The batch lane with a real Label Studio: bad rows, an unreadable reply, a worker that is killed, and refusals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.configs import FEEDBACK
from tests.e2e.stack import Labeling, Stack, eventually

ROWS = [{"text": f"Parcel {n}: {('a great product', 'a terrible delivery')[n % 2]}"} for n in range(40)]
BAD = {"0": "error", "5": "garbage", "10": "stranger", "15": "cut", "20": "nothing", "25": "twice", "30": "unreadable"}
SETTINGS = {"PRELABEL_CACHE_DAYS": "30", "PRELABEL_BATCH_POLL_S": "1", "PRELABEL_CHUNK_SIZE": "10"}


@pytest.fixture
def scripted(stack: Stack) -> Iterator[Stack]:
    """The installation whose model has a batch API, with nothing in it."""
    stack.model.batches.batches.clear()
    stack.model.batches.answered.clear()
    stack.model.batches.bodies.clear()
    yield stack
    stack.model.change(batches=None)


def sentiments(project: Labeling, version: str) -> dict[int, Any]:
    found = project.of_version(version)
    return {
        task_id: next(r["value"]["choices"] for r in p.result if r["from_name"] == "sentiment")
        for task_id, p in found.items()
    }


def test_forty_tasks_go_through_the_batch_lane(scripted: Stack) -> None:
    scripted.model.change(batches={"bad": BAD, "looks": 1})
    with scripted.beside("batch", SETTINGS, database=6, serve=True) as other:
        project = other.project("Batched", FEEDBACK, ROWS)
        other.connect(project)
        other.doctor(project)  # it finds out what the endpoint accepts, by calls of its own
        live = other.model_calls()
        told = other.answer("run", "--project", project.id, "--lane", "batch", "--wait")
        assert told["state"] == "done"
        assert told["by_state"] == {"done": 40}
        assert (told["written"], told["undelivered"]) == (40, 0)
        assert other.model_calls() == live
        batches = scripted.model.batches
        assert [len(b.rows) for b in batches.batches.values()] == [40, 6]  # five bad rows and what is asked again
        assert max(batches.answered.values()) == 1
        assert len(batches.answered) == 41
        assert batches.files == {}
        assert told["batch"]["requests"] == 46
        assert told["batch"]["answered"] == 41
        assert told["batch"]["prompt_tokens"] > 0
        assert (told["model_calls"], told["replies_from_cache"]) == (0, 41)
        wanted = {n: [("positive", "negative")[i % 2]] for i, n in enumerate(project.task_ids())}
        assert sentiments(project, told["version"]) == wanted
        assert min(p.score for p in project.of_version(told["version"]).values()) > 0
        shown = other.prelabel("status", "--project", project.id).out
        assert "batch: 46 requests, 41 answered" in shown


def test_a_killed_worker_s_batch_is_found_again_and_not_paid_twice(scripted: Stack) -> None:
    scripted.model.change(batches={"looks": 1_000_000})
    with scripted.beside("batch-killed", SETTINGS, database=7, serve=True, worker=False) as other:
        project = other.project("Batched and killed", FEEDBACK, ROWS[:10])
        other.connect(project)
        with other.product.start_worker("first") as worker:
            told = other.answer("run", "--project", project.id, "--lane", "batch")
            eventually(lambda: status(other, project)["batch"]["waiting"], "a batch is out", 60)
            os.kill(worker.process.pid, signal.SIGKILL)
        shown = other.prelabel("status", "--project", project.id).out
        assert "waiting for the endpoint's batch (submitted " in shown
        assert "0 of 10 done)" in shown
        scripted.model.change(batches={"looks": 0})
        with other.product.start_worker("second"):
            eventually(lambda: status(other, project)["state"] == "done", "the job is done", 90)
        assert len(scripted.model.batches.batches) == 1
        assert sorted(scripted.model.batches.answered.values()) == [1] * 10
        assert len(project.of_version(told["version"])) == 10


def status(other: Stack, project: Labeling) -> dict[str, Any]:
    return dict(other.status(project)["jobs"][0])


def test_what_has_no_batch_api_or_no_cache_is_refused_before_anything_is_made(scripted: Stack) -> None:
    project = scripted.project("Not batched", FEEDBACK, ROWS[:1])
    scripted.connect(project)
    run = ("run", "--project", project.id, "--lane", "batch")
    assert "set PRELABEL_CACHE_DAYS to 1 or more" in scripted.prelabel(*run).only_sentence
    told = scripted.prelabel(*run, PRELABEL_CACHE_DAYS="30").only_sentence
    assert told.endswith("has no batch API: run without --lane batch.")
    assert scripted.status(project)["jobs"] == []
