"""A model's reply -> one reading for each control of the labeling config. Pure; never raises, whatever the reply is.

The steps, in this order; the first that gives the control anything decides:

1. `strict_json`: the whole reply is one JSON object (or, with one control, one JSON value).
2. `mended_json`: JSON with something around it, or with small faults that leave no doubt.
3. `labelled_line`: `Label: x`, `<answer>x</answer>`, `1. x`.
4. `label_in_prose`, with one control: a sentence that says nothing but the label.

Then each value is matched to its control: `exact`, `normalised` or `fuzzy` (`backend.reading.match`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from backend.confidence.decisions import decisions
from backend.confidence.label_logprob import label_probability
from backend.confidence.value_logprob import value_probability
from backend.core.text import storable
from backend.core.values import JSON, NOT_SHOWN, FieldReading, Reply, TokenLogprob
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control, Decoded
from backend.labeling.controls.base import clip
from backend.labeling.shown import Shown
from backend.reading.extract import MAX_REPLY_CHARS, bare_value, extract
from backend.reading.given import CUT, UNCLEAR, Given
from backend.reading.lines import is_answer_key, labelled_values
from backend.reading.match import normalised, spellings_of
from backend.reading.prose import named_in_prose
from backend.reading.thinking import without_thinking

SELF_REPORTED_KEYS = ("confidence", "probability", "score")
_CONTRADICTING = "is answered in contradicting ways"
_MAX_ANSWERS = 50  # to one control in one reply
_PLACES = 6  # of a label's probability, as it is stored with each task

# Which key may stand for the name of a sole control where that is missing: none, one that says "label" or "answer", or
# also the one key whose value is a valid answer (for replies to another prompt than ours).
OtherKeys = Literal["none", "answer", "any"]


def read_reply(reply: Reply, config: LabelingConfig, shown: Mapping[str, Shown]) -> tuple[FieldReading, ...]:
    """One reading a control, in the config's order."""
    return read_controls(reply, config.controls, shown)


