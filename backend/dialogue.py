"""One task's conversation with a model, as a generator: ask -> read -> re-ask -> sample -> relate -> outcome. Pure.

It yields `Request`s and is sent `Reply`s, or thrown the `ModelError` of a call; it returns an `Outcome`. An error of
the first call comes back out, as does one that stops the whole job: the caller decides about it. After any other it
closes with what was read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

from backend.confidence.task_score import task_score
from backend.core.errors import ContextTooLong, ModelError
from backend.core.text import storable
from backend.core.values import (
    JSON,
    Agent,
    FieldReading,
    Media,
    Message,
    Outcome,
    Reply,
    Request,
    Task,
    TaskState,
    Usage,
    canonical_hash,
)
from backend.examples import ConfigExamples, RetrievedExample, Retriever, examples_for
from backend.fields import only_visible, read_reply
from backend.labeling.config import LabelingConfig
from backend.labeling.shown import Shown
from backend.learning.similarity import ranking
from backend.prompting.answers import answers_that_fit
from backend.prompting.examples import examples_text
from backend.prompting.guidance import with_guidance
from backend.prompting.render import least_tokens, render_messages
from backend.prompting.shortlist import shortlist
from backend.prompting.tokens import estimated_tokens
from backend.relating import relate
from backend.sampling import Sampling, sampling_for
from backend.self_report import SelfReport
from backend.student_answers import Answering

MAX_STORED_REPLY_CHARS = 20_000

Dialogue = Generator[Request, Reply, Outcome]


class Calibrating(Protocol):
    """Batch calibration of one version's labels."""

    def reread(self, task: Task) -> Outcome | None:
        """The task's outcome without asking anybody; None where it has to be asked about. Raises `StoreError`."""
        ...

    def applied(self, task: Task, outcome: Outcome) -> Outcome:
        """What was asked, read again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Question:
    """What stays the same over the tasks of one version."""

    config: LabelingConfig
    agent: Agent
    template_source: str
    instructions: str
    version: str
    retriever: Retriever | None = None  # of verified tasks as examples; None: none are shown
    calibration: Calibrating | None = None  # how its labels are read again after batch calibration; None: they are not
    student: Answering | None = None  # who answers in the place of a model: then nothing is asked

    @cached_property
    def examples(self) -> ConfigExamples:
        return examples_for(self.config, self.agent.examples)


def annotate(question: Question, task: Task, media: Media | None = None) -> Dialogue:
    """Annotate one task, with what was loaded of its sources.

    A score of 0 marks, for Label Studio's sorting only, what a person must look at first.
    """
    agent = question.agent
    config = answers_that_fit(question.config.bind(task.data), agent.max_tokens)
    notes = tuple(f"refused: {refusal}" for refusal in config.refusals)
    if not config.controls:
        reasons = "; ".join(str(refusal) for refusal in config.refusals)
        return _unasked("unsupported_config", f"No control of the labeling config can be answered: {reasons}.", notes)
    shown = config.show(task.data, media)
    problems = tuple(s.problem for s in shown.values() if s.problem)
    blind = config.unanswerable(shown)
    config = config.without(blind)
    if not config.controls:
        return _unasked("nothing_to_show", f"Nothing to annotate: {'; '.join(problems)}.", notes)
    notes += (
        problems
        + tuple(note for s in shown.values() for note in s.notes)
        + tuple(f'"{name}" {why}' for name, why in blind.items())
    )
    if question.student is not None:
        return _by_student(question.student, agent, task, config, shown, notes)
    report = SelfReport.of(config) if agent.confidence == "self_reported" else None
    request = partial(_request, question, shown, report)

    def read(reply: Reply) -> tuple[FieldReading, ...]:
        fields = read_reply(reply, config, shown)
        return report.scored(fields, reply) if report else fields

    lists = shortlist(config, shown, ranking, most=agent.max_options)
    lists = lists.fitting(lambda asked: _fits(request(asked, 0), agent))
    found = _retrieved(question, task, lists.asked, request)
    while True:
        first = request(lists.asked, 0, found)
        least = least_tokens(first.messages)
        if least + agent.max_tokens > agent.context_tokens:
            message = f"The prompt has at least {least:,} tokens; the model's window is {agent.context_tokens:,}."
            return _unasked("context_too_long", message, notes + lists.notes)
        try:
            heard = yield from _ask(first, config, read, reasks=agent.reasks)
            break
        except ContextTooLong:
            shorter = lists if found else lists.halved()
            if shorter is None:
                raise
            lists, found = shorter, found[: len(found) // 2]
    sampling = sampling_for(agent, config, heard.fields, first, lambda n: request(lists.asked, n, found))
    if sampling is not None:
        heard = yield from _sample(sampling, config, read, heard)
    outcome = _outcome(config, heard.fields, heard.reply, notes + lists.notes + heard.notes)
    outcome = replace(
        outcome, usage=heard.usage, latency_s=heard.latency_s, request_key=first.key, examples=first.examples
    )
    return (yield from relate(outcome, first, config, shown, agent))


def _by_student(
    student: Answering,
    agent: Agent,
    task: Task,
    config: LabelingConfig,
    shown: Mapping[str, Shown],
    notes: tuple[str, ...],
) -> Outcome:
    """What a student answers; a task of which it can tell nothing counts as one that is not asked."""
    fields = student.fields(task.id, config, shown)
    if all(field.value is None for field in fields):
        reasons = "; ".join(note for field in fields for note in field.notes)
        return _unasked("nothing_to_show", f"Nothing to annotate: {reasons or 'no control is shown'}.", notes)
    notes += tuple(note for field in fields if field.value is None for note in field.notes)
    reply = Reply(text="", finish_reason=None, usage=Usage(), model=agent.model)
    return replace(_outcome(config, fields, reply, notes), reply_text=None)


def _request(
    question: Question,
    shown: Mapping[str, Shown],
    report: SelfReport | None,
    asked: LabelingConfig,
    variant: int,
    retrieved: Sequence[RetrievedExample] = (),
) -> Request:
    """What is asked of a task, in one of the prompt's variants. Of `retrieved` the most similar, which is the first,
    comes last: next to the task."""
    agent, asked = question.agent, asked.reordered(variant)
    own = question.examples.beside(shown, [c.name for c in asked.controls]) if agent.examples else ()
    examples = (*own, *(example.shown for example in reversed(retrieved)))
    return Request(
        messages=render_messages(
            question.template_source,
            asked,
            shown,
            with_guidance(question.instructions, agent.guidance),
            variant=variant,
            confidence_key=report.key if report else None,
            examples=examples_text(examples),
        ),
        schema=report.schema(asked.schema()) if report else asked.schema(),
        model=agent.model,
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        seed=agent.seed,
        reasoning_effort=agent.reasoning_effort,
        logprobs=agent.confidence in ("auto", "logprob") and any(c.has_confidence for c in asked.controls),
        examples=tuple(example.task_id for example in reversed(retrieved)),
    )


def _retrieved(
    question: Question,
    task: Task,
    asked: LabelingConfig,
    request: Callable[[LabelingConfig, int, Sequence[RetrievedExample]], Request],
) -> Sequence[RetrievedExample]:
    """Verified tasks as examples, the most similar first; as many of them as fit the window beside what is asked."""
    if question.retriever is None:
        return ()
    found = question.retriever.examples(task, asked)

    def is_too_long(count: int) -> bool:
        return not _fits(request(asked, 0, found[:count]), question.agent)

    if not found or not is_too_long(len(found)):
        return found
    return found[: bisect_left(range(1, len(found)), True, key=is_too_long)]


def _fits(request: Request, agent: Agent) -> bool:
    return estimated_tokens(request.messages) + agent.max_tokens <= agent.context_tokens


_Read = Callable[[Reply], tuple[FieldReading, ...]]


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What a conversation came to."""

    fields: tuple[FieldReading, ...]
    reply: Reply  # the last one
    usage: Usage
    latency_s: float  # summed over the calls
    notes: tuple[str, ...]


