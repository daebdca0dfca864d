"""Predictions are written back while the model is being asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backend.core.errors import LabelStudioUnreachable
from backend.services.meanwhile import written_back_meanwhile


class Writing:
    """A writer that counts, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.projects = failures, list[int]()
        self.threads = set[int]()

    def write_back(self, project_id: int, *, longest_s: float) -> int:
        assert longest_s <= 1.0
        self.projects.append(project_id)
        self.threads.add(threading.get_ident())
        if len(self.projects) <= self.failures:
            raise LabelStudioUnreachable("Label Studio is away.")
        return 1


def written(writer: Writing, *, seconds: float, each_s: float) -> None:
    async def play() -> None:
        async with written_back_meanwhile(writer, 7, each_s=each_s):  # type: ignore[arg-type]
            await asyncio.sleep(seconds)

    asyncio.run(play())


def test_it_writes_now_and_then_in_another_thread() -> None:
    writer = Writing()
    written(writer, seconds=0.3, each_s=0.01)
    assert len(writer.projects) > 2
    assert set(writer.projects) == {7}
    assert threading.get_ident() not in writer.threads


def test_a_short_chunk_leaves_it_to_its_end() -> None:
    writer = Writing()
    written(writer, seconds=0.0, each_s=1.0)
    assert writer.projects == []


def test_a_failure_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writing(failures=2)
    written(writer, seconds=0.3, each_s=0.01)
    assert len(writer.projects) > 2
    assert [record.message for record in caplog.records] == ["not written back for now"] * 2
