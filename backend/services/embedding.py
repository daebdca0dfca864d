"""Vectors of texts: each made once, several in a call, under the same governor and meters as other calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from backend.core.errors import ModelError
from backend.core.text import storable
from backend.core.values import canonical_hash
from backend.ports.embeddings import Embedded, Embedder, Vector, Vectors
from backend.ports.governor import CallEnd
from backend.ports.meters import MODEL_CALL_SECONDS, MODEL_CALLS, MODEL_TOKENS, Meters
from backend.prompting.tokens import text_tokens
from backend.services.governed_model import GovernedModel

TEXTS_A_CALL = 32  # within what endpoints take, and small beside their limits a minute


@dataclass(frozen=True, kw_only=True)
class GovernedEmbedder:
    """`Embedder` whose calls wait for leave and are counted, as those of `governed` do."""

    embedder: Embedder
    governed: GovernedModel
    meters: Meters

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        """Besides the model's errors it raises `LimitFarOff`, and `QueueError` before a call."""
        return await self.governed.with_leave(
            model,
            sum(map(text_tokens, texts)),
            0,
            lambda: self._counted(model, texts),
            lambda found: CallEnd(prompt_tokens=found.prompt_tokens, completion_tokens=0),
        )

    async def _counted(self, model: str, texts: Sequence[str]) -> Embedded:
        started = monotonic()
        try:
            found = await self.embedder.embed(model, texts)
        except ModelError as error:
            self.meters.add(MODEL_CALLS, model, error.kind)
            raise
        except asyncio.CancelledError:
            self.meters.add(MODEL_CALLS, model, "cancelled")
            raise
        self.meters.add(MODEL_CALLS, model, "answered")
        self.meters.observe(MODEL_CALL_SECONDS, monotonic() - started, model)
        self.meters.add(MODEL_TOKENS, model, "prompt", by=found.prompt_tokens or 0)
        return found


@dataclass(kw_only=True)
class KeptEmbedder:
    """`Embedder` of one event loop: of the same text one vector is made, and kept in the database.

    One call at a time: tasks that begin together all want the same examples' vectors.
    """

    embedder: Embedder
    endpoint: str
    vectors: Vectors | None  # None: nothing is kept beyond this loop
    _known: dict[str, Vector] = field(default_factory=dict)
    _at_work: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        """Of any number of texts. What was made before an error is kept."""
        keys = [canonical_hash([self.endpoint, model, text]) for text in texts]
        async with self._at_work:
            wanted = {key: str(storable(text)) for key, text in zip(keys, texts, strict=True) if key not in self._known}
            if wanted and self.vectors is not None:
                self._known |= self.vectors.vectors(list(wanted))
            missing = [(key, text) for key, text in wanted.items() if key not in self._known]
            for start in range(0, len(missing), TEXTS_A_CALL):
                await self._make(model, missing[start : start + TEXTS_A_CALL])
        return Embedded(vectors=tuple(self._known[key] for key in keys))

    async def _make(self, model: str, missing: Sequence[tuple[str, str]]) -> None:
        found = await self.embedder.embed(model, [text for _, text in missing])
        made = {key: vector for (key, _), vector in zip(missing, found.vectors, strict=True)}
        if self.vectors is not None:
            self.vectors.save_vectors(made)
        self._known |= made
