"""The body of a Chat Completions answer -> a `Reply`.

Read by hand rather than by the openai client: its models of every token and alternative cost more time than the rest
of a call. What an endpoint leaves out is unknown; what has another type than it should have is left out.
"""

from __future__ import annotations

import json
from typing import Any

from backend.core.errors import ModelServerError
from backend.core.values import Reply, TokenLogprob, Usage

_MAX_COUNT = 2**31 - 1  # more tokens no call has
_LEAST_LOGPROB, _ROUNDING = -9999.0, 0.01  # the probability of what is less is 0; by so much 0 may be exceeded


def read_completion(body: bytes, *, endpoint: str, latency_s: float) -> Reply:
    """Raises `ModelServerError` for a body that is no JSON, or has no answer in it."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelServerError(f"The model endpoint {endpoint} answered something that is no JSON.") from error
    return reply_of(answer, endpoint=endpoint, latency_s=latency_s)


def reply_of(answer: Any, *, endpoint: str, latency_s: float) -> Reply:
    """The same from the body's JSON."""
    choices = _dict(answer).get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ModelServerError(f"The model endpoint {endpoint} answered without a choice.")
    usage = _dict(answer.get("usage"))
    return Reply(
        text=_text(message.get("content")) or _text(message.get("refusal")) or "",
        finish_reason=_text(choice.get("finish_reason")),
        usage=Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            calls=1,
        ),
        model=_text(answer.get("model")) or "",
        tokens=_tokens(_dict(choice.get("logprobs")).get("content")),
        latency_s=latency_s,
    )


def _tokens(content: Any) -> tuple[TokenLogprob, ...] | None:
    """None where there are none, or one of them is not what it should be: then no position in the text would hold."""
    if not isinstance(content, list) or not content:
        return None
    try:
        return tuple(
            TokenLogprob(
                token=_token(item["token"]),
                logprob=_logprob(item["logprob"]),
                top=tuple((_token(t["token"]), _logprob(t["logprob"])) for t in item.get("top_logprobs") or ()),
            )
            for item in content
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def _token(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _logprob(value: Any) -> float:
    """The logarithm of a probability. NaN is none, nor is what stands for more than 1."""
    if not isinstance(value, float | int) or isinstance(value, bool) or not value <= _ROUNDING:
        raise TypeError
    return max(_LEAST_LOGPROB, min(0.0, float(value)))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int:
    """0 where it is not told, or cannot be: what an endpoint makes up must not overflow a sum that others share."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_COUNT else 0
