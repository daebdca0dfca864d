"""`<Ranker>`: the items of a List in order, or sorted into buckets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self
from xml.etree.ElementTree import Element

from backend.core.text import storable
from backend.core.values import JSON
from backend.labeling.controls.base import (
    Control,
    Decoded,
    Option,
    Refused,
    attribute_is_true,
    clip,
    joined_steps,
    to_names,
)
from backend.labeling.controls.reading_back import Region
from backend.labeling.data_values import in_javascript, look_up
from backend.labeling.objects.page import text_of_html
from backend.labeling.schema import strict_object
from backend.labeling.shown import Shown
from backend.reading.match import Match, Spelled, match_option

if TYPE_CHECKING:
    from backend.labeling.objects.base import ObjectTag

MAX_ITEMS = 1_000
_UNSORTED = "_"  # where the editor keeps what is in no bucket

Ranking = tuple[tuple[str, tuple[str, ...]], ...]  # each bucket with the ids in it; without buckets: one, the control's


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One column that items are moved to."""

    name: str
    title: str | None = None

    @property
    def described(self) -> str:
        name = json.dumps(self.name, ensure_ascii=False)
        return f"{name} ({' '.join(self.title.split())})" if self.title and self.title.strip() else name


@dataclass(frozen=True, kw_only=True)
class Ranker(Control):
    """A value is a `Ranking`. The options are the items of the task, by their ids: strings, as the editor makes them.

    Without buckets every item comes exactly once. With buckets an item is in one of them or in none; a bucket with
    `default="true"` also takes what is in none, for the editor would leave that out of sight.

    Agreement is the share of pairs of items that stand alike: in the same buckets, and where they share one in the same
    order. Confirmed is exactly the same ranking.
    """

    tag: ClassVar[str] = "Ranker"
    object_tags: ClassVar[frozenset[str]] = frozenset({"List"})
    needs_all_options: ClassVar[bool] = True  # an order is one of all items

    titles: tuple[tuple[str, str | None], ...] = ()  # of the items, by their ids: a model may answer with them
    buckets: tuple[Bucket, ...] = field(default=())
    default: str | None = None  # the bucket that takes the rest

    @classmethod
    def parse(cls, element: Element, question: str | None) -> Self:
        to_name = to_names(element)
        if len(to_name) != 1:
            raise Refused("must point to one List")
        tags = [child for child in element if child.tag == "Bucket"]
        names = [child.get("name", "") for child in tags]
        if not all(names):
            raise Refused("has a Bucket without a name")
        repeated = next((name for name, count in Counter(names).items() if count > 1), None)
        if repeated is not None:
            raise Refused(f"has two Buckets named {clip(repeated)!r}")
        return cls(
            name=element.get("name", ""),
            to_name=to_name,
            question=question,
            buckets=tuple(Bucket(name=child.get("name", ""), title=child.get("title")) for child in tags),
            default=next((child.get("name") for child in tags if attribute_is_true(child, "default")), None),
        )

    def about(self, target: ObjectTag) -> Self:
        return replace(self, options_variable=target.variable)

    def bind(self, data: Mapping[str, JSON]) -> Self:
        items = _items(look_up(data, self.options_variable or ""))
        return replace(
            self,
            options=tuple(Option(value=identity, name=identity) for identity in items),
            titles=tuple(items.items()),
        )

    def offering(self, ranked: Sequence[int], most: int) -> Self:
        return self

    @property
    def must_write(self) -> tuple[str, ...]:
        return () if self.buckets else tuple(o.name for o in self.options)

    def schema(self) -> dict[str, JSON]:
        ids: dict[str, JSON] = {
            "type": "array",
            "items": {"type": "string", "enum": [o.name for o in self.options]},
        }
        if not self.buckets:
            return ids
        return strict_object({bucket.name: ids for bucket in self.buckets})

    def ask(self) -> str:
        if not self.buckets:
            return (
                f'a list of the ids of all {len(self.options)} items of "{self.to_name[0]}", each exactly once, '
                "from the first place to the last"
            )
        rest = f"goes into {json.dumps(self.default, ensure_ascii=False)}" if self.default else "is left out"
        return (
            f"an object with a list for each of {', '.join(bucket.described for bucket in self.buckets)}: the ids of "
            f'the items of "{self.to_name[0]}" that belong there, from the first place to the last, none twice; '
            f"what belongs in none of them {rest}"
        )

    def shape(self) -> str:
        ids = '["<id>", ...]'
        if not self.buckets:
            return ids
        return "{" + ", ".join(f"{json.dumps(b.name, ensure_ascii=False)}: {ids}" for b in self.buckets) + "}"

    def example(self, shown: Mapping[str, Shown]) -> JSON:
        ids = [o.name for o in self.options]
        return {b.name: [] if i else ids for i, b in enumerate(self.buckets)} if self.buckets else ids

    def decode(self, raw: JSON, shown: Mapping[str, Shown]) -> Decoded:
        given = self._given(raw)
        if isinstance(given, Decoded):
            return given
        ranking: dict[str, tuple[str, ...]] = {}
        steps: list[str] = []
        rejected: list[str] = []
        for bucket, items in given.items():
            matches = [self.match(in_javascript(item)) if _is_id(item) else None for item in items]
            rejected += [clip(item) for item, match in zip(items, matches, strict=True) if match is None]
            found = [match for match in matches if match is not None]
            ranking[bucket] = tuple(match.value for match in found)
            steps += [match.step for match in found]
        if rejected:
            return Decoded(value=None, problem="names an item that is not in the list", rejected=tuple(rejected))
        placed = Counter(item for items in ranking.values() for item in items)
        twice = [item for item, count in placed.items() if count > 1]
        if twice:
            return Decoded(value=None, problem="names an item twice", rejected=tuple(clip(item) for item in twice))
        left = tuple(o.value for o in self.options if o.value not in placed)
        if self.default is not None:
            ranking[self.default] += left
        elif not self.buckets and left:
            return Decoded(value=None, problem=f"leaves out {len(left)} of {len(self.options)} items")
        value: Ranking = tuple(ranking.items())
        empty = not any(items for _, items in value)
        return Decoded(value=None if empty else value, step=joined_steps(steps) or "exact")

    def match(self, text: str) -> Match | None:
        """The titles stand in the prompt too, where the List shows them."""
        return match_option(text, [Spelled(value=identity, description=title) for identity, title in self.titles])

    def encode(self, value: JSON | None) -> JSON:
        placed = {bucket: list(items) for bucket, items in value or ()}
        return placed if self.buckets else placed.get(self.name, [])

    def regions(self, value: JSON) -> list[dict[str, JSON]]:
        return [self.region({"ranker": {bucket: list(items) for bucket, items in value}})]

    def read_back(self, regions: Sequence[Region]) -> Decoded:
        given = regions[-1]["value"].get("ranker") if regions else {}
        if not self.buckets:
            lists = list(given.values()) if isinstance(given, Mapping) else [given]
            given = {self.name: lists[0] if len(lists) == 1 else None} if regions else {}
        names = [bucket.name for bucket in self.buckets] or [self.name]
        if not isinstance(given, Mapping) or not {*names, _UNSORTED}.issuperset(given):
            return Decoded(value=None, problem="names a bucket that is not there")
        known, placed = {o.value for o in self.options}, list[str]()
        ranking: dict[str, tuple[str, ...]] = {}
        for name in names if given else ():
            items = given.get(name) or []
            if not isinstance(items, list):
                return Decoded(value=None, problem="holds no list of items")
            ranking[name] = tuple(in_javascript(item) if _is_id(item) else "" for item in items[: MAX_ITEMS + 1])
            placed += ranking[name]
        if not known.issuperset(placed) or len(set(placed)) < len(placed):
            return Decoded(value=None, problem="names an item that is not in the list, or one twice")
        return Decoded(value=tuple(ranking.items()) if placed else None)

    def likeness(self, one: JSON, other: JSON) -> float:
        first, second = _places(one), _places(other)
        items = sorted({o.value for o in self.options} | first.keys() | second.keys())
        nowhere = (None, 0)
        if len(items) == 1:
            return float(first.get(items[0]) == second.get(items[0]))
        pairs = alike = 0
        for at, item in enumerate(items):
            for later in items[at + 1 :]:
                pairs += 1
                alike += _relation(first.get(item, nowhere), first.get(later, nowhere)) == _relation(
                    second.get(item, nowhere), second.get(later, nowhere)
                )
        return alike / pairs if pairs else 1.0

    def _given(self, raw: JSON) -> dict[str, list[JSON]] | Decoded:
        """The answered items by bucket, in the config's order of buckets; or what is wrong with the answer's form."""
        if not self.buckets:
            if isinstance(raw, list):
                return {self.name: raw}
            return Decoded(value=None, problem="is not a list of ids", rejected=(clip(raw),))
        if not isinstance(raw, dict):
            return Decoded(value=None, problem="is not an object with a list for each bucket", rejected=(clip(raw),))
        spelled = [Spelled(value=b.name, spellings=(b.title,) if b.title else ()) for b in self.buckets]
        given: dict[str, list[JSON]] = {bucket.name: [] for bucket in self.buckets}
        for key, items in raw.items():
            match = match_option(key, spelled) if isinstance(key, str) else None
            if match is None:
                return Decoded(value=None, problem="names a bucket that is not there", rejected=(clip(key),))
            if items is not None and not isinstance(items, list):
                return Decoded(value=None, problem="is not an object of lists", rejected=(clip(items),))
            given[match.value] += items or []
        return given


