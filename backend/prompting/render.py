"""Messages from a template, a labeling config and a task.

Task text is untrusted. What objects show stands between fences that do not occur in it. Outside of them, among what
may be answered, stand only the options that a task brings along, each in one line: names and aliases as they are,
for they are the answer, descriptions cut short (`labeling.controls.dynamic`), and of the items of a List their ids.
Jinja runs sandboxed, and all text is a value of the template, never part of its source ("{" and "%" in it are plain
characters).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from backend.core import errors
from backend.core.values import Message
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control, Option
from backend.labeling.controls.regions import RegionControl
from backend.labeling.shown import Shown

_FENCE_CHARACTER = "~"
_VARIABLES = frozenset({"objects", "fields", "instructions", "shape", "variant", "confidence_key", "examples"})
_DOES_NOT_RENDER = (TemplateError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
_BYTES_A_TOKEN_AT_MOST = 128.0  # the longest tokens in use are 128 spaces


def render_messages(
    source: str,
    config: LabelingConfig,
    shown: Mapping[str, Shown],
    instructions: str,
    *,
    variant: int = 0,
    confidence_key: str | None = None,
    examples: str = "",
) -> tuple[Message, ...]:
    """The system and the user message. Raises `TemplateError` for a template that does not render.

    `variant` counts other wordings of the same question from 0. `confidence_key` asks under that key for the model's
    own confidence in each answer. `examples` (`prompting.examples`) go where the template names them, else before what
    it asks.
    """
    context = _context(config, shown, instructions) | {"variant": variant, "confidence_key": confidence_key}
    context |= {"shape": _shape(config, confidence_key), "examples": examples}
    blocks = rendered(source, context)
    if not places_examples(source):
        blocks["user"] = examples + blocks["user"]
    images = tuple(image.picture.data_uri for s in shown.values() for image in s.images)
    return tuple(
        Message(role=role, content=text, images=images if role == "user" else ())
        for role, text in blocks.items()
        if text
    )


def rendered(source: str, context: dict[str, Any]) -> dict[str, str]:
    """The template's blocks, "system" and "user", by name. Raises `TemplateError`."""
    try:
        template = _compile(source)
        return {name: _block(template, name, context) for name in ("system", "user")}
    except _DOES_NOT_RENDER as error:
        raise errors.TemplateError(
            f"The prompt template does not render ({type(error).__name__}): mend it, or use the default one."
        ) from error


def places_examples(source: str) -> bool:
    """Whether a template that renders says where examples go."""
    return "examples" in _named(source)


def shows_instructions(source: str) -> bool:
    """Whether a template that renders shows instructions at all."""
    return "instructions" in _named(source)


@lru_cache(maxsize=32)
def _named(source: str) -> frozenset[str]:
    return frozenset(find_undeclared_variables(ImmutableSandboxedEnvironment(autoescape=False).parse(source)))


def least_tokens(messages: tuple[Message, ...]) -> int:
    """A number of tokens that the messages surely have at least, whatever the tokenizer."""
    return int(sum(len(m.content.encode("utf-8", "surrogatepass")) for m in messages) / _BYTES_A_TOKEN_AT_MOST)


def fence_for(text: str) -> str:
    """A line of tildes, at least three, longer than any run of tildes in `text`."""
    longest = current = 0
    for character in text:
        current = current + 1 if character == _FENCE_CHARACTER else 0
        longest = max(longest, current)
    return _FENCE_CHARACTER * max(3, longest + 1)


@lru_cache(maxsize=32)
def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, trim_blocks=False
    )
    unknown = find_undeclared_variables(environment.parse(source)) - _VARIABLES
    if unknown:  # also in a branch that this task would not take
        raise UndefinedError(f"unknown variables: {', '.join(sorted(unknown))}")
    return environment.from_string(source)


def _block(template: Template, name: str, context: dict[str, Any]) -> str:
    block = template.blocks.get(name)
    if block is None:
        if name == "user":
            raise KeyError(name)
        return ""
    return "".join(block(template.new_context(context))).strip()


def _context(config: LabelingConfig, shown: Mapping[str, Shown], instructions: str) -> dict[str, Any]:
    several = len(config.objects) > 1
    return {
        "objects": [
            {"name": s.name, "text": s.text if not s.is_empty else "(nothing)", "fence": fence_for(s.text)}
            for s in shown.values()
        ],
        "fields": [_field(control, several) for control in config.controls],
        "instructions": instructions.strip(),
    }


def _field(control: Control, several: bool) -> dict[str, Any]:
    return {
        "name": control.name,
        "question": control.question,
        "about": " and ".join(f'"{name}"' for name in control.to_name) if several else None,
        "ask": one_line(control.ask() + _only_if(control)),
        "options": _options(control),
        "attached": [
            {"name": key, "question": one.question, "ask": one_line(_ask_attached(one)), "options": _options(one)}
            for key, one in (control.keys.items() if isinstance(control, RegionControl) else ())
        ],
    }


def _options(control: Control) -> list[dict[str, Any]]:
    return [{"name": one_line(o.name), "about": _about(o)} for o in control.options]


def _ask_attached(control: Control) -> str:
    """What is asked in each region; null where the control's own words do not offer an empty answer."""
    offered = control.required or {"null", "array"} & {*_types(control.schema())}
    return control.ask() + ("" if offered else ", or null if none fits") + _only_if(control)


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return types if isinstance(types, list) else [types]


def _only_if(control: Control) -> str:
    """The answers under which the control is shown at all."""
    if not control.conditions:
        return ""
    return f"; null unless {' and '.join(str(condition) for condition in control.conditions)}"


def _about(option: Option) -> str | None:
    """What is known of a class: its hint, and its alias where it goes by another name too."""
    alias = f'also called "{option.value}"' if option.value != option.name else None
    return one_line("; ".join(part for part in (option.description, alias) if part)) or None


def one_line(text: str) -> str:
    """A line end in a class's name or hint must not look like another class."""
    return " ".join(text.split()) if text.splitlines() != [text] else text


def _shape(config: LabelingConfig, confidence_key: str | None) -> str:
    shapes = {c.name: c.shape() for c in config.controls}
    if confidence_key:
        shapes[confidence_key] = _object(dict.fromkeys(shapes, "<0 to 100>"))
    return _object(shapes)


def _object(shapes: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {shape}" for name, shape in shapes.items()) + "}"
