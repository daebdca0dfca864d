"""The model is asked how sure it is: what is added to the schema and the prompt, and how the numbers are read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backend.confidence.self_reported import per_cent_probability
from backend.core.text import storable
from backend.core.values import JSON, NOT_SHOWN, FieldReading, Reply
from backend.labeling.config import LabelingConfig
from backend.labeling.schema import strict_object
from backend.reading.extract import extract_object
from backend.reading.match import normalised


@dataclass(frozen=True, kw_only=True)
class SelfReport:
    """A further key of the answer: an object with a whole number from 0 to 100 for each control."""

    key: str
    controls: tuple[str, ...]

    @classmethod
    def of(cls, config: LabelingConfig) -> SelfReport:
        names = tuple(control.name for control in config.controls)
        taken = {normalised(name) for name in names}
        key = "confidence"
        while normalised(key) in taken:
            key += "_in_per_cent"
        return cls(key=key, controls=names)

    def schema(self, answer: Mapping[str, JSON]) -> dict[str, JSON]:
        """The schema of the answer with this key after the others."""
        numbers = strict_object({name: {"type": "integer"} for name in self.controls})
        return strict_object({**answer["properties"], self.key: numbers})

    def scored(self, fields: tuple[FieldReading, ...], reply: Reply) -> tuple[FieldReading, ...]:
        """The readings with the numbers that the reply gives for them; without one where it gives none."""
        written = (extract_object(storable(reply.text)).values or {}).get(self.key)
        numbers = written if isinstance(written, dict) else dict.fromkeys(self.controls, written)
        return tuple(self._scored(field, numbers.get(field.control)) for field in fields)

    def _scored(self, field: FieldReading, written: JSON) -> FieldReading:
        found = None if field.problem or field.step == NOT_SHOWN else per_cent_probability(written)
        return replace(
            field,
            confidence=None if found is None else found * field.usable,
            method=None if found is None else "self_reported",
            signals={},
            label_probabilities={},
            label_rest=0.0,
        )
