"""What a prompt template must show, whoever wrote it: the data within its fences, all options, the answer's shape.

It is rendered with words that stand nowhere else, in every variant of the question, and they are looked for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from backend.core.errors import TemplateError
from backend.prompting.render import fence_for, places_examples, rendered

VARIANTS = 5  # wordings of the same question: as many as the default template has
_EXAMPLES = "qzexamples"
_MANY = 300  # options: a template that cuts a list short would most likely keep fewer


@lru_cache(maxsize=32)
def check_template(source: str) -> None:
    """Raises `TemplateError`, one sentence that names what the template leaves out, or why it does not render."""
    for context in _contexts():
        text = "\n".join(rendered(source, context).values())
        missing = _missing(text, context)
        if missing is None and places_examples(source) and _EXAMPLES not in text:
            missing = "names `examples` and does not show them in every case"
        if missing is not None:
            raise TemplateError(f"The prompt template {missing}: mend it, or use the default one.")


def _missing(text: str, context: dict[str, Any]) -> str | None:
    """What `text` does not show of what it was rendered with."""
    for shown in context["objects"]:
        fenced = f"{shown['fence']}\n{shown['text']}\n{shown['fence']}"
        if fenced not in text:
            return "does not show the data of every object between two lines of its fence (`object.fence`)"
        text = text.replace(fenced, "")
    if any(shown["text"] in text for shown in context["objects"]):
        return "shows data outside of its fences"
    for field in context["fields"]:
        if any(option["name"] not in text for option in field["options"]):
            return "does not list every option of every control (`field.options`)"
        for part in field["attached"]:
            if any(word not in text for word in (part["name"], *(option["name"] for option in part["options"]))):
                return "does not list what is asked for each region, with every option (`field.attached`)"
    if context["shape"] not in text:
        return "does not show the shape of the answer (`shape`)"
    return None


def _contexts() -> Iterator[dict[str, Any]]:
    """Several controls and objects, or one; every variant; without what may be absent; once with long lists."""
    texts = [f"qzdata{n} {'~' * (3 + n)} qzdata{n}" for n in range(2)]
    objects = [{"name": f"qzobject{n}", "text": text, "fence": fence_for(text)} for n, text in enumerate(texts)]
    for variant in range(VARIANTS):
        several, many = variant % 2 == 0, _MANY if variant == 0 else 3
        part = {"name": "qzpart", "question": None, "ask": "qzask", "options": _options("p", many)}
        fields = [_field("a", _options("a", many)), _field("b", []), _field("c", _options("c", 2), part)]
        yield {
            "objects": objects if several else objects[:1],
            "fields": fields if several else fields[:1],
            "instructions": "" if several else "qzinstructions",
            "shape": '{"qzshape": "<qzvalue>"}',
            "examples": _EXAMPLES,
            "variant": variant,
            "confidence_key": "qzsure" if variant > 2 else None,
        }


def _field(name: str, options: list[dict[str, Any]], *attached: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"qzfield-{name}",
        "question": f"qzquestion-{name}",
        "about": None,
        "ask": "qzask",
        "options": options,
        "attached": list(attached),
    }


def _options(field: str, count: int) -> list[dict[str, Any]]:
    """No name is part of another one."""
    return [{"name": f"qz-{field}-{n}-zq", "about": "qzhint" if n % 2 else None} for n in range(count)]
