"""What the golden questions of a project say of its annotators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.confidence.intervals import Interval
from backend.core.errors import ConfigError
from backend.core.golden import GoldenTask
from backend.core.values import JSON
from backend.core.verifications import Verification
from backend.learning.golden import Exam, GoldenAnswer, Marked, exam, mark
from backend.ports.store import ProjectRow, Store
from backend.services.golden_copies import fitting
from backend.services.golden_material import one_label
from backend.services.projects import answerable


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The golden questions of a project, and everybody who annotated."""

    questions: tuple[GoldenTask, ...]  # that can be answered
    unusable: int  # questions whose control or label left the labeling config
    asked: Exam | None  # None: there is no question
    people: Mapping[int, Marked]  # annotator -> what is known
    left_out: Mapping[int, int]  # annotator -> annotations that count for nothing


def panel(store: Store, row: ProjectRow) -> Panel:
    """From the annotations as they were read last: of each annotator the first answer to each question."""
    known = [one for one in store.golden_tasks(row.id) if one.task_id is not None]
    questions = {one.task_id: one for one in fitting(store, row) if one.task_id is not None}
    answers: defaultdict[int, list[GoldenAnswer]] = defaultdict(list)
    for person, first in _first_answers(store, row, questions).items():
        for one in first:
            question = questions[one.task_id]
            answers[person].append(GoldenAnswer(right=_said(one, question) == question.label, trap=question.trap))
    asked = exam(len(questions), sum(one.trap for one in questions.values())) if questions else None
    everybody = sorted({*answers, *store.annotators(row.id)})
    return Panel(
        questions=tuple(questions.values()),
        unusable=len(known) - len(questions),
        asked=asked,
        people={person: mark(answers[person], asked) for person in everybody} if asked is not None else {},
        left_out=store.left_out(row.id),
    )


def _first_answers(store: Store, row: ProjectRow, questions: Mapping[int, GoldenTask]) -> dict[int, list[Verification]]:
    try:
        fingerprint = answerable(row.label_config).fingerprint if questions else ""
    except ConfigError:
        return {}
    found: dict[tuple[int, int], Verification] = {}
    rows = store.verifications(row.id, task_ids=sorted(questions), everything=True) if questions else ()
    for one in sorted(rows, key=lambda v: (v.created_at, v.annotation_id)):
        if one.annotator_id is not None and one.is_label and one.config_fingerprint == fingerprint:
            found.setdefault((one.annotator_id, one.task_id), one)
    by_person: defaultdict[int, list[Verification]] = defaultdict(list)
    for (person, _), one in found.items():
        by_person[person].append(one)
    return by_person


def _said(one: Verification, question: GoldenTask) -> str | None:
    return next((one_label(control.final) for control in one.controls if control.control == question.control), None)


def told(found: Panel) -> dict[str, JSON] | None:
    """As JSON, without saying which tasks are golden questions; None where there are none."""
    if not found.questions and not found.unusable:
        return None
    return {
        "questions": len(found.questions),
        "traps": sum(one.trap for one in found.questions),
        "unusable": found.unusable,
        "annotators": [
            {"annotator": person, "left_out": person in found.left_out, **_marked(one)}
            for person, one in found.people.items()
        ],
    }


def told_left_out(left_out: Mapping[int, int]) -> list[dict[str, JSON]]:
    return [{"annotator": person, "annotations": n} for person, n in left_out.items()]


def _marked(one: Marked) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "because": one.because,
        "accuracy": _share(one.right, one.answered, one.accuracy),
        "catch_rate": _share(one.caught, one.traps, one.catch_rate),
        "more": one.more,
        "more_traps": one.more_traps,
    }


def _share(part: int, n: int, interval: Interval | None) -> dict[str, JSON] | None:
    if interval is None:
        return None
    return {"n": n, "share": part / n, "low": interval.low, "high": interval.high}
