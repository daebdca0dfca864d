"""An agent as it is written down: a YAML file, checked against a schema with all faults in one message. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from backend.agent_faults import in_plain_words
from backend.core.agents import AGENT_NAME
from backend.core.errors import InputError
from backend.core.text import storable
from backend.core.values import JSON, STUDENT, Agent, Example
from backend.prompting.guidance import MAX_GUIDANCE_CHARS, fault_in

MAX_FILE_BYTES = 500_000
_MAX_TOLD = 20  # faults in one message
_MAX_KEY_CHARS = 60
_OF_A_STUDENT = {"name", "provider", "seed"}
_NO_TEMPLATE = "(none: a student sends no prompts)"
_TEMPLATE_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,79}"
_OWN_VARIABLES = re.compile(r"PRELABEL_.*|LABEL_STUDIO_.*|DATABASE_URL|REDIS_URL")


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an http(s) URL without user, password and query, such as http://localhost:11434/v1")
    if not url.isprintable() or " " in url:
        raise ValueError("must be an http(s) URL without spaces and control characters")
    return url.rstrip("/")


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,79}", name):
        raise ValueError("must be the name of an environment variable that holds the key, never the key itself")
    if _OWN_VARIABLES.fullmatch(name):
        raise ValueError("must not be a variable of Prelabel's own settings: they hold no key of a model endpoint")
    return name


def _guidance(text: str) -> str | None:
    if not text.strip():
        return None
    fault = fault_in(text.strip())
    if fault is not None:
        raise ValueError(f"it {fault}")
    return text.strip()


class ExampleFields(BaseModel):
    """One of `examples`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: dict[str, Any] = Field(min_length=1, description="A task's data.")
    answer: dict[str, Any] = Field(min_length=1, description="The right answer: each control's name with its value.")


class AgentFields(BaseModel):
    """The keys of an agent's file. docs/agents.md lists them; a test compares."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(pattern=f"^{AGENT_NAME}$", description="What the agent is called; versions are `name@hash`.")
    provider: Literal["student"] | None = Field(
        None,
        description="`student`: not a model, but a small classifier that learns from what people verified "
        "([how](#a-student-instead-of-a-model)). It has a `name` and a `seed`, and no other key.",
    )
    model: str = Field(min_length=1, max_length=200, description="The model's name at the endpoint.")
    base_url: Annotated[str, Field(max_length=400), AfterValidator(_endpoint)] | None = Field(
        None, description="The model endpoint, with its `/v1`; unset: that of the installation (`OPENAI_BASE_URL`)."
    )
    key_variable: Annotated[str, AfterValidator(_variable)] | None = Field(
        None,
        description="The name of the environment variable that holds the endpoint's key, never the key itself; unset: "
        "`OPENAI_API_KEY`.",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature.")
    seed: int | None = Field(0, ge=0, lt=2**31, description="Sampling seed; `null`: none is sent.")
    max_tokens: int = Field(512, ge=1, le=10**6, description="Longest answer, in tokens.")
    context_tokens: int = Field(128_000, ge=256, le=10**8, description="The model's window, in tokens.")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None,
        description="How long a reasoning model thinks: `none`, `minimal`, `low`, `medium`, `high` or `xhigh`; unset: "
        "as it does by itself. Not sent to an endpoint that refuses it.",
    )
    confidence: Literal["auto", "logprob", "agreement", "prompt_variants", "self_reported"] = Field(
        "auto",
        description="Where a score comes from: `auto`, `logprob`, `agreement`, `prompt_variants` or `self_reported` "
        "([methods](scores.md)).",
    )
    samples: int = Field(5, ge=2, le=20, description="Answers to a task where the score is their agreement.")
    sample_temperature: float = Field(0.7, gt=0, le=2, description="Temperature of all these but the first.")
    reasks: int = Field(1, ge=0, le=5, description="How often an unreadable reply is asked again.")
    max_options: int = Field(200, ge=8, le=10_000, description="Options of one control that a prompt lists.")
    relations: bool = Field(True, description="Whether relations between regions are asked for.")
    image_side: int = Field(1_568, ge=64, le=8_192, description="Longest side of an image as it is sent, in pixels.")
    document_pages: int = Field(20, ge=1, le=200, description="Of a longer PDF the first pages are shown.")
    template: str = Field(
        "default.v1",
        pattern=f"^{_TEMPLATE_NAME}$",
        description="Prompt template: a file of `prompts/` without `.jinja`. Its source is stored with the agent.",
    )
    template_source: str | None = Field(
        None, min_length=1, max_length=100_000, description="The template itself, instead of a file of `prompts/`."
    )
    guidance: Annotated[str, AfterValidator(_guidance)] | None = Field(
        None,
        description=f"What stands after the project's instructions in the prompt, at most {MAX_GUIDANCE_CHARS:,} "
        "characters; [`agents improve`](#a-better-instruction) writes it.",
    )
    examples: list[ExampleFields] = Field(
        [], max_length=100, description="Tasks with the right answer, shown in the prompt before the task."
    )
    retrieved: int = Field(
        0,
        ge=0,
        le=100,
        description="So many verified tasks of the project are shown as examples too, at most; 0: none "
        "([how](#verified-tasks-as-examples)).",
    )
    selector: Literal["tfidf", "embeddings", "random"] = Field(
        "tfidf",
        description="Which of them: `tfidf`, those whose words and letters are most like the task's; `embeddings`, "
        "those whose meaning is, by an embeddings model; or `random`.",
    )
    embeddings_model: str | None = Field(
        None, min_length=1, max_length=200, description="The embeddings model's name, for `selector: embeddings`."
    )
    embeddings_url: Annotated[str, Field(max_length=400), AfterValidator(_endpoint)] | None = Field(
        None, description="Its endpoint, with its `/v1`, where it is another one than the model's; the key is the same."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_student(cls, given: Any) -> Any:
        """A student has no model, which every other agent needs."""
        if not isinstance(given, dict) or given.get("provider") != STUDENT:
            return given
        if others := sorted(set(given) - _OF_A_STUDENT):
            told = ", ".join(f'"{str(key)[:_MAX_KEY_CHARS]}"' for key in others[:_MAX_TOLD])
            raise ValueError(f"a student asks no model, and has no {told}: keep name, provider and seed")
        return {**given, "model": STUDENT, "template_source": _NO_TEMPLATE}

    @model_validator(mode="after")
    def _one_template(self) -> AgentFields:
        if {"template", "template_source"} <= self.model_fields_set:
            raise ValueError("give template or template_source, not both")
        return self

    @model_validator(mode="after")
    def _embeddings_are_used(self) -> AgentFields:
        by_embeddings = self.retrieved > 0 and self.selector == "embeddings"
        if by_embeddings and self.embeddings_model is None:
            raise ValueError("selector: embeddings needs embeddings_model")
        if not by_embeddings and (self.embeddings_model, self.embeddings_url) != (None, None):
            raise ValueError("embeddings_model and embeddings_url need retrieved, and selector: embeddings")
        return self

    def to_agent(self) -> Agent:
        values = self.model_dump(exclude={"template_source", "examples", "template"})
        template = self.template if self.template_source is None else "(inline)"
        examples = tuple(Example(data=e.data, answer=e.answer) for e in self.examples)
        if not self.retrieved:  # a selector of nothing makes no other version
            values |= {"retrieved": None, "selector": None}
        return Agent(**values, template=template, examples=examples)


def read_agent(text: str, *, template_fault: Callable[[str], str | None] = lambda name: None) -> AgentFields:
    """The agent of a file's text. Raises `InputError` with all that is wrong in one sentence, values left out.
    `template_fault` says what is wrong with the template of a name."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE_BYTES:
        raise InputError(f"The agent's file has more than {MAX_FILE_BYTES:,} bytes: make it shorter.")
    try:
        loader = _Loader(text)
        value = loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"The agent's file is no YAML that can be used: {_where(error)}.") from None
    if not isinstance(value, dict):
        raise InputError("The agent's file must hold keys and values, such as `name: careful` (docs/agents.md).")
    faults = [f'the key "{key}" stands there twice' for key in loader.twice]
    if not _is_json(value):
        faults.append("there is a value that JSON does not have (a key that is no text, a number without end, a tag)")
    elif storable(value) != value:
        faults.append("there are characters that cannot be stored (U+0000, lone surrogates)")
    try:
        fields = AgentFields.model_validate(value)
    except ValidationError as error:
        faults += [_told(fault) for fault in error.errors(include_input=False, include_url=False)]
    faults += _of_template(value, template_fault)
    if faults:
        more = f"; and {len(faults) - _MAX_TOLD} more" if len(faults) > _MAX_TOLD else ""
        raise InputError(f"The agent's file is not right: {'; '.join(faults[:_MAX_TOLD])}{more}.")
    return fields


