"""The second question of a conversation: how the regions that were read are related. Pure.

It can only add to what was read: a failed call (unless it stops the job) or an unreadable answer leaves the regions
as they are, with a note.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace

from backend.core.errors import ModelError
from backend.core.text import storable
from backend.core.values import Agent, Message, Outcome, Reply, Request, TaskState
from backend.fields import read_controls
from backend.labeling.config import LabelingConfig
from backend.labeling.following import every
from backend.labeling.relations import MAX_REGIONS, Relations, marks_of
from backend.labeling.schema import strict_object, within_enum_limits
from backend.labeling.shown import Shown
from backend.prompting.relations import relations_question
from backend.prompting.render import least_tokens

MAX_ANSWER_CHARS = 2_000  # of the first answer, in the conversation that goes on


def relate(
    outcome: Outcome, request: Request, config: LabelingConfig, shown: Mapping[str, Shown], agent: Agent
) -> Generator[Request, Reply, Outcome]:
    """The outcome of `request` with the relations between its regions, where the config asks for any."""
    if config.relations is None or not agent.relations or outcome.state is not TaskState.DONE:
        return outcome
    marks = marks_of(outcome.result, every(config.controls), shown)
    if len(marks) < 2:
        return outcome
    if len(marks) > MAX_REGIONS:
        return _noted(outcome, f"not asked over {len(marks)} regions, more than {MAX_REGIONS}")
    relations = config.relations.over(marks)
    asked = _request(relations, request, outcome)
    if least_tokens(asked.messages) + agent.max_tokens > agent.context_tokens:
        return _noted(outcome, "not asked: the question is too long for the model")
    try:
        reply = yield asked
    except ModelError as error:
        if error.stops_job:
            raise
        return _noted(outcome, f"asking for them failed: {error.kind}")
    (field,) = read_controls(replace(reply, text=storable(reply.text)), [relations], shown)
    outcome = replace(
        outcome,
        usage=outcome.usage + reply.usage,
        latency_s=outcome.latency_s + reply.latency_s,
        notes=outcome.notes + tuple(f"relations: {note}" for note in field.notes),
    )
    if field.problem:
        return _noted(outcome, f"the answer {field.problem}")
    result = (*outcome.result, *(relations.regions(field.value) if field.value else ()))
    if config.validate([dict(region) for region in result], outcome.score):
        return _noted(outcome, "Label Studio's check refuses them")
    return replace(outcome, result=result)


def _request(relations: Relations, request: Request, outcome: Outcome) -> Request:
    """The conversation goes on: the task, the answer, the question about it."""
    answer = Message(role="assistant", content=(outcome.reply_text or "")[:MAX_ANSWER_CHARS] or "(nothing)")
    schema = strict_object(within_enum_limits({relations.name: relations.schema()}))
    messages = (*request.messages, answer, relations_question(relations))
    return replace(request, messages=messages, schema=schema, logprobs=False)


def _noted(outcome: Outcome, note: str) -> Outcome:
    return replace(outcome, notes=(*outcome.notes, f"relations: {note}"))
