"""A model that is a function."""

from __future__ import annotations

from collections.abc import Callable

from backend.core.errors import ModelError
from backend.core.values import Reply, Request
from backend.ports.model import Capabilities


class FunctionModel:
    """`backend.ports.model.Model` from a function that gives a reply, or raises or gives a `ModelError`."""

    def __init__(self, function: Callable[[Request], Reply | ModelError], *, images: bool = True) -> None:
        self._function = function
        self.images = images
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Reply:
        self.requests.append(request)
        answer = self._function(request)
        if isinstance(answer, ModelError):
            raise answer
        return answer

    async def capabilities(self, model: str) -> Capabilities:
        return Capabilities(structured="json_schema", logprobs=20, images=self.images)

    async def takes_images(self, model: str) -> bool:
        return self.images