def _of_template(value: Mapping[Any, Any], template_fault: Callable[[str], str | None]) -> list[str]:
    """Of a template that is named and could be one: what the schema cannot tell."""
    name = value.get("template")
    if not isinstance(name, str) or not re.fullmatch(_TEMPLATE_NAME, name) or "template_source" in value:
        return []
    fault = template_fault(name)
    return [] if fault is None else [f"template: {fault.rstrip('.')}"]


class _Loader(yaml.SafeLoader):
    """Plain data as JSON has it. What YAML 1.1 guesses beyond that (`yes`, dates, octal numbers) stays text; anchors
    are refused, because few of them make endless data; keys that stand twice are noted in `twice`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  - as the base class has it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not taken", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        self.twice += dict.fromkeys(str(k)[:_MAX_KEY_CHARS] for i, k in enumerate(keys) if k in keys[:i])
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|", "~n\0"),
    ("bool", r"true|false", "tf"),
    ("int", r"-?(0|[1-9][0-9]{0,400})", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]{0,400})(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?", "-0123456789"),
):
    _characters = [c if c != "\0" else "" for c in _first]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _characters)


def _where(error: Exception) -> str:
    """What is wrong and at which line, without the file's text."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")
    return f"{problem[:120]} (line {mark.line + 1})" if mark is not None else problem[:120]


def _told(fault: Mapping[str, Any]) -> str:
    place = [str(part)[:_MAX_KEY_CHARS] for part in fault["loc"]]
    where = ".".join(place)
    if fault["type"] == "extra_forbidden":
        known = ExampleFields.model_fields if place[0] == "examples" else AgentFields.model_fields
        near = difflib.get_close_matches(place[-1].lower(), known, n=1, cutoff=0.6)
        return f'unknown key "{where}"' + (f': did you mean "{near[0]}"?' if near else "")
    if fault["type"] == "missing":
        return f'the key "{where}" is missing'
    message = in_plain_words(fault)
    return f"{where}: {message}" if where else message


def _is_json(value: JSON) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
