"""What trials take, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from backend.core.values import Agent, Request, Task, Usage
from backend.dialogue import Question
from backend.ports.model import Capabilities
from backend.prompting.answer_size import answer_tokens
from backend.prompting.tokens import estimated_tokens
from backend.services.estimate import Spent
from backend.services.estimated_usage import (
    PROMPT_SHARES,
    calls_a_task,
    has_logprobs,
    likely_calls,
    samples_unknown,
)
from backend.services.estimating import first_request

_FAULT_TOKENS = 50  # that name what is wrong with the answer to one control
_RELATION_TOKENS = 150  # of the question for relations, without the marks of the answer that it names again


class KnownEndpoints(Protocol):
    """What is known of agents' endpoints without asking them."""

    def cost(self, model: str, usage: Usage, agent: Agent) -> float | None:
        """US dollars; None where the price is not known."""
        ...

    def capabilities(self, agent: Agent) -> Capabilities | None:
        """None where they were not found out yet."""
        ...

    def is_stored(self, agent: Agent, request: Request) -> bool:
        """Whether the reply is, which then costs nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The calls of one agent, all estimated."""

    agent: Agent
    likely: Usage
    at_most: Usage
    documents: int = 0  # tasks with some, of those that are asked
    notes: tuple[str, ...] = ()  # what is not counted


@dataclass(frozen=True, kw_only=True)
class Takes:
    """All calls together, by an estimate of tokens that is rarely too low."""

    likely: Spent
    at_most: Spent  # every question asked again, every answer as long as it may be
    documents: int  # tasks with some, of those that are asked: what they hold comes to both
    notes: tuple[str, ...]  # a sentence each, of what is not counted


def takes(expected: Sequence[Expected], endpoints: KnownEndpoints) -> Takes:
    """What these agents take together."""
    return Takes(
        likely=_spent(((one.agent, one.likely) for one in expected), endpoints),
        at_most=_spent(((one.agent, one.at_most) for one in expected), endpoints),
        documents=max(one.documents for one in expected),
        notes=tuple(dict.fromkeys(note for one in expected for note in one.notes)),
    )


def answering(
    question: Question, endpoints: KnownEndpoints, tasks: Sequence[Task], *, longer: tuple[int, int] = (0, 0)
) -> Expected:
    """What answers to these tasks take. First replies that are known to be stored are not counted, and what a student
    or a new reading of stored probabilities answers. `longer`: tokens, likely and at most, that the prompts grow by, to
    which no reply is stored then."""
    agent = question.agent
    if agent.is_student:
        return Expected(agent=agent, likely=Usage(), at_most=Usage())
    known = endpoints.capabilities(agent)
    _, usual, _ = likely_calls(question, known, None)
    most = round(calls_a_task(question, known)[1])
    if agent.confidence == "auto" and has_logprobs(known):  # an answer may come without them all the same
        most += agent.samples - 1
    # A question that is asked again holds every reply until then and what was wrong with it; that for relations holds
    # the reply, and names what it marked.
    again = agent.max_tokens + _FAULT_TOKENS * len(question.config.controls)
    held = agent.reasks * (agent.reasks + 1) // 2 * again
    if agent.relations and question.config.relations is not None:
        held += again + agent.max_tokens + _RELATION_TOKENS
    calls = prompts = answers = 0.0
    all_calls = all_prompts = documents = 0
    for task in tasks:
        if question.calibration is not None and question.calibration.reread(task):
            continue
        first = first_request(question, task)
        if isinstance(first, str):
            continue
        documents += bool(question.config.document_sources(task.data))
        size = estimated_tokens(first.messages)
        stored = not any(longer) and endpoints.is_stored(agent, first)
        calls += usual - stored
        prompts += (usual - stored) * (PROMPT_SHARES[1] * size + longer[0])
        answers += (usual - stored) * answer_tokens(first.schema, first.max_tokens).likely
        all_calls += most - stored
        all_prompts += (most - stored) * (ceil(PROMPT_SHARES[2] * size) + longer[1]) + held
    return Expected(
        agent=agent,
        likely=Usage(prompt_tokens=round(prompts), completion_tokens=round(answers), calls=round(calls)),
        at_most=Usage(prompt_tokens=all_prompts, completion_tokens=all_calls * agent.max_tokens, calls=all_calls),
        documents=documents,
        notes=tuple(_notes(question, known)),
    )


def _notes(question: Question, known: Capabilities | None) -> Iterable[str]:
    agent = question.agent
    if samples_unknown(question, known):
        yield (
            f"Whether the endpoint of {agent.name!r} gives token probabilities is not known yet: likely is with them. "
            f"Without them each task takes {agent.samples} calls."
        )
    if agent.embeddings_model is not None:
        yield f"The vectors by which {agent.name!r} finds its examples are not counted."


def _spent(used: Iterable[tuple[Agent, Usage]], endpoints: KnownEndpoints) -> Spent:
    used = list(used)
    costs = [endpoints.cost(agent.model, usage, agent) for agent, usage in used if usage.calls]
    known = [one for one in costs if one is not None]
    total = sum((usage for _, usage in used), Usage())
    return Spent(
        calls=total.calls,
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        cost_usd=sum(known) if len(known) == len(costs) else None,
    )
