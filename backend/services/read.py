"""What recorded replies say, read as the service reads them: labels, steps, and what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.labeling.controls.base import clip
from backend.recorded import Recorded
from backend.services.recorded_answers import as_options, field_of, question

_MOST_INVALID = 20


@dataclass(frozen=True, kw_only=True)
class ReadReply:
    """One reply and what was read in it."""

    where: str
    labels: tuple[str, ...] | None  # None: invalid; empty: rightly none
    step: str | None
    reason: str | None  # why it is invalid
    answer: str | None  # what an invalid reply answered instead, cut to 80 characters
    right: bool | None  # None: the row has no gold
    group: str

    def as_json(self) -> dict[str, Any]:
        label = list(self.labels) if self.labels is not None else None
        return {"where": self.where, "label": label, "step": self.step, "reason": self.reason, "right": self.right}


@dataclass(kw_only=True)
class Tally:
    """Counts over some of the replies."""

    replies: int = 0
    invalid: int = 0
    with_gold: int = 0
    right: int = 0  # of those with gold; an invalid reply is not right
    steps: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float | None:
        return self.right / self.with_gold if self.with_gold else None

    def add(self, reply: ReadReply) -> None:
        self.replies += 1
        self.invalid += reply.labels is None
        self.with_gold += reply.right is not None
        self.right += bool(reply.right)
        if reply.labels is not None:
            self.steps[reply.step or "unknown"] += 1
        else:
            self.reasons[reply.reason or "unknown"] += 1
            self.answers[reply.answer or ""] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "replies": self.replies,
            "invalid": self.invalid,
            "with_gold": self.with_gold,
            "right": self.right,
            "accuracy": self.accuracy,
            "steps": dict(self.steps.most_common()),
            "reasons": dict(self.reasons.most_common()),
            "invalid_answers": dict(self.answers.most_common(_MOST_INVALID)),
        }


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A whole file."""

    replies: tuple[ReadReply, ...]
    total: Tally
    groups: Mapping[str, Tally]
    options_from_gold: int | None  # how many labels stood in for the options of rows that name none


def read_rows(rows: Sequence[Recorded], *, key: str | None, gold_key: str, group_keys: Sequence[str]) -> Reading:
    """Read every reply. Raises `InputError`, naming the line, for a row that cannot be used.

    Rows that name no options get all labels that the file's gold names.
    """
    gold_labels = tuple(sorted({name for row in rows for name in row.names(gold_key) or ()}))
    total, groups = Tally(), dict[str, Tally]()
    replies: list[ReadReply] = []
    for row in rows:
        group = "/".join(_group(row, name) for name in group_keys)
        for raw in row.raws if row.raw is None else (row.raw,):
            reply = _read(row, raw, key, gold_key, row.options or gold_labels, group)
            replies.append(reply)
            total.add(reply)
            groups.setdefault(group, Tally()).add(reply)
        if row.raw is None and not row.raws:
            row.fail('it has no reply: give "raw"')
    borrowed = any(not row.options for row in rows)
    return Reading(
        replies=tuple(replies),
        total=total,
        groups=groups if group_keys else {},
        options_from_gold=len(gold_labels) if borrowed else None,
    )


def _read(row: Recorded, raw: str, key: str | None, gold_key: str, options: tuple[str, ...], group: str) -> ReadReply:
    if not options:
        row.fail('it has no "options", and no row has gold labels to take them from')
    found = field_of(row, raw, key, question(options, row.multiple), row.tokens)
    labels = tuple(found.value or ()) if found.problem is None else None
    names = row.names(gold_key)
    return ReadReply(
        where=row.where,
        labels=labels,
        step=found.step,
        reason=found.problem,
        answer=None if found.problem is None else ", ".join(found.rejected) or clip(" ".join(raw[:1_000].split())),
        right=None if names is None else labels is not None and frozenset(labels) == as_options(names, options),
        group=group,
    )


def _group(row: Recorded, key: str) -> str:
    value = row.values.get(key)
    if value is None or isinstance(value, list | dict):
        row.fail(f'"{key}" must be a string or a number in every row')
    return str(value)
