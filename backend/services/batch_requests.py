"""Which requests of a task's conversation have no stored reply yet: what goes into the next batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from backend.core.errors import LimitFarOff, ModelError, PrelabelError, QueueError, StoreError
from backend.core.values import Reply, Request
from backend.dialogue import Dialogue, Question, annotate
from backend.ports.batches import BatchRequest
from backend.ports.model import Capabilities
from backend.ports.replies import Replies
from backend.ports.store import Record
from backend.services.annotate import Caller, load_media
from backend.services.cached_model import reply_key

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A request without a stored reply, and how it is named in a batch."""

    named: BatchRequest
    request: Request


@dataclass(frozen=True, kw_only=True)
class StoredReplies:
    """What is known of the answers of one endpoint's model, to whom nothing is asked."""

    replies: Replies
    endpoint: str
    found: Capabilities

    def reply(self, request: Request) -> Reply | None:
        return self.replies.reply(self._key(request))

    def wanted(self, request: Request) -> Wanted:
        named = BatchRequest(custom_id=self._key(request), request_key=request.key, logprobs=request.logprobs)
        return Wanted(named=named, request=request)

    def _key(self, request: Request) -> str:
        return reply_key(self.endpoint, request.key, logprobs=request.logprobs and self.found.logprobs > 0)


async def wanted_for(record: Record, question: Question, caller: Caller, stored: StoredReplies) -> list[Wanted]:
    """What a task's conversation needs next; nothing where it can be held to its end, or fails: the worker's chunk
    then says how it ended. Raises what is no fault of the task, as `annotate_task` does."""
    try:
        media = await load_media(question, record.task, caller)
        missing = missing_requests(annotate(question, record.task, media), stored.reply)
    except ModelError as error:
        if error.stops_job or error.transient:
            raise
        return []
    except (LimitFarOff, QueueError, StoreError):
        raise
    except PrelabelError:
        return []
    except Exception as error:  # noqa: BLE001  - the unit of work: one bad task never voids its batch
        _log.exception("looking at a task failed", extra={"task": record.task_id, "error": type(error).__name__})
        return []
    return [stored.wanted(request) for request in missing]


def missing_requests(dialogue: Dialogue, known: Callable[[Request], Reply | None]) -> list[Request]:
    """The requests that a conversation cannot go on without, as far as they can be told now.

    That is one, whose answer decides how it goes on. Further samples are told all at once: nothing depends on
    one of them before all have been heard, so that any answer in its place shows the next.
    """
    missing: list[Request] = []
    try:
        request = first = next(dialogue)
        heard: Reply | None = None
        while True:
            goes_on = len(request.messages) != len(first.messages)  # it quotes an answer: a re-ask, or relations
            if missing and goes_on:
                break  # it came of an answer that was not given
            reply = known(request)
            if reply is None:
                missing.append(request)
                if heard is None or goes_on:
                    break
                reply = heard
            heard = heard or reply
            request = dialogue.send(reply)
    except StopIteration:
        pass
    finally:
        dialogue.close()
    return missing
