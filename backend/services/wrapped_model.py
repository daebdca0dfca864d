"""What wrappers of a model have in common: they pass on what they have nothing to say about."""

from __future__ import annotations

from dataclasses import dataclass

from backend.ports.model import Capabilities, Model


@dataclass(frozen=True, kw_only=True)
class WrappedModel:
    """All of `backend.ports.model.Model` but `ask`, from the model inside."""

    model: Model

    async def capabilities(self, model: str) -> Capabilities:
        return await self.model.capabilities(model)

    async def takes_images(self, model: str) -> bool:
        return await self.model.takes_images(model)