def _ask(request: Request, config: LabelingConfig, read: _Read, *, reasks: int) -> Generator[Request, Reply, _Heard]:
    """Ask, and ask again while something cannot be used. What was once read well stays."""
    heard: _Heard | None = None
    for asked in range(1, reasks + 2):
        try:
            reply = yield request
        except ModelError as error:
            if heard is None:
                raise
            return replace(heard, notes=(*heard.notes, f"asking again failed: {error.kind}"))
        reply = replace(reply, text=storable(reply.text))
        now = read(reply)
        best = now if heard is None else tuple(map(_better, heard.fields, now))
        heard = _Heard(
            fields=best,
            reply=reply,
            usage=heard.usage + reply.usage if heard else reply.usage,
            latency_s=heard.latency_s + reply.latency_s if heard else reply.latency_s,
            notes=(f"asked {asked} times",) if asked > 1 else (),
        )
        broken = [f for f in only_visible(best, config) if f.problem]
        if not broken or reply.finish_reason == "content_filter":  # the same prompt would be filtered again
            break
        request = _reask(request, reply, broken)
    assert heard is not None
    return replace(heard, fields=only_visible(heard.fields, config))


def _sample(
    sampling: Sampling, config: LabelingConfig, read: _Read, heard: _Heard
) -> Generator[Request, Reply, _Heard]:
    """Ask for further answers and let all of them vote. After one that fails those that are there do."""
    samples = [heard.fields]
    for request in sampling.requests:
        try:
            reply = yield request
        except ModelError as error:
            if error.stops_job:  # what is there would have no score, and stay so
                raise
            heard = replace(heard, notes=(*heard.notes, f"a further sample failed: {error.kind}"))
            break
        samples.append(only_visible(read(replace(reply, text=storable(reply.text))), config))
        heard = replace(heard, usage=heard.usage + reply.usage, latency_s=heard.latency_s + reply.latency_s)
    return replace(heard, fields=only_visible(sampling.voted(samples), config))


def _better(before: FieldReading, now: FieldReading) -> FieldReading:
    return before if now.problem and not before.problem else now


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
            groups = control.grouped(field.value)
            scores = field.region_confidences or (field.confidence,) * len(groups)
            for index, (group, score) in enumerate(zip(groups, scores, strict=True)):
                shared = {"id": _region_id(control.name, index, group[0])}
                result += [{**group[0], **_score(score), **shared}, *({**region, **shared} for region in group[1:])]
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


def _score(confidence: float | None) -> dict[str, JSON]:
    return {} if confidence is None else {"score": round(confidence, 3)}


def _region_id(control: str, index: int, region: Mapping[str, JSON]) -> str:
    """Ten characters, the same for the same region: Label Studio needs ids that are unique within a result,
    except that what belongs to one region shares its id."""
    return canonical_hash([control, index, region["value"]])[:10]


def _unasked(error_class: str, message: str, notes: tuple[str, ...]) -> Outcome:
    return Outcome(state=TaskState.SKIPPED, score=0.0, error_class=error_class, error=message, notes=notes)
