"""What the scripted model answers: a small deterministic script over the data in the prompt. Pure.

The same prompt gives the same answer, and every text has its own certainty, so that scores differ between tasks.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.pictures import seen_on

JSON = Any

_POSITIVE = frozenset(
    [
        "love",
        "loved",
        "loves",
        "great",
        "excellent",
        "wonderful",
        "amazing",
        "happy",
        "perfect",
        "thanks",
        "delighted",
        "best",
        "good",
    ]
)
_NEGATIVE = frozenset(
    [
        "broken",
        "late",
        "angry",
        "terrible",
        "awful",
        "hate",
        "hated",
        "worst",
        "refund",
        "bad",
        "rude",
        "never",
        "disappointed",
    ]
)
_DATA = re.compile(r'^Data "(.*?)":\n(~{3,})\n(.*?)\n\2$', re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r'^"([^"\n]+)"(?: \(.*\))?(?: about "[^\n]*?")?: (.+?):?$')
_TOKEN = re.compile(r"\w{1,4}|[^\w]+")
_SEEN = re.compile(r"image (?P<number>\d+): (?P<colour>\w+) at (?P<box>.*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class LabelPlace:
    """Where one label of a closed set stands in the reply, and the distribution it was drawn from."""

    start: int  # of the label itself, without its quotes
    label: str
    distribution: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ScriptedReply:
    """A reply's text and where its labels stand."""

    text: str
    labels: tuple[LabelPlace, ...]


def answer(
    messages: Sequence[Mapping[str, JSON]],
    response_format: Mapping[str, JSON] | None,
    *,
    sees_images: bool = True,
) -> ScriptedReply:
    """The reply to a Chat Completions request."""
    asked = next((m for m in messages if m.get("role") == "user"), {})
    prompt = _content(asked)
    data = data_in(prompt)
    images = images_in(asked) if sees_images else []
    if images:
        data = [*images, *(data if _DATA.search(prompt) else [])]
    asks = fields_in(prompt)
    kind = (response_format or {}).get("type")
    if kind == "json_schema":
        schema = (response_format or {})["json_schema"]["schema"]
    else:
        schema = {"properties": {name: _schema_of(ask, options) for name, (ask, options) in asks.items()}}
    parts: list[str] = []
    labels: list[LabelPlace] = []
    at = 1
    for name, inner in schema.get("properties", {}).items():
        value = _value(inner, data, asks.get(name, ("", ()))[0])
        written = json.dumps(value, ensure_ascii=False)
        key = f"{json.dumps(name, ensure_ascii=False)}: "
        if "enum" in inner and isinstance(value, str):
            distribution = _distribution(name, inner["enum"], value, data)
            labels.append(LabelPlace(start=at + len(key) + 1, label=value, distribution=distribution))
        parts.append(key + written)
        at += len(key) + len(written) + len(", ")
    return ScriptedReply(text="{" + ", ".join(parts) + "}", labels=tuple(labels))


def data_in(prompt: str) -> list[str]:
    """The texts between the fences of a prompt, or the whole prompt where it has none."""
    return [match[2] for match in _DATA.findall(prompt)] or [prompt]


def images_in(message: Mapping[str, JSON]) -> list[str]:
    """What is seen on the images of a message, in words."""
    content = message.get("content")
    parts = [part for part in content if part.get("type") == "image_url"] if isinstance(content, list) else []
    seen = [seen_on(part["image_url"]["url"]) for part in parts]
    return [
        f"image {number}: {colour} at " + " ".join(f"{side:.3f}" for side in box)
        for number, (colour, box) in enumerate(seen, start=1)
    ]


