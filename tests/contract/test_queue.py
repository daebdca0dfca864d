"""The queue in memory. The one on Redis is in `tests/integration`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.queue_cases import QueueCases
from tests.fakes.memory_queue import MemoryQueue


class TestMemoryQueue(QueueCases):
    @pytest.fixture
    def queue(self) -> MemoryQueue:
        return MemoryQueue()

    @pytest.fixture
    def unreachable(self) -> MemoryQueue:
        queue = MemoryQueue()
        queue.reachable = False
        return queue

    @pytest.fixture
    def take_sync(self, queue: MemoryQueue) -> Callable[[int], None]:
        def take(project_id: int) -> None:
            queue.messages.popleft()
            queue.sync_started(project_id)

        return take

    def test_messages_are_handed_out_in_order_and_once(self, queue: MemoryQueue) -> None:
        for number in range(3):
            queue.enqueue_chunk(number, [number], interactive=False)
        seen: list[int] = []
        assert queue.run_all(lambda message: seen.append(message.arguments[0])) == 3
        assert (seen, queue.run_all(lambda message: None)) == ([0, 1, 2], 0)

    def test_a_message_whose_work_fails_waits_again(self, queue: MemoryQueue) -> None:
        queue.enqueue_sync(1)
        with pytest.raises(ZeroDivisionError):
            queue.run_all(lambda message: 1 // 0)
        assert queue.depth()["interactive"] == 1

    def test_work_may_add_messages(self, queue: MemoryQueue) -> None:
        queue.enqueue_auto_start(1, [1])

        def work(message: object) -> None:
            if getattr(message, "work", "") == "auto_start":
                queue.enqueue_chunk(1, [1], interactive=False)

        assert queue.run_all(work) == 2
