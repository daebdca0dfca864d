"""What a version answered and what people said of it, control by control: what scores are fitted on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from backend.core.judgements import Judgement
from backend.core.scorings import ScoredAnswer
from backend.core.values import JSON
from backend.labeling.config import LabelingConfig
from backend.labeling.controls import Control
from backend.learning.fitting import Predicted, Said
from backend.learning.report import labels_of
from backend.prompting.shortlist import compared_text
from backend.recalibrating import by_value


def predicted(config: LabelingConfig, answers: Iterable[ScoredAnswer]) -> dict[str, list[Predicted]]:
    """Of each control that has a confidence anywhere the answers to the tasks, in their order."""
    found: defaultdict[str, list[Predicted]] = defaultdict(list)
    for answer in answers:
        bound = config.bind(answer.data)
        shown = bound.show(answer.data)
        for control in bound.controls:
            told = answer.controls.get(control.name)
            if told is None or told.confidence is None:
                continue
            label = one_label(control, control.as_json(control.value_of(answer.result).value))
            found[control.name].append(
                Predicted(
                    task_id=answer.task_id,
                    raw=told.confidence,
                    label=label,
                    text=compared_text(control, shown),
                    data_hash=answer.data_hash,
                    score=answer.score,
                    probabilities=by_value(control, told.probabilities),
                )
            )
    return dict(found)


def said_of(config: LabelingConfig, judgements: Iterable[Judgement]) -> dict[str, dict[int, Said]]:
    """Control -> task -> what most of those say that are heard; of an audited task those who saw no prediction. Where
    as many say so as not, nobody knows, and it is left out."""
    options = {control.name: control for control in config.controls}
    votes: defaultdict[tuple[str, int], list[tuple[bool, bool, str | None]]] = defaultdict(list)
    for judgement in judgements:
        for one in judgement.controls if judgement.heard else ():
            if one.agrees is not None and one.control in options:
                gold = one_label(options[one.control], one.final)
                votes[one.control, judgement.task_id].append((judgement.audit, one.agrees, gold))
    found: defaultdict[str, dict[int, Said]] = defaultdict(dict)
    for (name, task_id), told in votes.items():
        audit = any(blind for blind, _, _ in told)
        heard = [(agrees, gold) for blind, agrees, gold in told if blind or not audit]
        right = sum(agrees for agrees, _ in heard)
        if 2 * right != len(heard):
            found[name][task_id] = Said(right=2 * right > len(heard), audit=audit, gold=_most(g for _, g in heard))
    return dict(found)


def one_label(control: Control, value: JSON | None) -> str | None:
    """The label, where the answer of a control with a closed set of them is exactly one."""
    labels = labels_of(value) if control.options or control.options_variable else None
    return labels[0] if labels is not None and len(labels) == 1 else None


def _most(golds: Iterable[str | None]) -> str | None:
    """What more than half say."""
    counts = Counter(golds)
    gold, n = counts.most_common(1)[0]
    return gold if 2 * n > counts.total() else None
