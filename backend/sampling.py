"""When a score comes from the agreement of several answers: for which controls, and what is asked again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from backend.core.values import NOT_SHOWN, Agent, FieldReading, Request
from backend.labeling.config import LabelingConfig
from backend.votes import voted

FEWEST = 3  # answers that can be compared


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Further answers to a task that has one."""

    config: LabelingConfig
    controls: frozenset[str]  # that are voted on
    requests: tuple[Request, ...]
    method: str  # "agreement" or "prompt_variants"

    def voted(self, samples: Sequence[Sequence[FieldReading]]) -> tuple[FieldReading, ...]:
        """One reading a control. What is not voted on comes from the first sample that says what the vote says.

        With fewer than `FEWEST` samples left there is no vote: two that agree by chance say nothing.
        """
        if len(samples) < min(FEWEST, 1 + len(self.requests)):
            return tuple(samples[0])
        found = {
            index: voted(control, [sample[index] for sample in samples], self.method)
            for index, control in enumerate(self.config.controls)
            if control.name in self.controls
        }
        values = {index: reading.value for index, reading in found.items()}
        agreeing = [s for s in samples if all(s[index].value == value for index, value in values.items())]
        rest = agreeing[0] if agreeing else samples[0]
        note = () if agreeing else ("from the first answer, though others were preferred elsewhere",)
        return tuple(
            found[index] if index in found else replace(reading, notes=reading.notes + note)
            for index, reading in enumerate(rest)
        )


def sampling_for(
    agent: Agent,
    config: LabelingConfig,
    fields: Sequence[FieldReading],
    first: Request,
    variant: Callable[[int], Request],
) -> Sampling | None:
    """What a task needs whose answer to `first` was read into `fields`; None where nothing is missing.

    An answer with a problem goes to a person anyway. With "auto" only what has no score yet needs more answers.
    `variant` gives the prompt's variants, counted from 1.
    """
    if agent.confidence not in ("auto", "agreement", "prompt_variants") or any(f.problem for f in fields):
        return None
    wanted = [
        field
        for control, field in zip(config.controls, fields, strict=True)
        if control.has_confidence
        and len(control.closed_options) != 1  # it cannot be wrong
        and (agent.confidence != "auto" or field.confidence is None)
    ]
    if all(field.step == NOT_SHOWN for field in wanted):
        return None
    variants = agent.confidence == "prompt_variants"
    asked = _variants(agent, first, variant) if variants else _samples(agent, first)
    return Sampling(
        config=config,
        controls=frozenset(field.control for field in wanted),
        requests=tuple(asked),
        method="prompt_variants" if variants else "agreement",
    )


def _samples(agent: Agent, first: Request) -> Iterator[Request]:
    """The same prompt at a temperature above 0, each time with a seed of its own.

    Where no seed is sent the requests are all the same, and still each is for an answer of its own.
    """
    temperature = max(agent.temperature, agent.sample_temperature)
    for number in range(1, agent.samples):
        seed = None if agent.seed is None else agent.seed + number
        yield replace(first, temperature=temperature, seed=seed, logprobs=False, sample=number)


def _variants(agent: Agent, first: Request, variant: Callable[[int], Request]) -> Iterator[Request]:
    """Other wordings and orders of the same question; one that is the same as another would only repeat its answer."""
    known = {first.key}
    for number in range(1, agent.samples):
        asked = variant(number)
        if asked.key not in known:
            known.add(asked.key)
            yield replace(asked, logprobs=False)
