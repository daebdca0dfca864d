"""A model whose calls must fit a job's budget: what a call may cost at most is reserved before it is made.

Most is: one token a byte of the messages and the schema, which no tokenizer exceeds, the fixed sum for an image, and
the longest answer that is asked for. With all workers' reservations counted, no call is made that could take the job
above its budget, whatever the calls in flight turn out to cost.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from backend.core.errors import (
    BudgetReached,
    LimitFarOff,
    ModelError,
    QueueError,
    SettingsError,
    StoreError,
)
from backend.core.values import Reply, Request
from backend.ports.ledger import Ledger, Reservation
from backend.prompting.tokens import IMAGE_TOKENS, MESSAGE_TOKENS
from backend.services.wrapped_model import WrappedModel

_log = logging.getLogger(__name__)
LOOK_S = 0.25  # how often a call that does not fit looks whether those in flight have left room

Price = Callable[[str, int, int], float | None]  # model, prompt tokens, tokens of the answer -> US dollars


@dataclass(frozen=True, kw_only=True)
class BudgetedModel(WrappedModel):
    """`backend.ports.model.Model` for one job; inside the cache: a stored reply costs nothing.

    `price` None: the budget is of tokens only. `lease_s`: longer than a call can take, the waits for its leave
    included. Besides the model's errors it raises `BudgetReached`, before a call.
    """

    ledger: Ledger
    job_id: int
    price: Price | None
    lease_s: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def ask(self, request: Request) -> Reply:
        prompt, answer = most_prompt_tokens(request), request.max_tokens
        reservation = await self._reserve(prompt + answer, self._usd(request.model, prompt, answer))
        try:
            reply = await self.model.ask(request)
        except (ModelError, LimitFarOff, QueueError) as error:
            self._settle_lost(reservation) if _may_be_paid(error) else self._settle(reservation, 0, 0.0)
            raise
        except BaseException:  # also when it is cancelled: it may be at the endpoint
            self._settle_lost(reservation)
            raise
        usage = reply.usage
        if not usage.prompt_tokens:  # some endpoints tell none
            self._settle_lost(reservation)
        else:
            usd = self._usd(request.model, usage.prompt_tokens, usage.completion_tokens)
            self._settle(reservation, usage.prompt_tokens + usage.completion_tokens, usd)
        return reply

    async def _reserve(self, tokens: int, usd: float) -> Reservation:
        """Waits while calls are in flight that may turn out to cost less than is reserved for them."""
        while True:
            reservation = self.ledger.reserve_spending(self.job_id, tokens=tokens, usd=usd, lease_s=self.lease_s)
            if reservation is not None:
                return reservation
            if not self.ledger.spending(self.job_id).in_flight:
                raise BudgetReached("One more call could cost more than the budget has left.")
            await self.sleep(LOOK_S)

    def _usd(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        if self.price is None:
            return 0.0
        usd = self.price(model, prompt_tokens, completion_tokens)
        if usd is None:
            raise SettingsError(unknown_price(model))
        return usd

    def _settle_lost(self, reservation: Reservation) -> None:
        """Nobody knows what it cost: what was reserved counts as spent."""
        self._settle(reservation, reservation.tokens, reservation.usd)

    def _settle(self, reservation: Reservation, tokens: int, usd: float) -> None:
        """What is not settled expires and counts as spent, so that a reply that was paid for need not be lost."""
        try:
            self.ledger.settle_spending(reservation, tokens=tokens, usd=usd)
        except StoreError as error:
            _log.warning("a model call could not be settled", extra={"reason": error.for_log})


def most_prompt_tokens(request: Request) -> int:
    """More tokens than the prompt has, whatever the tokenizer: those of letters have at least a byte each."""
    texts = [message.content for message in request.messages]
    texts.append(json.dumps(request.schema, ensure_ascii=False))
    images = sum(len(message.images) for message in request.messages)
    letters = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return letters + MESSAGE_TOKENS * (len(request.messages) + 1) + IMAGE_TOKENS * images


def unknown_price(model: str) -> str:
    return (
        f"The price of the model {model!r} at this endpoint is not known: set PRELABEL_USD_PER_MILLION_INPUT and "
        "PRELABEL_USD_PER_MILLION_OUTPUT, or give a budget of tokens."
    )


def _may_be_paid(error: Exception) -> bool:
    """A refusal costs nothing, nor does a call that was not made; one that was lost may have been answered."""
    return isinstance(error, ModelError) and error.lost and not error.limited
