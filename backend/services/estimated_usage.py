"""How many calls a task takes and how large they are: before a version was ever asked, and once it was."""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.values import Request
from backend.dialogue import Question
from backend.ports.model import Capabilities
from backend.prompting.answer_size import Size
from backend.services.cached_model import reply_key
from backend.services.estimate import Range

Three = tuple[float, float, float]  # low, likely, high

PROMPT_SHARES = (0.5, 0.65, 1.1)  # real tokens as shares of the estimate, over most languages and prompts
_ASKED_AGAIN = 0.15  # of all replies, where many are unreadable


@dataclass(frozen=True, kw_only=True)
class Experience:
    """What calls of the version used before, on average."""

    calls: float  # for a task
    prompt_share: float  # real tokens of a prompt as a share of the estimate
    answer: float  # tokens of an answer
    latency_s: float  # of a call


def calls_a_task(question: Question, known: Capabilities | None) -> Range:
    """Fewest and most calls for a task that is asked: samples for a score, questions asked again, relations. An
    endpoint that is known to give the probabilities of tokens is taken to give them for every answer."""
    agent = question.agent
    if agent.is_student:
        return 1, 1
    scored = any(control.has_confidence for control in question.config.controls)
    more = agent.samples - 1 if scored else 0
    sampled = agent.confidence in ("agreement", "prompt_variants")
    sampled |= agent.confidence == "auto" and not has_logprobs(known)
    most = 1 + agent.reasks + (more if sampled else 0)
    most += 1 if agent.relations and question.config.relations is not None else 0
    return 1, most


def samples_unknown(question: Question, known: Capabilities | None) -> bool:
    """Whether it depends on what the endpoint can do, which is not known, how many answers a task takes."""
    scored = any(control.has_confidence for control in question.config.controls)
    return scored and not question.agent.is_student and question.agent.confidence == "auto" and known is None


def likely_calls(question: Question, known: Capabilities | None, real: Experience | None) -> Three:
    """Low, likely and high, over many tasks."""
    agent, (_, most) = question.agent, calls_a_task(question, known)
    if agent.is_student:
        return 1.0, 1.0, 1.0
    if real is not None:
        return max(1.0, 0.8 * real.calls), real.calls, max(real.calls, min(most, 1.25 * real.calls))
    related = 1 if agent.relations and question.config.relations is not None else 0
    samples = most - 1 - agent.reasks - related
    sure = 0 if samples_unknown(question, known) else samples
    asked_again = _ASKED_AGAIN if agent.reasks else 0.0
    return 1.0 + sure, 1.0 + sure + related + asked_again / 3, 1.0 + samples + related + asked_again


def prompt_shares(real: Experience | None) -> Three:
    if real is None:
        return PROMPT_SHARES
    return 0.8 * real.prompt_share, real.prompt_share, 1.25 * real.prompt_share


def answer_sizes(size: Size, real: Experience | None) -> Three:
    """Tokens of an answer; `size` is that of the answers that are asked for, on average."""
    if real is not None:
        return 0.5 * real.answer, real.answer, 2 * real.answer
    return size.least, size.likely, size.most


def first_reply_key(endpoint: str, request: Request, known: Capabilities | None) -> str:
    """Under which the reply to a request is stored, by what is known of the endpoint."""
    return reply_key(endpoint, request.key, logprobs=request.logprobs and has_logprobs(known))


def has_logprobs(known: Capabilities | None) -> bool:
    return known is not None and known.logprobs > 0