def read_controls(
    reply: Reply, controls: Sequence[Control], shown: Mapping[str, Shown], *, other_keys: OtherKeys = "answer"
) -> tuple[FieldReading, ...]:
    """One reading a control, in their order."""
    if reply.finish_reason == "content_filter":
        return tuple(_broken(c, "was filtered by the endpoint") for c in controls)
    return _Reading(reply=reply, controls=tuple(controls), shown=shown, other_keys=other_keys).fields()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One reply on its way through the steps."""

    reply: Reply
    controls: tuple[Control, ...]
    shown: Mapping[str, Shown]
    other_keys: OtherKeys

    @property
    def cut(self) -> bool:
        return self.reply.finish_reason == "length" or len(self.reply.text) > MAX_REPLY_CHARS

    @cached_property
    def tokens_are_the_text(self) -> bool:
        """Not where they are pieces of a character, or a prefix is left out: positions would not hold."""
        return "".join(t.token for t in self.reply.tokens or ()) == self.reply.text

    def fields(self) -> tuple[FieldReading, ...]:
        text = without_thinking(self.reply.text[:MAX_REPLY_CHARS])
        sole = self.controls[0] if len(self.controls) == 1 else None
        bare = bare_value(text, sole.name) if sole else None
        if sole and bare and (bare.fault or self.decoded(sole, bare).problem is None):
            return (self.field(sole, [bare]),)
        extracted = extract(text)
        if extracted.overflow:
            return tuple(_broken(c, "is answered too often to compare") for c in self.controls)
        given = {c.name: self.under_key(c, extracted.objects) for c in self.controls}
        if not any(given.values()) and not extracted.objects and not self.cut:
            given = self.without_json(text, sole)
        if sole and bare and not given[sole.name]:
            given[sole.name] = [bare]
        missing = "is missing in the reply"
        if not any(given.values()) and not extracted.objects and not extracted.empty:
            missing = f"is missing: the reply holds no JSON object{' and ' + CUT if self.cut else ''}"
        return tuple(self.field(c, given[c.name]) if given[c.name] else _broken(c, missing) for c in self.controls)

    def under_key(self, control: Control, objects: Sequence[Sequence[Given]]) -> list[Given]:
        """What the reply's objects hold under the control's name, up to case and punctuation."""
        everything = [given for pairs in objects for given in pairs]
        exact = {c.name for c in self.controls}
        wanted = normalised(control.name)
        clash = sum(normalised(c.name) == wanted for c in self.controls) > 1
        found = [
            g
            for g in everything
            if g.key == control.name
            or (wanted and not clash and g.key not in exact and g.key.strip() and normalised(g.key) == wanted)
        ]
        if found or len(self.controls) > 1 or self.other_keys == "none" or not _names_options(control):
            return found
        found = [g for g in everything if is_answer_key(g.key)]
        if found or self.other_keys == "answer":
            return found
        valid = [g for g in everything if g.key not in SELF_REPORTED_KEYS and self.read(control, g).problem is None]
        return valid if len({g.key for g in valid}) == 1 else []

    def without_json(self, text: str, sole: Control | None) -> dict[str, list[Given]]:
        """Labelled lines, then prose."""
        given: dict[str, list[Given]] = {c.name: [] for c in self.controls}
        as_list = {c.name: c.schema().get("type") == "array" for c in self.controls}
        whole = sole is not None and _names_options(sole) and sole.match(text.strip()) is not None
        lines = [] if whole else labelled_values(text, as_list, sole=sole.name if sole else None)
        for name, value in lines:
            given[name].append(Given(key=name, value=value, step="labelled_line"))
        if lines or sole is None or not _names_options(sole):
            return given
        named = named_in_prose(text, [o.spelled for o in sole.options], sole.name)
        if named:
            one = Given(key=sole.name, value=named.text, step="label_in_prose", position=named.position)
            given[sole.name].append(one)
        return given

    def field(self, control: Control, given: list[Given]) -> FieldReading:
        """The one answer in what was given; a problem where there is none or more than one."""
        readings = [self.read(control, g) for g in given[:_MAX_ANSWERS]]
        good = [r for r in readings if r.problem is None]
        if len(given) > _MAX_ANSWERS or any(r.value != good[0].value for r in good):
            rejected = tuple(dict.fromkeys(clip(g.value) for g in given[:_MAX_ANSWERS]))
            return replace(_broken(control, _CONTRADICTING), step=given[0].step, rejected=rejected)
        return good[0] if good else readings[0]

    def read(self, control: Control, given: Given) -> FieldReading:
        """One given value, decoded and scored."""
        fault = given.fault
        if fault is None and self.cut and (not given.strict or given.at_end):
            fault = CUT
        if fault is None and given.unquoted and _is_free_text(control):
            fault = UNCLEAR
        if fault == UNCLEAR or (fault and not _holds_whole_items(given.value)):
            return replace(_broken(control, fault), step=given.step, rejected=_as_rejected(given))
        decoded = self.decoded(control, given)
        reading = FieldReading(
            control=control.name,
            value=decoded.value,
            step=f"{given.step}+{decoded.step}" if decoded.step else given.step,
            problem=fault or decoded.problem,
            rejected=decoded.rejected,
            notes=decoded.notes + (("the reply was cut off",) if self.cut else ()),
            usable=decoded.usable,
        )
        return reading if reading.problem else self.scored(control, reading, given)

    def decoded(self, control: Control, given: Given) -> Decoded:
        return control.decode(storable(given.value), self.shown)

    def scored(self, control: Control, reading: FieldReading, given: Given) -> FieldReading:
        """The reading with its probability, where it can be read off the tokens."""
        tokens, place = self.reply.tokens, given.position
        if tokens is None or place is None or not control.has_confidence:
            return reading
        if not self.tokens_are_the_text:
            return reading
        if control.closed_options:
            return self.as_label(control, reading, tokens, place)
        return self.as_value(control, reading, tokens, place) if given.strict else reading

    def as_value(
        self, control: Control, reading: FieldReading, tokens: Sequence[TokenLogprob], place: tuple[int, int]
    ) -> FieldReading:
        """Exactly this value, and each region of it by itself; free text in it has no part in that."""
        found = decisions(self.reply.text, *place, without=control.free_text_keys)
        probability = value_probability(tokens, found)
        if probability is None:
            return reading
        origins = control.origins(reading.value) if control.item_regions and reading.value is not None else ()
        each = [value_probability(tokens, [d for d in found if d.item == origin]) for origin in origins]
        known = tuple(score for score in each if score is not None)
        return replace(
            reading,
            confidence=probability * reading.usable,
            method="value_logprob",
            region_confidences=known if len(known) == len(origins) else (),
        )

    def as_label(
        self, control: Control, reading: FieldReading, tokens: Sequence[TokenLogprob], place: tuple[int, int]
    ) -> FieldReading:
        """One of few labels, against all others."""
        if reading.value is None:
            return reading
        chosen = reading.value
        while isinstance(chosen, tuple):  # the one choice, also of the one image
            chosen = chosen[0]
        spellings = spellings_of([o.spelled for o in control.closed_options])
        found = label_probability(tokens, *place, str(chosen), spellings)
        if found is None:
            return reading
        signals = {"off_label": found.off_label, "assumed": found.assumed}
        return replace(
            reading,
            confidence=found.probability,
            method="label_logprob",
            signals=signals,
            label_probabilities={label: round(share, _PLACES) for label, share in found.labels.items()},
            label_rest=round(found.rest, _PLACES),
        )


def only_visible(fields: tuple[FieldReading, ...], config: LabelingConfig) -> tuple[FieldReading, ...]:
    """The readings; where an annotator would not see the control with the other answers as they are, an empty one."""
    visible = config.visible({f.control: f.value for f in fields})
    return tuple(f if f.control in visible else _hidden(f) for f in fields)


def _hidden(field: FieldReading) -> FieldReading:
    dropped = ("answered although it is not shown: dropped",) if field.value is not None else ()
    return FieldReading(control=field.control, value=None, step=NOT_SHOWN, notes=dropped)


def _broken(control: Control, problem: str) -> FieldReading:
    return FieldReading(control=control.name, value=None, step=None, problem=problem)


def _as_rejected(given: Given) -> tuple[str, ...]:
    return () if given.fault == CUT or given.value is None else (clip(given.value),)


def _holds_whole_items(value: JSON) -> bool:
    """Whether what is left of a cut list is worth keeping: each passage is right by itself, a set of labels is not."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _names_options(control: Control) -> bool:
    """Whether an answer is one of the options, or a list of them."""
    schema = control.schema()
    return "enum" in schema.get("items", schema) and bool(control.options)


def _is_free_text(control: Control) -> bool:
    schema = control.schema()
    return "string" in schema.get("type", ()) and "enum" not in schema
