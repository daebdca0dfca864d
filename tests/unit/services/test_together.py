"""Calls that come at the same time are made as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from backend.core.errors import StoreError
from backend.services.together import Together


class Doubling:
    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        return [2 * number for number in numbers]


def test_what_comes_at_once_is_one_call_and_each_gets_its_own() -> None:
    doubling = Doubling()

    async def play() -> list[int]:
        together = Together(doubling)
        first = await asyncio.gather(*(together(number) for number in range(5)))
        return [*first, await together(9)]

    assert asyncio.run(play()) == [0, 2, 4, 6, 8, 18]
    assert doubling.calls == [[0, 1, 2, 3, 4], [9]]


def test_an_error_is_everybody_s_and_the_next_ones_go_on() -> None:
    doubling = Doubling()

    def fail_once(numbers: Sequence[int]) -> list[int]:
        if 13 in numbers:
            raise StoreError("The disk is full.")
        return doubling(numbers)

    async def play() -> list[int | BaseException]:
        together = Together(fail_once)
        failed = await asyncio.gather(together(1), together(13), return_exceptions=True)
        return [*failed, await together(2)]

    one, other, good = asyncio.run(play())
    assert isinstance(one, StoreError)
    assert isinstance(other, StoreError)
    assert good == 4


def test_what_one_that_was_cancelled_wanted_is_done_all_the_same() -> None:
    """A reply that was paid for is stored, whatever becomes of its task."""
    doubling = Doubling()

    async def play() -> int:
        together = Together(doubling)
        asking = asyncio.create_task(together(1))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return await together(2)

    assert asyncio.run(play()) == 4
    assert doubling.calls in ([[1, 2]], [[1], [2]])
