"""The language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from backend.core.values import Reply, Request


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an endpoint accepts for one model: found out once and remembered."""

    structured: str  # "json_schema" (strict), "json_object" or "text"
    logprobs: int  # how many alternatives a token it gives; 0: none
    max_tokens_name: str = "max_tokens"  # or "max_completion_tokens"
    sampling: bool = True  # False: temperature and seed are refused (reasoning models)
    images: bool | None = None  # whether it sees images; None: not asked yet
    reasoning: bool = True  # False: `reasoning_effort` is refused


class Model(Protocol):
    """A language model behind an endpoint."""

    async def ask(self, request: Request) -> Reply:
        """One call, no retry. Raises a `ModelError`."""
        ...

    async def capabilities(self, model: str) -> Capabilities:
        """From memory, from the store, or by probing. Raises a `ModelError`."""
        ...

    async def takes_images(self, model: str) -> bool:
        """Whether it sees images: from memory, from the store, or by showing it one. Raises a `ModelError`."""
        ...
