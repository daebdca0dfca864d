"""One task's conversation with a model, as a generator: ask -> read -> re-ask -> outcome. Pure.

It yields `Request`s and is sent `Reply`s; it returns an `Outcome`. Errors of the call itself never reach it: the
caller decides about those.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from backend.confidence.task_score import task_score
from backend.core.text import storable
from backend.core.values import (
    JSON,
    Agent,
    FieldReading,
    Message,
    Outcome,
    Reply,
    Request,
    Task,
    TaskState,
    Usage,
    canonical_hash,
)
from backend.fields import read_reply
from backend.labeling.config import LabelingConfig
from backend.prompting.render import least_tokens, render_messages

MAX_STORED_REPLY_CHARS = 20_000

Dialogue = Generator[Request, Reply, Outcome]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What stays the same over the tasks of one version."""

    config: LabelingConfig
    agent: Agent
    template_source: str
    instructions: str
    version: str


def annotate(question: Question, task: Task) -> Dialogue:
    """Annotate one task. A score of 0 marks, for Label Studio's sorting only, what a person must look at first."""
    config, agent = question.config, question.agent
    notes = tuple(f"refused: {refusal}" for refusal in config.refusals)
    if not config.controls:
        reasons = "; ".join(str(refusal) for refusal in config.refusals)
        return _unasked("unsupported_config", f"No control of the labeling config can be answered: {reasons}.", notes)
    shown = config.show(task.data)
    problems = [s.problem for s in shown.values() if s.problem]
    if len(problems) == len(shown):
        return _unasked("nothing_to_show", f"Nothing to annotate: {'; '.join(problems)}.", notes)
    notes += tuple(problems)
    messages = render_messages(question.template_source, config, shown, question.instructions)
    least = least_tokens(messages)
    if least + agent.max_tokens > agent.context_tokens:
        message = f"The prompt has at least {least:,} tokens; the model's window is {agent.context_tokens:,}."
        return _unasked("context_too_long", message, notes)
    request = Request(
        messages=messages,
        schema=config.schema(),
        model=agent.model,
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        seed=agent.seed,
        logprobs=any(c.closed_options for c in config.controls),
    )
    key, usage, latency_s, asked = request.key, Usage(), 0.0, 0
    while True:
        reply = yield request
        reply = replace(reply, text=storable(reply.text))
        asked += 1
        usage, latency_s = usage + reply.usage, latency_s + reply.latency_s
        fields = read_reply(reply, config, shown)
        broken = [f for f in fields if f.problem]
        if not broken or asked > agent.reasks:
            break
        request = _reask(request, reply, broken)
    outcome = _outcome(config, fields, reply, notes)
    return replace(
        outcome,
        usage=usage,
        latency_s=latency_s,
        request_key=key,
        notes=outcome.notes + ((f"asked {asked} times",) if asked > 1 else ()),
    )


def _reask(request: Request, reply: Reply, broken: list[FieldReading]) -> Request:
    """The same conversation with the reply and one message that names what was wrong with it."""
    faults = "; ".join(f'"{f.control}" {f.problem}' for f in broken)
    return replace(
        request,
        messages=(
            *request.messages,
            Message(role="assistant", content=reply.text[:2_000] or "(nothing)"),
            Message(role="user", content=f"That cannot be used: {faults}. Answer again with only the JSON object."),
        ),
    )


def _outcome(config: LabelingConfig, fields: tuple[FieldReading, ...], reply: Reply, notes: tuple[str, ...]) -> Outcome:
    result: list[dict[str, JSON]] = []
    for control, field in zip(config.controls, fields, strict=True):
        if field.value is not None:
            score = {} if field.confidence is None else {"score": round(field.confidence, 3)}
            result += [
                {**region, **score, "id": _region_id(control.name, index, region)}
                for index, region in enumerate(control.regions(field.value))
            ]
    broken = [f for f in fields if f.problem]
    lowest = task_score(f.confidence for f in fields)
    error = "; ".join(f'"{f.control}" {f.problem}' for f in broken) or None
    state = TaskState.INVALID if broken else TaskState.DONE if result else TaskState.EMPTY
    refused = config.validate(result, lowest)
    if refused:
        state, result, error = TaskState.INVALID, [], "Label Studio's check refuses the prediction: " + refused[0]
    return Outcome(
        state=state,
        result=tuple(result),
        score=0.0 if state is TaskState.INVALID else lowest,
        fields=fields,
        notes=notes,
        error_class="invalid_reply" if state is TaskState.INVALID else None,
        error=error,
        reply_text=reply.text[:MAX_STORED_REPLY_CHARS],
        model=reply.model,
    )


def _region_id(control: str, index: int, region: Mapping[str, JSON]) -> str:
    """Ten characters, the same for the same region: Label Studio needs ids that are unique within a result."""
    return canonical_hash([control, index, region["value"]])[:10]


def _unasked(error_class: str, message: str, notes: tuple[str, ...]) -> Outcome:
    return Outcome(state=TaskState.SKIPPED, score=0.0, error_class=error_class, error=message, notes=notes)
