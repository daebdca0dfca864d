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
from backend.services.estimated_usage import PROMPT_SHARES, calls_a_task, likely_calls
from backend.services.estimating import first_request

_FAULT_TOKENS = 50  # that name what is wrong with the answer to one control


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
    """The calls of one agent."""

    agent: Agent
    likely: Usage
    at_most: Usage


@dataclass(frozen=True, kw_only=True)
class Takes:
    """All calls together. What documents hold comes to both."""

    likely: Spent
    at_most: Spent  # every question asked again, every answer as long as it may be
    documents: int  # tasks with some, of those that are asked


def takes(expected: Sequence[Expected], endpoints: KnownEndpoints, *, documents: int) -> Takes:
    return Takes(
        likely=_spent(((one.agent, one.likely) for one in expected), endpoints),
        at_most=_spent(((one.agent, one.at_most) for one in expected), endpoints),
        documents=documents,
    )


def answering(question: Question, endpoints: KnownEndpoints, tasks: Sequence[Task], *, longer: int = 0) -> Expected:
    """What answers to these tasks take, with prompts `longer` by so many tokens, which no stored reply is to. A student
    takes nothing."""
    agent = question.agent
    if agent.is_student:
        return Expected(agent=agent, likely=Usage(), at_most=Usage())
    known = endpoints.capabilities(agent)
    _, usual, _ = likely_calls(question, known, None)
    most = round(calls_a_task(question, known)[1])
    # A question that is asked again holds every reply until then and what was wrong with it; one for relations, one.
    related = agent.relations and question.config.relations is not None
    held = agent.reasks * (agent.reasks + 1) // 2 + related
    again = held * (agent.max_tokens + _FAULT_TOKENS * len(question.config.controls))
    calls = prompts = answers = 0.0
    all_calls = all_prompts = 0
    for task in tasks:
        first = first_request(question, task)
        if isinstance(first, str):
            continue
        size = estimated_tokens(first.messages)
        stored = not longer and endpoints.is_stored(agent, first)
        calls += usual - stored
        prompts += (usual - stored) * (PROMPT_SHARES[1] * size + longer)
        answers += (usual - stored) * answer_tokens(first.schema, first.max_tokens).likely
        all_calls += most - stored
        all_prompts += (most - stored) * (ceil(PROMPT_SHARES[2] * size) + longer) + again
    return Expected(
        agent=agent,
        likely=Usage(prompt_tokens=round(prompts), completion_tokens=round(answers), calls=round(calls)),
        at_most=Usage(prompt_tokens=all_prompts, completion_tokens=all_calls * agent.max_tokens, calls=all_calls),
    )


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
