"""Vectors of texts: each made once, several in a call, under the same governor and meters as other calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from time import monotonic
from typing import cast

from backend.core.errors import ModelError
from backend.core.text import storable
from backend.core.values import canonical_hash
from backend.ports.embeddings import Embedded, Embedder, Vector, Vectors
from backend.ports.governor import CallEnd
from backend.ports.meters import MODEL_CALL_SECONDS, MODEL_CALLS, MODEL_TOKENS, Meters
from backend.prompting.tokens import text_tokens
from backend.services.governed_model import GovernedModel

TEXTS_A_CALL = 32  # within what endpoints take, and small beside their limits a minute
CALLS_AT_ONCE = 4
_Wanted = tuple[str, str]  # model, text


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

    What tasks want at the same time goes into the same calls; what comes while these are under way, into the next.
    Close it before its embedder.
    """

    embedder: Embedder
    endpoint: str
    vectors: Vectors | None  # None: nothing is kept beyond this loop
    _known: dict[str, Vector] = field(default_factory=dict)
    _coming: dict[str, asyncio.Future[Vector]] = field(default_factory=dict)
    _asked: dict[str, _Wanted] = field(default_factory=dict)  # of them, not looked up yet
    _missing: dict[str, _Wanted] = field(default_factory=dict)  # of them, in no call yet
    _callers: set[asyncio.Task[None]] = field(default_factory=set)

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        """Of any number of texts. What was made before an error is kept."""
        keys = [canonical_hash([self.endpoint, model, text]) for text in texts]
        for key, text in zip(keys, texts, strict=True):
            if key not in self._known and key not in self._coming:
                self._coming[key] = asyncio.get_running_loop().create_future()
                self._asked[key] = (model, str(storable(text)))
        for _ in range(min(CALLS_AT_ONCE - len(self._callers), ceil(len(self._asked) / TEXTS_A_CALL))):
            caller = asyncio.create_task(self._call())
            self._callers.add(caller)
            caller.add_done_callback(self._callers.discard)
        coming = [self._coming[key] for key in dict.fromkeys(keys) if key in self._coming]
        if coming:
            await asyncio.wait(coming)  # others may wait for them too: a task that is cancelled cancels none
        for one in coming:
            one.result()
        return Embedded(vectors=tuple(self._known[key] for key in keys))

    async def close(self) -> None:
        """End the calls that nobody waits for any more."""
        callers = list(self._callers)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        for one in self._coming.values():
            one.cancel()

    async def _call(self) -> None:
        """One call after the other, until nothing is wanted."""
        try:
            while self._asked or self._missing:
                self._look_up()
                model, texts = self._next()
                try:
                    if texts:
                        await self._make(model, texts)
                except Exception as error:  # noqa: BLE001  - handed on to those who asked, who would wait for ever
                    self._fail(texts, error)
        finally:  # at once: what is asked from here on needs another caller
            self._callers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _look_up(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            found = self.vectors.vectors(list(asked)) if asked and self.vectors is not None else {}
        except Exception as error:  # noqa: BLE001  - likewise
            self._fail(asked, error)
            return
        self._note(found)
        self._missing |= {key: wanted for key, wanted in asked.items() if key not in found}

    def _next(self) -> tuple[str, dict[str, str]]:
        """The model and the texts of the next call."""
        model = next((model for model, _ in self._missing.values()), "")
        of_model = ((key, text) for key, (name, text) in self._missing.items() if name == model)
        texts = dict(islice(of_model, TEXTS_A_CALL))
        for key in texts:
            del self._missing[key]
        return model, texts

    async def _make(self, model: str, texts: Mapping[str, str]) -> None:
        try:
            found = await self.embedder.embed(model, list(texts.values()))
        except ModelError as error:
            if len(texts) == 1 or error.transient or (error.stops_job and not error.doubtful):
                raise
            await self._make_alone(model, texts)
            return
        made = dict(zip(texts, found.vectors, strict=True))
        if self.vectors is not None:
            self.vectors.save_vectors(made)
        self._note(made)

    async def _make_alone(self, model: str, texts: Mapping[str, str]) -> None:
        """Each in a call of its own: what is wrong with one text is not to fail the tasks of others."""
        for key, text in texts.items():
            try:
                await self._make(model, {key: text})
            except ModelError as error:
                self._fail([key], error)

    def _note(self, made: Mapping[str, Vector]) -> None:
        self._known |= made
        for key, vector in made.items():
            if not (one := self._coming.pop(key)).done():
                one.set_result(vector)

    def _fail(self, keys: Iterable[str], error: Exception) -> None:
        for key in keys:
            one = self._coming.pop(key, None)
            if one is not None and not one.done():
                one.set_exception(error)
                one.exception()  # all who waited may be cancelled
