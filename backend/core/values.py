"""The values that flow through one task's way: task -> request -> reply -> outcome -> prediction. All frozen.

Unknown is None everywhere; no field holds an invented number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from backend.core.limits import RateLimits

JSON = Any  # a value that json.dumps accepts


def canonical_hash(value: JSON) -> str:
    """SHA-256 in hex over the canonical JSON of `value` (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One Label Studio task, with only the data that the labeling config shows."""

    id: int
    project_id: int
    data: Mapping[str, JSON]

    @property
    def data_hash(self) -> str:
        """Changes whenever the shown data changes: a stored answer is only good for the data it was made from."""
        return canonical_hash(dict(self.data))


@dataclass(frozen=True, kw_only=True)
class Message:
    """One chat message, in the roles of the Chat Completions API."""

    role: str  # "system", "user" or "assistant"
    content: str
    images: tuple[str, ...] = ()  # data URIs, in the order in which the text numbers them from 1


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image of a task, as it is sent to a model."""

    data_uri: str
    width: int  # of the original, in pixels, as an annotator's browser shows it
    height: int


@dataclass(frozen=True, kw_only=True)
class DocumentPage:
    """One page of a document, as it is shown to a model."""

    text: str  # its text layer; empty: none that can be read
    picture: Picture | None = None  # where the text may not be all, and images are wanted
    partial: bool = False  # True: the text may not be all, and there is no picture


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document of a task: its first pages, up to the limit."""

    pages: tuple[DocumentPage, ...]
    page_count: int  # of the whole document


Media = Mapping[str, "Picture | Document | str"]  # where it comes from -> what it is, or why there is none: one phrase


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one or more model calls, as the endpoint reported them. Adds."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0  # model calls that were answered, whether or not the answer could be read
    from_cache: int = 0  # replies that were stored from an earlier call: nothing was paid for them

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            from_cache=self.from_cache + other.from_cache,
        )


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """One token of a reply and the alternatives that the model considered in its place."""

    token: str
    logprob: float  # natural logarithm
    top: tuple[tuple[str, float], ...] = ()  # (token, logprob), most likely first


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a model, independent of how an endpoint wants it put."""

    messages: tuple[Message, ...]
    schema: Mapping[str, JSON]  # JSON schema of the answer, within the strict subset of structured outputs
    model: str
    temperature: float
    max_tokens: int
    seed: int | None
    logprobs: bool  # True asks for token log-probabilities where the endpoint has them
    sample: int = 0  # which of several answers to the same prompt this asks for; never sent
    reasoning_effort: str | None = None  # None: the model's own
    take: int = 0  # how often the task was asked anew: such a request is not answered from the cache; never sent
    examples: tuple[int, ...] = ()  # verified tasks that stand in it as examples, in their order there; never sent

    @cached_property
    def key(self) -> str:
        """Hash over everything that can change the answer, and over which of several answers is wanted."""
        content = {
            "messages": [[m.role, m.content, *m.images] for m in self.messages],
            "schema": self.schema,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }
        if self.sample:
            content["sample"] = self.sample
        if self.reasoning_effort is not None:
            content["reasoning_effort"] = self.reasoning_effort
        if self.take:
            content["take"] = self.take
        return canonical_hash(content)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model answered."""

    text: str
    finish_reason: str | None  # "stop", "length", "content_filter", ... as reported
    usage: Usage
    model: str  # as the endpoint names it
    tokens: tuple[TokenLogprob, ...] | None = None  # None: the endpoint gives no log-probabilities
    latency_s: float = 0.0
    limits: RateLimits | None = None  # what the response's headers say of the endpoint's limits

    @property
    def cached(self) -> bool:
        """Whether it is from the cache of replies, and was paid for earlier."""
        return self.usage.from_cache > 0


NOT_SHOWN = "not_shown"  # the step of a control that an annotator would not see


@dataclass(frozen=True, kw_only=True)
class FieldReading:
    """What was read for one control, and how."""

    control: str
    value: JSON | None  # None: nothing usable; `problem` says why, or the control was rightly left empty
    step: str | None  # the reading step that gave the value, for example "strict_json+exact"
    problem: str | None = None  # one phrase without reply text
    rejected: tuple[str, ...] = ()  # answers that are not in the label set, cut to 80 characters
    notes: tuple[str, ...] = ()
    confidence: float | None = None  # probability of being right; None where no method applies
    method: str | None = None  # that gave the confidence, for example "label_logprob"
    signals: Mapping[str, float] = field(default_factory=dict)  # what else the method saw, for example "off_label"
    usable: float = 1.0  # share of the answer's items that could be used: a passage that is not there lowers it
    region_confidences: tuple[float, ...] = ()  # one for each item of the value; empty: all have the control's
    label_probabilities: Mapping[str, float] = field(default_factory=dict)  # the likeliest labels; empty: not known
    label_rest: float = 0.0  # what all labels that are not among these have together


class TaskState(StrEnum):
    """Where one task stands for one version."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    EMPTY = "empty"  # read without a problem, and there was nothing to label
    INVALID = "invalid"  # the model answered, and the answer could not be read into labels
    FAILED = "failed"  # no answer was had; the error class says why
    SKIPPED = "skipped"  # not asked: nothing to show, or too long for the model
    DELETED = "deleted"  # the task is no longer in Label Studio

    @property
    def finished(self) -> bool:
        return self not in (TaskState.QUEUED, TaskState.RUNNING)


class JobState(StrEnum):
    """Where a job stands."""

    ENLISTING = "enlisting"  # its tasks are still being read
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"  # goes on when it is resumed: by whom it was paused, `JobRow.paused_by` says
    DONE = "done"
    CANCELLED = "cancelled"  # by a person; what is answered stays
    STOPPED = "stopped"  # it cannot go on; the reason says why

    @property
    def ended(self) -> bool:
        return self in (JobState.DONE, JobState.CANCELLED, JobState.STOPPED)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one task ended: the labels, or why there are none."""

    state: TaskState
    result: tuple[Mapping[str, JSON], ...] = ()  # Label Studio regions
    score: float | None = None  # in [0, 1]; None where no control has a confidence
    fields: tuple[FieldReading, ...] = ()
    notes: tuple[str, ...] = ()
    error_class: str | None = None
    error: str | None = None  # one sentence
    reply_text: str | None = None  # the last raw reply
    model: str | None = None  # as the endpoint names it
    request_key: str | None = None
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0  # summed over the calls
    examples: tuple[int, ...] = ()  # verified tasks that stood in the prompt as examples, in their order there


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One prediction as Label Studio stores it."""

    task_id: int
    model_version: str
    result: tuple[Mapping[str, JSON], ...]
    score: float | None

    def to_label_studio(self) -> dict[str, JSON]:
        """The dict of `import/predictions` and of a `/predict` answer: both take an absent score, not a null one."""
        answer: dict[str, JSON] = {
            "task": self.task_id,
            "model_version": self.model_version,
            "result": [dict(region) for region in self.result],
        }
        if self.score is not None:
            answer["score"] = self.score
        return answer


@dataclass(frozen=True, kw_only=True)
class Example:
    """A task's data with the right answer, to be shown in the prompt."""

    data: Mapping[str, JSON]
    answer: Mapping[str, JSON]  # control -> value, as a reply would have it


STUDENT = "student"  # the provider of an agent that is trained on a project's verified labels, and asks no model


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A model configuration and a prompt template under a name."""

    name: str
    model: str
    template: str  # file name in the prompts folder, without its ending
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int | None = 0
    reasks: int = 1  # how often an unreadable reply is asked again, naming the error
    context_tokens: int = 128_000  # the model's window, prompt and answer together
    max_options: int = 200  # of a control, in the prompt; longer lists are shortened by similarity
    image_side: int = 1_568  # the longest side of an image as it is sent, in pixels
    confidence: str = "auto"  # or "logprob", "agreement", "prompt_variants", "self_reported": where a score comes from
    samples: int = 5  # answers to a task, where the score is their agreement
    sample_temperature: float = 0.7  # of all samples but the first
    document_pages: int = 20  # of a document, as many as are shown
    relations: bool = True  # whether relations between regions are asked for, where the labeling config has them
    base_url: str | None = None  # of the model endpoint; None: the installation's
    key_variable: str | None = None  # the environment variable that holds the endpoint's key; None: OPENAI_API_KEY
    reasoning_effort: str | None = None  # None: the model's own
    examples: tuple[Example, ...] = ()
    retrieved: int | None = None  # verified tasks that are shown as examples, at most; None: none are
    selector: str | None = None  # how these are chosen, "tfidf", "embeddings" or "random"; None where none are
    embeddings_model: str | None = None  # whose vectors say what is similar; None with any other selector
    embeddings_url: str | None = None  # of its endpoint; None: that of the model
    guidance: str | None = None  # stands after the project's instructions in the prompt; None: nothing does
    # {"of": the name of the agent that it calibrates, "means": {control: the mean probability of each label}}
    calibrated: Mapping[str, JSON] | None = None
    provider: str | None = None  # "student": trained on verified labels, and no model is asked; None: a model is

    @property
    def is_student(self) -> bool:
        return self.provider == STUDENT


def version_of(
    agent: Agent,
    *,
    template_source: str,
    config_fingerprint: str,
    instructions: str,
    with_images: bool = False,
    with_documents: bool = False,
    with_relations: bool = False,
    with_long_lists: bool = False,
) -> str:
    """The one version string: agent name and eight hex digits over everything that can change an answer.

    `backend.version.version_for` says what a labeling config is with.

    The same string stands in `/setup`, in every prediction, in the backend's title and in the project's
    `model_version`, because Label Studio compares these four.
    """
    if agent.is_student:  # nothing else changes what it answers; what it has learnt is of no version, as examples are
        student = {"provider": agent.provider, "seed": agent.seed, "config": config_fingerprint}
        return f"{agent.name}@{canonical_hash(student)[:8]}"
    content = {
        "model": agent.model,
        "temperature": agent.temperature,
        "max_tokens": agent.max_tokens,
        "seed": agent.seed,
        "reasks": agent.reasks,
        "max_options": agent.max_options,
        "template": template_source,
        "config": config_fingerprint,
        "instructions": instructions,
        "confidence": agent.confidence,
    }
    if agent.confidence in ("auto", "agreement", "prompt_variants"):
        content["samples"] = agent.samples
    if agent.confidence in ("auto", "agreement"):
        content["sample_temperature"] = agent.sample_temperature
    if with_images or with_documents:
        content["image_side"] = agent.image_side
    if with_documents:
        content["document_pages"] = agent.document_pages
    if with_relations:
        content["relations"] = agent.relations
    if with_long_lists:  # the window decides how many of the options are shown
        content["context_tokens"] = agent.context_tokens
    return f"{agent.name}@{canonical_hash(content | _where_set(agent))[:8]}"


def _where_set(agent: Agent) -> dict[str, JSON]:
    """What counts for a version only where it is set."""
    content: dict[str, JSON] = {
        name: getattr(agent, name)
        for name in ("base_url", "key_variable", "reasoning_effort", "guidance", "calibrated")
        if getattr(agent, name) is not None
    }
    if agent.examples:
        content["examples"] = [[example.data, example.answer] for example in agent.examples]
    if agent.retrieved:  # the window decides how many of them are shown; which these are grows with what is verified
        content["retrieved"] = [agent.retrieved, agent.selector]
        content["context_tokens"] = agent.context_tokens
    if agent.embeddings_model is not None:
        content["embeddings"] = [agent.embeddings_model, agent.embeddings_url]
    return content
