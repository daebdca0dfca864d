"""Which requests of a conversation go into the next batch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import pytest

from backend.core.values import Message, Outcome, Reply, Request, TaskState
from backend.dialogue import Dialogue
from backend.services.batch_requests import missing_requests
from tests.fakes.installation import replying

FIRST = Request(
    messages=(Message(role="user", content="How is it?"),),
    schema={"type": "object"},
    model="m",
    temperature=0.0,
    max_tokens=10,
    seed=0,
    logprobs=False,
)
SAMPLES = tuple(replace(FIRST, sample=n) for n in (1, 2, 3))
REASKED = replace(FIRST, messages=(*FIRST.messages, Message(role="assistant", content="?"), *FIRST.messages))
RELATED = replace(REASKED, schema={"type": "array"})


def talk(*requests: Request) -> Dialogue:
    """A conversation that asks these one after the other."""
    for request in requests:  # noqa: UP028  - a tuple is sent nothing
        yield request
    return Outcome(state=TaskState.DONE)


def knowing(*requests: Request) -> Callable[[Request], Reply | None]:
    known = {request.key for request in requests}
    return lambda request: replying("yes") if request.key in known else None


@pytest.mark.parametrize(
    ("asked", "known", "missing"),
    [
        ((), (), ()),
        ((FIRST,), (), (FIRST,)),
        ((FIRST,), (FIRST,), ()),
        # the answer to the first decides whether it is asked again, or sampled
        ((FIRST, REASKED), (), (FIRST,)),
        ((FIRST, *SAMPLES), (), (FIRST,)),
        ((FIRST, REASKED), (FIRST,), (REASKED,)),
        ((FIRST, *SAMPLES), (FIRST,), SAMPLES),
        ((FIRST, *SAMPLES), (FIRST, SAMPLES[1]), (SAMPLES[0], SAMPLES[2])),
        ((FIRST, REASKED, *SAMPLES), (FIRST, REASKED), SAMPLES),
        # what the votes come to decides what is asked about relations
        ((FIRST, *SAMPLES, RELATED), (FIRST, *SAMPLES[:2]), SAMPLES[2:]),
        ((FIRST, *SAMPLES, RELATED), (FIRST, *SAMPLES), (RELATED,)),
        ((FIRST, RELATED), (FIRST, RELATED), ()),
    ],
)
def test_what_is_missing(asked: tuple[Request, ...], known: tuple[Request, ...], missing: tuple[Request, ...]) -> None:
    assert missing_requests(talk(*asked), knowing(*known)) == list(missing)


def test_the_conversation_is_closed() -> None:
    closed: list[bool] = []

    def watched() -> Generator[Request, Reply, Outcome]:
        try:
            yield FIRST
            return Outcome(state=TaskState.DONE)
        finally:
            closed.append(True)

    assert missing_requests(watched(), knowing()) == [FIRST]
    assert closed == [True]
