"""What an endpoint was found to accept for a model."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import capabilities
from backend.ports.model import Capabilities


class SqlCapabilities(Database):
    def capabilities(self, endpoint: str, model: str) -> Capabilities | None:
        query = sa.select(capabilities).where(capabilities.c.endpoint == endpoint, capabilities.c.model == model)
        with self.begin(read_only=True) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Capabilities(
            structured=row["structured"],
            logprobs=row["logprobs"],
            max_tokens_name=row["max_tokens_name"],
            sampling=row["sampling"],
            images=row["images"],
            reasoning=row["reasoning"],
        )

    def save_capabilities(self, endpoint: str, model: str, found: Capabilities) -> None:
        values = {**asdict(found), "endpoint": endpoint, "model": model, "checked_at": self._clock()}
        self._upsert(capabilities, values, key=("endpoint", "model"))
