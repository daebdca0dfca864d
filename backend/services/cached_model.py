"""A model that is asked the same request once: what was paid for is stored, and served from then on.

The same request means: the same endpoint, the same `Request.key`, and as much in the reply. One without token
probabilities is not served where they are wanted and the endpoint gives them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from backend.core.values import Reply, Request, Usage, canonical_hash
from backend.ports.model import Capabilities, Model
from backend.ports.replies import Replies
from backend.services.together import Together, storing

# How an endpoint says that the reply is all there: OpenAI's words, and what gateways pass on from other servers.
WHOLE = ("stop", "tool_calls", "function_call", "end_turn", "eos_token")


class CachedModel:
    """`backend.ports.model.Model` around another one. One per event loop.

    Requests of one process that are the same wait for the first. If that one fails, is cancelled, or has an answer
    that is not kept, the next one asks. Two processes that ask the same at the same time both pay, and the reply that
    is stored first stays. That is accepted: it happens only to calls in flight, and to prevent it a worker would have
    to hold a lock in the database for as long as a model takes, or leave others waiting for one that was killed.
    """

    def __init__(self, model: Model, replies: Replies, *, endpoint: str) -> None:
        self._model = model
        self._replies = replies
        self._endpoint = endpoint
        self._look_up = Together(self._known)
        self._keep = storing(replies.save_replies)
        self._in_flight: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # key -> who asks now

    async def ask(self, request: Request) -> Reply:
        """The stored reply, marked and free of charge, or the model's, stored before anything else is done with it.

        Raises a `ModelError` of the model, or a `StoreError`: what cannot be remembered is not asked.
        """
        key = reply_key(self._endpoint, request.key, logprobs=await self._gets_logprobs(request))
        async with self._in_flight.setdefault(key, asyncio.Lock()):
            known = await self._look_up(key)
            if known is not None:
                return replace(known, usage=Usage(from_cache=1), latency_s=0.0)
            reply = await self._model.ask(request)
            got = kept_as(self._endpoint, request.key, reply, logprobs=request.logprobs)
            if got is not None:
                await self._keep((got, request.key, reply))
            return reply

    async def capabilities(self, model: str) -> Capabilities:
        return await self._model.capabilities(model)

    async def takes_images(self, model: str) -> bool:
        return await self._model.takes_images(model)

    def _known(self, keys: Sequence[str]) -> Sequence[Reply | None]:
        found = self._replies.replies(keys)
        return [found.get(key) for key in keys]

    async def _gets_logprobs(self, request: Request) -> bool:
        return request.logprobs and (await self._model.capabilities(request.model)).logprobs > 0


def reply_key(endpoint: str, request_key: str, *, logprobs: bool) -> str:
    """Under which the reply to a request is stored; `logprobs`: whether token probabilities come with it."""
    return canonical_hash([endpoint, request_key, logprobs])


def keep_reply(replies: Replies, endpoint: str, request_key: str, reply: Reply, *, logprobs: bool) -> str | None:
    """Store what can be served again, and return its key. `logprobs`: whether token probabilities were wanted."""
    key = kept_as(endpoint, request_key, reply, logprobs=logprobs)
    if key is not None:
        replies.save_reply(key, request_key, reply)
    return key


def kept_as(endpoint: str, request_key: str, reply: Reply, *, logprobs: bool) -> str | None:
    """The key of a reply that can be served again; None for one that cannot."""
    return reply_key(endpoint, request_key, logprobs=logprobs and reply.tokens is not None) if is_whole(reply) else None


def is_whole(reply: Reply) -> bool:
    """Whether it ended well and says something: not cut off, not filtered, not empty."""
    return reply.finish_reason in WHOLE and isinstance(reply.text, str) and bool(reply.text.strip())
