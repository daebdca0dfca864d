"""What trials take at most, before anybody is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from backend.core.values import Agent, Task, Usage
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.ports.model import Capabilities
from backend.prompting.tokens import estimated_tokens
from backend.services.estimated_usage import PROMPT_SHARES, calls_a_task
from backend.services.estimating import first_request

Cost = Callable[[str, Usage, Agent], float | None]  # model, tokens, agent -> US dollars

_FAULT_TOKENS = 50  # that name what is wrong with the answer to one control


@dataclass(frozen=True, kw_only=True)
class AtMost:
    """What calls take, from above: replies that are stored already cost nothing, and what documents hold comes to
    it."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None  # None: not known
    documents: int  # tasks with some, of those that are asked

    @classmethod
    def of(
        cls, used: Sequence[tuple[Agent, Usage]], cost: Cost, config: LabelingConfig, tasks: Sequence[Task]
    ) -> AtMost:
        """Of all agents together."""
        costs = [cost(agent.model, usage, agent) for agent, usage in used if usage.calls]
        known = [one for one in costs if one is not None]
        total = sum((usage for _, usage in used), Usage())
        return cls(
            calls=total.calls,
            prompt_tokens=total.prompt_tokens,
            completion_tokens=total.completion_tokens,
            cost_usd=sum(known) if len(known) == len(costs) else None,
            documents=sum(bool(config.document_sources(task.data)) for task in tasks),
        )


def answering(question: Question, known: Capabilities | None, tasks: Sequence[Task], *, longer: int = 0) -> Usage:
    """The most that answers to these tasks take, with prompts `longer` by so many tokens. A student takes nothing."""
    agent = question.agent
    if agent.is_student:
        return Usage()
    _, most = calls_a_task(question, known)
    # A question that is asked again holds every reply until then and what was wrong with it; one for relations, one.
    replies = agent.reasks + (1 if agent.relations else 0)
    again = replies * (agent.max_tokens + _FAULT_TOKENS * len(question.config.controls))
    sizes = [ceil(PROMPT_SHARES[2] * _size(question, task)) + again + longer for task in tasks]
    calls = round(most) * len(sizes)
    return Usage(prompt_tokens=round(most) * sum(sizes), completion_tokens=calls * agent.max_tokens, calls=calls)


def _size(question: Question, task: Task) -> int:
    """Tokens of the first prompt; 0: the task is not asked."""
    first = first_request(question, task)
    return 0 if isinstance(first, str) else estimated_tokens(first.messages)
