"""What golden questions of a project can be made of: verified tasks, what was predicted for them, what is ordinary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backend.core.errors import InputError
from backend.core.scorings import ScoredAnswer
from backend.core.values import JSON
from backend.core.verifications import Verification
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control
from backend.labeling.controls.choices import Choices
from backend.labeling.resolving import resolve
from backend.learning.golden_choice import Candidate, Ordinary, ordinary
from backend.learning.report import labels_of
from backend.ports.store import Store
from backend.prompting.shortlist import joined_text

_SUPPORTED = "a Choices of one choice that is always shown, with its choices in the labeling config"


@dataclass(frozen=True, kw_only=True)
class Material:
    """Of one control, under one version."""

    control: Control
    candidates: Sequence[Candidate]
    firm: frozenset[int]  # tasks whose answer rests on more than one person who saw a prediction
    middle: Ordinary | None  # None: nothing is answered
    confusions: Mapping[str, Mapping[str, int]]  # right label -> predicted label -> how often
    answers: Mapping[int, ScoredAnswer]  # task -> what the version answered


def golden_control(config: LabelingConfig, name: str | None) -> Control:
    """The control whose answers golden questions look at. Raises `InputError` where it is not one that they can."""
    able = {control.name: control for control in config.controls if _is_able(control)}
    if name is not None and name not in able:
        known = name in {control.name for control in config.controls}
        raise InputError(
            f"Golden questions cannot be asked of the control {name!r}: "
            + (f"they need {_SUPPORTED}." if known else "the labeling config has no such control.")
        )
    if not able:
        raise InputError(f"Golden questions cannot be made of this labeling config: they need {_SUPPORTED}.")
    if name is None and len(able) > 1:
        raise InputError(f"Name the control that golden questions are about with --control: {', '.join(able)}.")
    return able[name] if name is not None else next(iter(able.values()))


def _is_able(control: Control) -> bool:
    always = not control.conditions and control.options_variable is None
    return isinstance(control, Choices) and always and len(control.closed_options) > 1


def gather(
    store: Store, config: LabelingConfig, *, project_id: int, version: str, control: Control, apart: Collection[int]
) -> Material:
    """Everything but the tasks that are set `apart`, those of the blind audit, which traps would spoil, and what shows
    the same as one of these. Of tasks that show the same, one."""
    plan = store.audit_plan(project_id)
    by_task: defaultdict[int, list[Verification]] = defaultdict(list)
    for one in store.verifications(project_id):
        if one.is_label and one.config_fingerprint == config.fingerprint:
            by_task[one.task_id].append(one)
    found: list[tuple[Candidate, bool]] = []
    answers, scores, lengths = {}, [], []
    taken: set[str] = set()  # hashes of data
    for answer in store.scored_answers(project_id, version):
        bound = config.bind(answer.data)
        length = len(joined_text(bound.show(answer.data).values()))
        scores.append(answer.score)
        lengths.append(length)
        rows = [v for v in by_task.get(answer.task_id, ()) if v.data_hash == answer.data_hash]
        if answer.task_id in apart or (plan is not None and plan.holds(answer.task_id)):
            taken.add(answer.data_hash)
        elif rows and (told := _candidate(bound, control, answer, rows, length)) is not None:
            found.append(told)
            answers[answer.task_id] = answer
    candidates = []
    for candidate, _ in found:
        if answers[candidate.task_id].data_hash not in taken:
            taken.add(answers[candidate.task_id].data_hash)
            candidates.append(candidate)
    return Material(
        control=control,
        candidates=candidates,
        firm=frozenset(candidate.task_id for candidate, firm in found if firm),
        middle=ordinary(scores, lengths) if lengths else None,
        confusions=_confusions(control, (v for rows in by_task.values() for v in rows)),
        answers=answers,
    )


def _candidate(
    bound: LabelingConfig, control: Control, answer: ScoredAnswer, rows: Sequence[Verification], length: int
) -> tuple[Candidate, bool] | None:
    """The task, and whether its answer is firm; None where people settle nothing."""
    settled = resolve(bound, rows).get(control.name)
    label = one_label(control.as_json(settled.value)) if settled is not None and settled.is_settled else None
    if label is None:
        return None
    truths = [v for v in rows if v.ground_truth]
    said = [(v.annotator_id, one_label(control.as_json(control.value_of(v.regions).value))) for v in truths or rows]
    candidate = Candidate(
        task_id=answer.task_id,
        label=label,
        predicted=one_label(control.as_json(control.value_of(answer.result).value)),
        disputed=any(one != label for _, one in said),
        score=answer.score,
        length=length,
    )
    unseen = any(not v.shown for v in rows)
    return candidate, bool(truths) or unseen or len({person for person, _ in said}) > 1


def _confusions(control: Control, rows: Iterable[Verification]) -> dict[str, dict[str, int]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for one in row.controls:
            predicted, final = one_label(one.predicted), one_label(one.final)
            if one.control == control.name and predicted is not None and final is not None and predicted != final:
                found[final][predicted] += 1
    return {label: dict(counts) for label, counts in found.items()}


def one_label(value: JSON | None) -> str | None:
    """The label where an answer is exactly one."""
    labels = labels_of(value)
    return labels[0] if labels is not None and len(labels) == 1 else None
