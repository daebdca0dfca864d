"""`<Audio>`, `<Video>` and `<TimeSeries>`: what a model of text and images cannot take in.

Where the task's data holds a transcript, that is shown. Where it does not, the prompt only says that there is such a
thing, for questions that the rest of the data may answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON
from backend.labeling.data_values import ABSENT, is_template, look_up, variable_of
from backend.labeling.objects.base import Content, NothingToShow, ObjectTag
from backend.labeling.shown import Shown

_TRANSCRIPTS = ("transcript", "transcription", "caption", "captions", "subtitles", "text", "asr")


@dataclass(frozen=True, kw_only=True)
class Audio(ObjectTag):
    """A value is only looked for, not read. The transcript is the first non-empty string among the usual keys."""

    tag: ClassVar[str] = "Audio"
    what: ClassVar[str] = "recording"

    taken: tuple[str, ...] = ()  # keys that other objects show: no transcript of this one
    alone: bool = True  # the only recording: a key that names none means it

    @classmethod
    def parse(cls, element: Element) -> Self:
        value = element.get("value") or ""
        template = value if is_template(value) else None
        variable = "" if template is not None else variable_of(value)
        return cls(name=element.get("name", ""), variable=variable, template=template)

    def beside(self, others: Sequence[ObjectTag]) -> Self:
        taken = tuple(dict.fromkeys(key for other in others for key in other.keys))
        return replace(self, taken=taken, alone=not any(isinstance(other, Audio) for other in others))

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.keys, *self._transcript_keys())))

    def show(self, data: Mapping[str, JSON]) -> Shown:
        transcript = next((text for key in self._transcript_keys() if (text := _text(data.get(key)))), None)
        if transcript is not None:
            return Shown(name=self.name, text=f"Transcript of this {self.what}:\n{transcript}")
        missing = [variable for variable in self.variables if look_up(data, variable) in (ABSENT, None, "")]
        if missing:
            return Shown(name=self.name, text="", problem=f"the data has no {missing[0]!r} and no transcript of it")
        return Shown(
            name=self.name,
            text=f"(This is a {self.what}, which is not shown to you.)",
            unseen=f'{self.tag} "{self.name}" is a {self.what}, and the data has no transcript of it',
        )

    def content_of(self, value: JSON) -> Content:
        raise NothingToShow(f"is a {self.what}")

    def _transcript_keys(self) -> Iterator[str]:
        """Where a transcript may stand, the nearest names first."""
        own = [f"{key}_transcript" for key in self.keys]
        for key in (*own, *_TRANSCRIPTS) if self.alone else own:
            for spelled in dict.fromkeys((key, key.lower(), key.capitalize(), key.upper())):
                if spelled not in self.taken and spelled not in self.keys:
                    yield spelled


@dataclass(frozen=True, kw_only=True)
class AudioPlus(Audio):
    """The editor's old name of Audio."""

    tag: ClassVar[str] = "AudioPlus"


@dataclass(frozen=True, kw_only=True)
class Video(Audio):
    """Pictures and sound."""

    tag: ClassVar[str] = "Video"
    what: ClassVar[str] = "video"


@dataclass(frozen=True, kw_only=True)
class TimeSeries(Audio):
    """Measurements; what is said of them may stand in the data as well."""

    tag: ClassVar[str] = "TimeSeries"
    what: ClassVar[str] = "time series"


def _text(value: JSON) -> str | None:
    return storable(value) if isinstance(value, str) and value.strip() else None
