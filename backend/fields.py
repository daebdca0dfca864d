"""A model's reply -> one reading for each control of the labeling config. Pure; never raises, whatever the reply is."""

from __future__ import annotations

from collections.abc import Mapping

from backend.confidence.label_logprob import label_probability
from backend.core.text import storable
from backend.core.values import JSON, FieldReading, Reply
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control
from backend.labeling.shown import Shown
from backend.reading.extract import Extracted, extract_object, without_thinking
from backend.reading.match import options_in_prose


def read_reply(reply: Reply, config: LabelingConfig, shown: Mapping[str, Shown]) -> tuple[FieldReading, ...]:
    """One reading a control, in the config's order. Never raises, whatever the reply is."""
    if reply.finish_reason == "content_filter":
        return tuple(
            FieldReading(control=c.name, value=None, step=None, problem="was filtered by the endpoint")
            for c in config.controls
        )
    extracted = extract_object(reply.text)
    if extracted.values is None and len(config.controls) == 1 and reply.finish_reason != "length":
        extracted = _bare_answer(reply.text, config.controls[0])
    return tuple(_read_field(control, extracted, reply, shown) for control in config.controls)


def _bare_answer(text: str, control: Control) -> Extracted:
    """A reply without JSON to a question with one control: the one option that it names, else nothing."""
    named = options_in_prose(without_thinking(text), [o.spelled for o in control.closed_options])
    if len(named) == 1:
        return Extracted(values={control.name: named[0]}, step="label_in_prose")
    return Extracted(values=None, step=None)


def _read_field(control: Control, extracted: Extracted, reply: Reply, shown: Mapping[str, Shown]) -> FieldReading:
    if extracted.values is None:
        cut = " and was cut off" if reply.finish_reason == "length" else ""
        return FieldReading(
            control=control.name, value=None, step=None, problem=f"is missing: the reply holds no JSON object{cut}"
        )
    if control.name not in extracted.values:
        return FieldReading(control=control.name, value=None, step=extracted.step, problem="is missing in the reply")
    if _may_be_cut(control.name, extracted, reply):
        return FieldReading(control=control.name, value=None, step=extracted.step, problem="was cut off")
    decoded = control.decode(storable(extracted.values[control.name]), shown)
    probability = None if decoded.value is None else _probability(control, decoded.value, extracted.positions, reply)
    return FieldReading(
        control=control.name,
        value=decoded.value,
        step=f"{extracted.step}+{decoded.step}" if decoded.step else extracted.step,
        problem=decoded.problem,
        rejected=decoded.rejected,
        notes=decoded.notes + (("the reply was cut off",) if reply.finish_reason == "length" else ()),
        confidence=probability,
    )


def _may_be_cut(name: str, extracted: Extracted, reply: Reply) -> bool:
    """Whether a reply that ran into the token limit ends inside this value: "entail" may be half an "entailment"."""
    if reply.finish_reason != "length" or not extracted.values or name in extracted.positions:
        return False
    return name == next(reversed(extracted.values)) and not isinstance(extracted.values[name], list)


def _probability(control: Control, value: JSON, positions: Mapping[str, tuple[int, int]], reply: Reply) -> float | None:
    if not control.closed_options or reply.tokens is None or control.name not in positions:
        return None
    if "".join(t.token for t in reply.tokens) != reply.text:
        return None  # tokens that are pieces of a character, or a prefix left out: positions would not hold
    start, end = positions[control.name]
    chosen = value[0] if isinstance(value, tuple) else value
    spellings = {o.value: o.spelled.all_spellings for o in control.closed_options}
    found = label_probability(reply.tokens, start, end, chosen, spellings)
    return found.probability if found else None
