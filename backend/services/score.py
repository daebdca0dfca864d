"""Which confidence tells right answers from wrong ones: every method that a recorded file has evidence for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from backend.confidence.agreement import agreement, set_agreement
from backend.confidence.metrics import Quality, quality, random_order
from backend.recorded import Recorded
from backend.services.recorded_answers import Answer, Keys, Labels, answer_of

METHODS = {  # as they are told, in this order
    "label_logprob": "label logprob",
    "agreement": "agreement",
    "self_reported": "self-reported",
    "recorded": "recorded number",
    "mean_token": "mean token (MEGAnno+)",
}


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """The figures of the rows that belong together."""

    name: str  # empty where nothing was grouped
    replies: int  # rows of which it is known whether they are right
    invalid: int  # of these, the ones without a usable label
    accuracy: float | None  # over `replies`: an invalid one is not right
    methods: Mapping[str, Quality]  # by the names of METHODS
    random: Quality


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a recorded file says about confidence."""

    rows: int
    without_gold: int  # left out
    options_from_gold: int | None  # how many labels stood in for the options of rows that name none
    groups: tuple[GroupScores, ...]


@dataclass(kw_only=True)
class _Item:
    """A question with all its samples."""

    multiple: bool
    gold: Labels | None
    samples: list[Labels | None] = field(default_factory=list)


@dataclass(kw_only=True)
class _Group:
    answers: list[Answer] = field(default_factory=list)
    items: dict[str, _Item] = field(default_factory=dict)


def score(rows: Sequence[Recorded], keys: Keys, *, invalid_is_wrong: bool = False) -> Report:
    """Score every method. Raises `InputError`, naming the line, for a row that cannot be used.

    Agreement has one answer an item, every other method one a row. Rows that name no options get all labels that the
    file's gold names.
    """
    gold_labels = tuple(sorted({name for row in rows for name in row.names(keys.gold) or ()}))
    groups: dict[str, _Group] = {}
    known = 0
    for row in rows:
        answer = answer_of(row, keys, gold_labels, invalid_is_wrong=invalid_is_wrong)
        if answer.right is None:
            continue
        known += 1
        group = groups.setdefault("/".join(_name(row, key) for key in keys.group), _Group())
        group.answers.append(answer)
        item_name = row.where if keys.item is None else _name(row, keys.item)
        item = group.items.setdefault(item_name, _Item(multiple=row.multiple, gold=answer.gold))
        if item.gold != answer.gold:
            row.fail(f'its "{keys.gold}" differs from that of other rows with the same "{keys.item}"')
        item.samples += answer.samples
    borrowed = any(not row.options and (row.raw is not None or row.raws) for row in rows)
    return Report(
        rows=len(rows),
        without_gold=len(rows) - known,
        options_from_gold=len(gold_labels) if borrowed else None,
        groups=tuple(_scores(name, group) for name, group in groups.items()),
    )


def as_json(report: Report) -> dict[str, Any]:
    """The report as one JSON object; what is not known is null."""
    groups = [
        {
            "group": group.name or None,
            "replies": group.replies,
            "invalid": group.invalid,
            "accuracy": group.accuracy,
            "methods": {name: _figures(found) for name, found in group.methods.items()},
            "random_order": _figures(group.random),
        }
        for group in report.groups
    ]
    return {
        "rows": report.rows,
        "without_gold": report.without_gold,
        "options_from_gold": report.options_from_gold,
        "groups": groups,
    }


def _figures(found: Quality) -> dict[str, Any]:
    return {**asdict(found), "coverage": found.coverage}


def _name(row: Recorded, key: str) -> str:
    value = row.values.get(key)
    if value is None or isinstance(value, list | dict):
        row.fail(f'"{key}" must be a string or a number in every row')
    return str(value)


def _scores(name: str, group: _Group) -> GroupScores:
    found: dict[str, Quality] = {}
    for method in METHODS:
        if any(method in answer.confidences for answer in group.answers):
            found[method] = quality([(a.confidences.get(method), bool(a.right)) for a in group.answers])
    items = [item for item in group.items.values() if item.gold is not None]
    if any(len(item.samples) > 1 for item in items):
        found["agreement"] = quality([_agreed(item) for item in items])
    right = [bool(answer.right) for answer in group.answers]
    return GroupScores(
        name=name,
        replies=len(right),
        invalid=sum(answer.labels is None for answer in group.answers),
        accuracy=sum(right) / len(right) if right else None,
        methods={method: found[method] for method in METHODS if method in found},
        random=random_order(right),
    )


def _agreed(item: _Item) -> tuple[float | None, bool]:
    """The share of an item's samples that agree, and whether what they agree on is right."""
    if item.multiple:
        majority = set_agreement(item.samples)
        return (majority.share, majority.value == item.gold) if majority else (None, False)
    plurality = agreement(item.samples)
    return (plurality.share, plurality.value == item.gold) if plurality else (None, False)
