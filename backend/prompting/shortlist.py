"""Long lists of options, shortened to those that are most similar to what is shown. Pure; the ranking is handed in.

Only what is asked is shortened, the prompt and the schema: a reply is read against all options of the control, so
that an answer which was not offered is still read as what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control, Option
from backend.labeling.controls.regions import RegionControl
from backend.labeling.following import every
from backend.labeling.shown import Shown

FEWEST = 8  # options of a list: with fewer, the right one is too often not among them

Ranking = Callable[[str, Sequence[str]], Sequence[int]]  # text, options -> their indexes, the most similar first


def shortlist(config: LabelingConfig, shown: Mapping[str, Shown], ranking: Ranking, *, most: int) -> Shortlist:
    """The lists of `config`, none of more than `most` options."""
    controls = {control.name: control for control in every(config.controls)}

    @cache
    def ranked(name: str) -> Sequence[int]:
        return ranking(compared_text(controls[name], shown), [_text(o) for o in controls[name].options])

    return Shortlist(config=config, shown=shown, ranked=ranked, most=most)


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """The option lists of one task's question."""

    config: LabelingConfig
    shown: Mapping[str, Shown]
    ranked: Callable[[str], Sequence[int]]  # a control's name -> the indexes of its options, the most similar first
    most: int  # options of a list that are asked

    @cached_property
    def asked(self) -> LabelingConfig:
        """The config as it is put to the model. The options keep the config's order: their places say nothing."""
        if self.longest <= self.most:
            return self.config
        return replace(self.config, controls=tuple(self._offered(c) for c in self.config.controls))

    @property
    def longest(self) -> int:
        """Options of the longest list that can be shortened, before it is."""
        lists = (c.options for c in every(self.config.controls) if not c.needs_all_options)
        return max(map(len, lists), default=0)

    @property
    def notes(self) -> tuple[str, ...]:
        """One for each shortened control."""
        pairs = zip(every(self.config.controls), every(self.asked.controls), strict=True)
        return tuple(
            f'"{c.name}": {len(a.options):,} of {len(c.options):,} options shown, '
            + ("the most similar to the text" if compared_text(c, self.shown) else "the first: there is no text")
            for c, a in pairs
            if len(a.options) < len(c.options)
        )

    def fitting(self, fits: Callable[[LabelingConfig], bool]) -> Shortlist:
        """As many options as fit, in each list up to the same number; `FEWEST` where even those do not fit."""
        longest = min(self.most, self.longest)
        if longest <= FEWEST or fits(self.asked):
            return self
        fewer, too_many = FEWEST, longest
        while too_many - fewer > 1:
            middle = (fewer + too_many) // 2
            if fits(replace(self, most=middle).asked):
                fewer = middle
            else:
                too_many = middle
        return replace(self, most=fewer)

    def halved(self) -> Shortlist | None:
        """With half of what is asked now, `FEWEST` at least; None where no list can be shorter."""
        longest = min(self.most, self.longest)
        return replace(self, most=max(FEWEST, longest // 2)) if longest > FEWEST else None

    def _offered(self, control: Control) -> Control:
        """The control, and those that are answered in its regions, with the options that are asked."""
        if isinstance(control, RegionControl) and control.attached:
            control = replace(control, attached=tuple(self._offered(one) for one in control.attached))
        if control.needs_all_options or len(control.options) <= self.most:
            return control
        return control.offering(self.ranked(control.name), self.most)


def compared_text(control: Control, shown: Mapping[str, Shown]) -> str:
    """What the control is about; where that holds no text, as images do, all that is shown. Empty: there is none."""
    about = [shown[name] for name in control.to_name if name in shown]
    return joined_text(about) or joined_text(shown.values())


def joined_text(shown: Iterable[Shown]) -> str:
    """The text of objects, one after the other; what stands in it for images and recordings is no text of the task."""
    return "\n".join(s.text for s in shown if s.text.strip() and not s.images and not s.unseen)


def _text(option: Option) -> str:
    """All that is known of an option."""
    names = option.name if option.value == option.name else f"{option.name} {option.value}"
    return f"{names} {option.description}" if option.description else names
