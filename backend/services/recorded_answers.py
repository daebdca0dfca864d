"""What each row of a recorded file answers, whether it is right, and with which confidence by which method.

A reply is read by the code that reads it in the service (`backend.fields.read_controls`), as the answer to one control
with the row's options. In a reply with several keys the label is at the key that was named, else at "label" or a word
like it ("answer", "class"), else at the one key whose value is a valid answer; with none or several such keys the reply
is invalid. The number that the model wrote about itself is at "confidence", "probability" or "score".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from backend.confidence.mean_token import mean_token_probability
from backend.confidence.self_reported import self_reported_probability
from backend.core.text import storable
from backend.core.values import JSON, FieldReading, Reply, TokenLogprob, Usage
from backend.fields import SELF_REPORTED_KEYS as CONFIDENCE_KEYS
from backend.fields import read_controls
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Option
from backend.labeling.controls.choices import Choices
from backend.reading.extract import extract_object
from backend.reading.match import Spelled, match_option
from backend.recorded import Recorded

_LABEL_KEY = "label"
_RIGHT = {"true", "correct", "right", "yes", "1"}
_WRONG = {"false", "wrong", "incorrect", "no", "0"}
_INVALID = {"unparseable", "unparsable", "invalid"}

Labels = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Where things stand in the rows."""

    label: str | None = None  # in a reply's JSON object; of a row without reply, in the row
    confidence: str = "confidence"  # of a row without reply
    gold: str = "gold"
    correct: str = "correct"  # where a row says whether it is right instead of giving gold
    item: str | None = None  # rows with the same value are samples of one question
    group: tuple[str, ...] = ()  # figures are given for each combination of these


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One row's answer. `confidences` has a key for each method that the row has evidence for."""

    labels: Labels | None  # None: invalid
    gold: Labels | None  # None: not given
    right: bool | None  # None: not known; False for an invalid answer
    samples: tuple[Labels | None, ...]  # the answer, or all of several replies
    confidences: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Read:
    labels: Labels | None
    probability: float | None = None  # by the label's own tokens
    written: JSON = None  # what the model wrote about its confidence


def answer_of(row: Recorded, keys: Keys, fallback_options: tuple[str, ...], *, invalid_is_wrong: bool) -> Answer:
    """Read one row. Raises `InputError`, naming the line, where it cannot be used.

    An invalid reply has no label whose confidence could be right, so it has none; with `invalid_is_wrong` it keeps the
    number that it carries, and counts as a wrong answer.
    """
    raws = row.raws if row.raw is None else (row.raw,)
    answer = _from_replies(row, raws[0], keys, row.options or fallback_options) if raws else _from_label(row, keys)
    if answer.labels is None:
        right = None if answer.right is None else False
        kept = answer.confidences if invalid_is_wrong else dict.fromkeys(answer.confidences)
        return replace(answer, right=right, confidences=kept)
    return answer


def _from_replies(row: Recorded, raw: str, keys: Keys, options: tuple[str, ...]) -> Answer:
    if not options:
        row.fail('it has a reply and no "options", and no row has gold labels to take them from')
    config = question(options, row.multiple)
    read = _read(row, raw, keys, config, row.tokens)
    confidences: dict[str, float | None] = {}
    if row.tokens is not None:
        confidences["label_logprob"] = read.probability
        confidences["mean_token"] = mean_token_probability(row.tokens)
    if read.written is not None:
        confidences["self_reported"] = self_reported_probability(read.written)
    names = row.names(keys.gold)
    gold = None if names is None else as_options(names, options)
    return Answer(
        labels=read.labels,
        gold=gold,
        right=_verdict(row, keys)[0] if gold is None else read.labels == gold,
        samples=tuple(_read(row, sample, keys, config, None).labels for sample in row.raws) or (read.labels,),
        confidences=confidences,
    )


def _from_label(row: Recorded, keys: Keys) -> Answer:
    """A row that has a label, or only says whether it was right, and no reply."""
    key = keys.label or _LABEL_KEY
    names, gold = row.names(key), row.names(keys.gold)
    right, invalid = _verdict(row, keys)
    if names is None and right is None:
        row.fail(f'it has no reply ("raw" or "raws"), no "{key}" and no "{keys.correct}"')
    labels = None if invalid else frozenset(names or ())
    compared = names is not None and gold is not None
    return Answer(
        labels=labels,
        gold=frozenset(gold) if gold is not None and compared else None,
        right=labels == frozenset(gold or ()) if compared else right,
        samples=(labels,),
        confidences={"recorded": self_reported_probability(row.values.get(keys.confidence))},
    )


def _read(
    row: Recorded, raw: str, keys: Keys, config: LabelingConfig, tokens: tuple[TokenLogprob, ...] | None
) -> _Read:
    found = field_of(row, raw, keys.label, config, tokens)
    values = extract_object(storable(raw)).values or {}
    return _Read(
        labels=frozenset(found.value or ()) if found.problem is None else None,  # of several, none is an answer
        probability=found.confidence,
        written=next(
            (values[key] for key in CONFIDENCE_KEYS if key in values and key != (keys.label or _LABEL_KEY)), None
        ),
    )


def field_of(
    row: Recorded, raw: str, key: str | None, config: LabelingConfig, tokens: tuple[TokenLogprob, ...] | None = None
) -> FieldReading:
    """What the service reads in a reply; the label is under `key`, or by the rule above."""
    control = replace(config.controls[0], name=key or _LABEL_KEY)
    reply = Reply(text=storable(raw), finish_reason=row.finish_reason, usage=Usage(), model="", tokens=tokens)
    (found,) = read_controls(reply, (control,), {}, other_keys="none" if key else "any")
    return found


@lru_cache(maxsize=256)
def question(options: tuple[str, ...], multiple: bool) -> LabelingConfig:
    """A labeling config that asks only for one or several of the options."""
    named = tuple(Option(value=option, name=option) for option in options)
    control = Choices(name=_LABEL_KEY, to_name=("text",), options=named, multiple=multiple)
    return LabelingConfig(xml="", controls=(control,), objects=(), refusals=())


def as_options(names: tuple[str, ...], options: tuple[str, ...]) -> Labels:
    """Gold labels as the options spell them; one that is no option stays as it is, and no answer equals it."""
    spelled = [Spelled(value=option) for option in options]
    matches = [(name, match_option(name, spelled)) for name in names]
    return frozenset(match.value if match else name for name, match in matches)


def _verdict(row: Recorded, keys: Keys) -> tuple[bool | None, bool]:
    """Whether the row says that it is right (None: it says nothing), and whether it says that it is invalid."""
    value = row.values.get(keys.correct)
    if value is None:
        return None, False
    word = str(value).strip().casefold()
    if word not in _RIGHT | _WRONG | _INVALID:
        row.fail(f'"{keys.correct}" must be true or false, or one of the words correct, wrong and invalid')
    return word in _RIGHT, word in _INVALID