def fields_in(prompt: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The fields that a prompt asks for: name -> (what is asked, options)."""
    fields: dict[str, tuple[str, tuple[str, ...]]] = {}
    name = None
    for line in _DATA.sub("", prompt).splitlines():
        match = _FIELD.match(line)
        if match:
            name = match[1]
            fields[name] = (match[2], ())
        elif name and line.startswith("- "):
            ask, options = fields[name]
            fields[name] = (ask, (*options, line[2:].split(": ")[0]))
        elif not line.strip():
            name = None
    return fields


def tokens(reply: ScriptedReply, top: int) -> list[dict[str, JSON]]:
    """The reply's tokens in the shape of `choices[0].logprobs.content`."""
    answer_tokens: list[dict[str, JSON]] = []
    for match in _TOKEN.finditer(reply.text):
        place = next((p for p in reply.labels if p.start <= match.start() < p.start + len(p.label)), None)
        alternatives = {match.group(): 0.9999, "\n": 0.0001}
        if place is not None:
            alternatives = _next_pieces(place, match.start() - place.start) or alternatives
        chosen = alternatives.get(match.group(), 0.9999)
        ranked = sorted(alternatives.items(), key=lambda pair: -pair[1])[:top]
        answer_tokens.append({**_token(match.group(), chosen), "top_logprobs": [_token(text, p) for text, p in ranked]})
    return answer_tokens


def _next_pieces(place: LabelPlace, at: int) -> dict[str, float]:
    """P(next token | the label's first `at` characters), summed over the options that go on so."""
    pieces: dict[str, float] = {}
    total = sum(p for option, p in place.distribution.items() if option[:at] == place.label[:at])
    for option, probability in place.distribution.items():
        if option[:at] == place.label[:at]:
            piece = next((m.group() for m in _TOKEN.finditer(option) if m.start() == at), '"')
            pieces[piece] = pieces.get(piece, 0.0) + probability / total
    return pieces


def _token(text: str, probability: float) -> dict[str, JSON]:
    return {
        "token": text,
        "logprob": math.log(max(probability, 1e-9)),
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }


def _value(schema: Mapping[str, JSON], data: Sequence[str], ask: str) -> JSON:
    if "anyOf" in schema:  # a control that may not be shown
        return _value(schema["anyOf"][0], data, ask)
    types = schema.get("type", "string")
    types = types if isinstance(types, list) else [types]
    if "enum" in schema:
        return _pick(schema["enum"], data)
    if "array" in types:
        return _list(schema["items"], data)
    if "object" in types:
        return {name: _value(inner, data, ask) for name, inner in schema.get("properties", {}).items()}
    if "number" in types or "integer" in types:
        return _number(ask, data, nullable="null" in types)
    if "boolean" in types:
        return _mood(data) >= 0
    form = re.search(r"YYYY-MM-DD(?:THH:MM)?|YYYY-MM|YYYY|HH:MM", ask)
    if form:
        return "2020-05-17T09:30"[: len(form.group())] if form.group() != "HH:MM" else "09:30"
    return " ".join(" ".join(data).split()[:6]) or "nothing"


def _pick(options: Sequence[JSON], data: Sequence[str]) -> JSON:
    if all(isinstance(option, int) for option in options):
        mood = _mood(data)
        return options[-1] if mood > 0 else options[0] if mood < 0 else options[len(options) // 2]
    if list(options) == ["left", "right"] and len(data) == 2:
        return "right" if _mood(data[1:]) > _mood(data[:1]) else "left"
    mooded = {word: o for o in options for word in ("positive", "negative", "neutral") if word == o.casefold()}
    if {"positive", "negative"} <= set(mooded):
        mood = _mood(data)
        word = "positive" if mood > 0 else "negative" if mood < 0 else "neutral"
        return mooded.get(word, options[0])
    return next((o for o in options if _occurs(o, data)), options[0])


def _list(items: Mapping[str, JSON], data: Sequence[str]) -> list[JSON]:
    if "enum" in items:
        return [o for o in items["enum"] if _occurs(o, data)] or [items["enum"][0]]
    if items.get("type") != "object":
        return [_value(items, data, "")]
    if "width" in items["properties"]:
        return _boxes(items["properties"], data)
    words = [w for text in data for w in re.findall(r"\w+", text) if w[0].isupper() and len(w) > 1]
    word = words[1] if len(words) > 1 else words[0] if words else None
    label = items["properties"].get("label", {}).get("enum", ["label"])[0]
    return [{"text": word, "label": label}] if word else []


def _boxes(properties: Mapping[str, JSON], data: Sequence[str]) -> list[JSON]:
    """One box an image, with the label that is its colour's name, else the first."""
    boxes: list[JSON] = []
    for found in filter(None, map(_SEEN.fullmatch, data)):
        box: dict[str, JSON] = {}
        if "label" in properties:
            labels = properties["label"]["enum"]
            box["label"] = next((label for label in labels if label.casefold() == found["colour"]), labels[0])
        if "image" in properties:
            box["image"] = int(found["number"])
        sides = zip(("x", "y", "width", "height"), found["box"].split(), strict=True)
        boxes.append(box | {side: float(number) for side, number in sides})
    return boxes


def _number(ask: str, data: Sequence[str], *, nullable: bool) -> float | int | None:
    bounds = {word: re.search(rf"{word} (-?[\d.]+)", ask) for word in ("at least", "at most", "steps of")}
    low, high, step = (float(m[1].rstrip(".")) if m else None for m in bounds.values())
    for found in _NUMBER.findall(" ".join(data)):
        number = float(found)
        fits = (low is None or number >= low) and (high is None or number <= high)
        if fits and (not step or ((number - (low or 0.0)) / step).is_integer()):
            return int(number) if number.is_integer() else number
    if nullable:
        return None
    return next((b for b in (low, high) if b is not None), 0)


def _occurs(option: str, data: Sequence[str]) -> bool:
    word = option.rpartition(" > ")[2].casefold().strip()
    return bool(word) and word in " ".join(data).casefold()


def _mood(data: Sequence[str]) -> int:
    words = re.findall(r"\w+", " ".join(data).casefold())
    return sum((w in _POSITIVE) - (w in _NEGATIVE) for w in words)


def _distribution(name: str, options: Sequence[str], chosen: str, data: Sequence[str]) -> dict[str, float]:
    """A distribution with `chosen` on top: 0.55 to 0.75 where no keyword speaks, 0.78 to 0.99 where one does."""
    draw = zlib.crc32("\0".join((name, *data)).encode("utf-8", "surrogatepass")) / 2**32
    clear = _mood(data) != 0 or _occurs(chosen, data)
    top = 0.78 + 0.21 * draw if clear else 0.55 + 0.20 * draw
    others = [o for o in options if o != chosen]
    weights = [1.0 / (rank + 1) for rank in range(len(others))]
    rest = {o: (1.0 - top) * w / sum(weights) for o, w in zip(others, weights, strict=True)}
    return {o: top if o == chosen else rest[o] for o in options}


def _schema_of(ask: str, options: Sequence[str]) -> dict[str, JSON]:
    """The schema that a field's words in the default prompt stand for."""
    if ask.startswith("a list of every passage"):
        item = {"text": {"type": "string"}, "label": {"type": "string", "enum": list(options)}}
        return {"type": "array", "items": {"type": "object", "properties": item}}
    if options:
        one = {"type": "string", "enum": list(options)}
        return {"type": "array", "items": one} if ask.startswith("a list") else one
    stars = re.match(r"a whole number from 1 .*? to (\d+)", ask)
    if stars:
        return {"type": "integer", "enum": list(range(1, int(stars[1]) + 1))}
    nullable = ["null"] if "or null" in ask else []
    return {"type": ["number" if ask.startswith("a number") else "string", *nullable]}


def _content(message: Mapping[str, JSON]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