_Place = tuple[str | None, int]  # bucket, None for an item that is in none; and the place in it


def _places(ranking: Ranking) -> dict[str, _Place]:
    return {item: (bucket, place) for bucket, items in ranking for place, item in enumerate(items)}


def _relation(one: _Place, other: _Place) -> tuple[JSON, ...]:
    """Where two items stand, and in one bucket which comes first."""
    return (one[0], other[0], one[0] == other[0] and one[1] < other[1])


def _is_id(item: JSON) -> bool:
    return isinstance(item, str | int | float) and not isinstance(item, bool)


def _items(found: JSON | object) -> dict[str, str | None]:
    """The ids of a List's items with their titles. Raises `Refused` where they cannot be told apart or read."""
    if not isinstance(found, list) or not found:
        raise Refused("has no items to rank: the data holds no list of them")
    if len(found) > MAX_ITEMS:
        raise Refused(f"has {len(found):,} items to rank, more than {MAX_ITEMS:,}")
    items = dict(_titled(found))
    if len(items) < len(found):
        raise Refused("has two items with the same id")
    return items


def _titled(items: Sequence[JSON]) -> Iterable[tuple[str, str | None]]:
    for item in items:
        identity = item.get("id") if isinstance(item, dict) else None
        name = in_javascript(identity) if _is_id(identity) else ""
        if not isinstance(item, dict) or not name.strip() or storable(name) != name:
            raise Refused("has an item without an id")
        html, title, body = item.get("html"), item.get("title"), item.get("body")
        if isinstance(html, str) and html.strip() and not body and not text_of_html(storable(html)).strip():
            raise Refused("has an item whose HTML holds no word to read (an image), and no body")
        yield name, storable(title) if isinstance(title, str) and title else None
