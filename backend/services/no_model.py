"""What stands in the place of a model where an agent asks none."""

from __future__ import annotations

from backend.core.errors import ModelBadRequest
from backend.core.values import Reply, Request
from backend.ports.model import Capabilities

_TOLD = "This agent asks no model: it is a student of verified labels."


class NoModel:
    """A model that refuses every question."""

    async def ask(self, request: Request) -> Reply:
        raise ModelBadRequest(_TOLD)

    async def capabilities(self, model: str) -> Capabilities:
        raise ModelBadRequest(_TOLD)

    async def takes_images(self, model: str) -> bool:
        return False
