"""Calls that come at the same time, made as one.

With many tasks in hand their steps meet: what all of them want of the store within one turn of the event loop is asked
of it at once, and costs one transaction. Nobody waits for others to come: what comes meanwhile is the next batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """`await together(item)` is that item's result of `call(items)`. One per event loop.

    `call` gives as many results as it gets items, in their order. What it raises, each of them raises.
    """

    def __init__(self, call: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._call = call
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []

    async def __call__(self, item: T) -> R:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run)
        self._waiting.append((item, answer))
        return await answer

    def _run(self) -> None:
        """Also for those that were cancelled meanwhile: what is to be stored of them is."""
        waiting, self._waiting = self._waiting, []
        try:
            results = self._call([item for item, _ in waiting])
        except BaseException as error:  # noqa: BLE001  - handed on to those who asked, who would wait for ever
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(waiting, results, strict=True):
            if not answer.done():
                answer.set_result(result)


def storing(store: Callable[[Sequence[T]], None]) -> Together[T, None]:
    """For a call that gives nothing back."""

    def call(items: Sequence[T]) -> Sequence[None]:
        store(items)
        return [None] * len(items)

    return Together(call)
