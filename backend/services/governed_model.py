"""A model whose calls need the governor's leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from backend.core.errors import LimitFarOff, ModelError, ModelUnreachable, QueueError
from backend.core.values import Reply, Request
from backend.ports.governor import CallEnd, Governor, Leave
from backend.prompting.tokens import IMAGE_TOKENS, estimated_tokens
from backend.services.wrapped_model import WrappedModel

_log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_PAUSE_S = 30.0  # the endpoint's own; a longer one is not waited for in a worker
_IMAGE_QUESTION_TOKENS, _IMAGE_ANSWER_TOKENS = 64 + IMAGE_TOKENS, 64  # whether the model sees images


@dataclass(frozen=True, kw_only=True)
class GovernedModel(WrappedModel):
    """`backend.ports.model.Model`: each call waits for leave, and is settled however it ends.

    Besides the model's errors it raises `LimitFarOff`, and `QueueError` before a call: stop rather than spend. The
    few tiny calls that find out what an endpoint accepts, once for each model, are not counted.
    """

    governor: Governor
    slots: asyncio.Semaphore  # as many calls may be in flight here

    async def ask(self, request: Request) -> Reply:
        prompt_tokens = estimated_tokens(request.messages)
        reply = await self.with_leave(
            request.model, prompt_tokens, request.max_tokens, lambda: self.model.ask(request), _end_of
        )
        return replace(reply, limits=None)

    async def takes_images(self, model: str) -> bool:
        if (await self.model.capabilities(model)).images is not None:  # remembered: no call
            return await self.model.takes_images(model)
        return await self.with_leave(
            model,
            _IMAGE_QUESTION_TOKENS,
            _IMAGE_ANSWER_TOKENS,
            lambda: self.model.takes_images(model),
            lambda _: CallEnd(),
        )

    async def with_leave(
        self,
        model: str,
        prompt_tokens: int,
        max_tokens: int,
        call: Callable[[], Awaitable[T]],
        end_of: Callable[[T], CallEnd],
    ) -> T:
        """A call of any kind to the endpoint, of so many tokens, and how it ended."""
        async with self.slots:
            leave = await self.governor.acquire(model, prompt_tokens=prompt_tokens, max_tokens=max_tokens)
            try:
                answer = await call()
            except ModelError as error:
                await self._settle(leave, _end_after(error))
                pause_s = error.retry_after_s or 0.0
                if error.limited and pause_s > LONGEST_PAUSE_S:
                    raise LimitFarOff(str(error), wait_s=pause_s) from error
                raise
            except BaseException:  # also when cancelled: it may be at the endpoint, and what it uses is not known
                await self._settle(leave, CallEnd())
                raise
        await self._settle(leave, end_of(answer))
        return answer

    async def _settle(self, leave: Leave, end: CallEnd) -> None:
        """What was paid for is not lost with Redis: the leave ends by itself, and the next call gets none."""
        try:
            await self.governor.settle(leave, end)
        except QueueError as error:
            _log.warning("a model call could not be settled", extra={"reason": error.for_log})


def _end_of(reply: Reply) -> CallEnd:
    usage = reply.usage
    if not usage.prompt_tokens:  # some endpoints tell none: what was reserved stays spent
        return CallEnd(limits=reply.limits)
    return CallEnd(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, limits=reply.limits)


def _end_after(error: ModelError) -> CallEnd:
    """A refusal uses no tokens, and counts as a request. Of what failed on the way nobody knows what it used. Only
    what was never sent does not count."""
    if isinstance(error, ModelUnreachable) and not error.lost:
        return CallEnd(counted=False)
    lost = error.lost and not error.limited
    return CallEnd(
        prompt_tokens=None if lost else 0,
        completion_tokens=None if lost else 0,
        limited=error.limited,
        retry_after_s=error.retry_after_s,
        limits=error.limits,
    )
