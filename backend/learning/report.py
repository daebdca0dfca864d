"""What verified tasks tell of a version, of the people and of the time: figures with how far they may be off.

Whatever people decided while they saw a prediction says how they worked with it (confirm rates, lead times). What the
labels are worth is told from the blind audit alone: people take what they are shown (arXiv 2507.15821), and tasks that
were chosen by their score stand for themselves only. Where there is no audit there is no accuracy, and a warning.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from backend.confidence.intervals import clopper_pearson, wilson
from backend.confidence.kappa import cohen_kappa, krippendorff_alpha
from backend.confidence.metrics import auroc, expected_calibration_error
from backend.core.judgements import Judgement
from backend.core.values import JSON, canonical_hash
from backend.core.verifications import ControlVerification, VerificationOutcome

MOST_LABELS = 200  # of a control that are told apart
MOST_CONFUSED = 20  # pairs of labels
MOST_VALUES = 50  # of a slice's column
FEWEST_AUDIT = 30  # an accuracy of fewer is told with a warning
COVERAGES = tuple(part / 10 for part in range(1, 11))
NO_AUDIT = (
    "No task of the blind audit has been annotated: what these labels are worth is not known, since people tend to "
    "confirm what they are shown."
)


def version_figures(judgements: Sequence[Judgement], *, answered: int) -> dict[str, Any]:
    """Of one version: all judgements of it, and how many tasks it answered."""
    audit = one_a_task([j for j in judgements if j.audit])
    shown = [j for j in judgements if j.outcome in _DECIDED]
    verified = len({j.task_id for j in judgements})
    return {
        "answered": answered,
        "verified": verified,
        "verified_share": verified / answered if answered else None,
        "accuracy": _accuracy(audit),
        "warning": _warning(audit),
        "calibration": _calibration(audit),
        "confirmed": _rate([j.outcome is VerificationOutcome.CONFIRMED for j in shown]),
        "controls": {name: _control(rows, audit) for name, rows in _by_control(shown, audit).items()},
        "slices": _slices(shown, audit),
    }


def people_figures(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Of the annotators, over judgements of any version; each annotation counts once, as it was decided: any other
    version than the one that it was compared with has it as blind."""
    by_annotation: dict[int, Judgement] = {}
    for judgement in judgements:
        if judgement.annotation_id not in by_annotation or judgement.outcome is not VerificationOutcome.BLIND:
            by_annotation[judgement.annotation_id] = judgement
    once = list(by_annotation.values())
    by_person: defaultdict[int | None, list[Judgement]] = defaultdict(list)
    for judgement in once:
        by_person[judgement.annotator_id].append(judgement)
    tasks: defaultdict[int, list[Judgement]] = defaultdict(list)
    for judgement in once:
        tasks[judgement.task_id].append(judgement)
    several = [rows for rows in tasks.values() if len(rows) > 1]
    return {
        "annotators": [_person(person, rows) for person, rows in sorted(by_person.items(), key=_person_order)],
        "tasks_with_several": len(several),
        "agreement": _agreement_of_people(several),
        "lead_time": {
            "with_prediction": _times([j.lead_time_s for j in once if j.shown]),
            "without": _times([j.lead_time_s for j in once if not j.shown]),
        },
    }


_DECIDED = (VerificationOutcome.CONFIRMED, VerificationOutcome.CORRECTED)


def one_a_task(judgements: Iterable[Judgement]) -> list[tuple[Judgement, bool]]:
    """Of each task whether its answer was right: as most of those say that are heard. Where as many say so as not, it
    is left out: nobody knows."""
    by_task: defaultdict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        if judgement.heard and judgement.right is not None:
            by_task[judgement.task_id].append(judgement)
    found = []
    for _, rows in sorted(by_task.items()):
        right = sum(bool(row.right) for row in rows)
        if 2 * right != len(rows):
            found.append((rows[0], 2 * right > len(rows)))
    return found


def _accuracy(audit: Sequence[tuple[Judgement, bool]]) -> dict[str, Any] | None:
    """With a 95 % interval that keeps its promise (Clopper and Pearson 1934)."""
    if not audit:
        return None
    right = sum(ok for _, ok in audit)
    interval = clopper_pearson(right, len(audit))
    return {"n": len(audit), "share": right / len(audit), "low": interval.low, "high": interval.high}


def _warning(audit: Sequence[tuple[Judgement, bool]]) -> str | None:
    if not audit:
        return NO_AUDIT
    if len(audit) < FEWEST_AUDIT:
        return f"Only {len(audit)} tasks of the blind audit have been annotated: the accuracy may be far off."
    return None


def _calibration(audit: Sequence[tuple[Judgement, bool]]) -> dict[str, Any] | None:
    """How far the scores can be trusted: on the audit, where one has a score at all."""
    judged = [(row.score, ok) for row, ok in audit if row.score is not None]
    if not judged:
        return None
    return {
        "n": len(judged),
        "ece": expected_calibration_error(judged),
        "auroc": auroc(judged),
        "risk_coverage": [
            {"coverage": share, "risk": risk} for share, risk in risk_coverage(judged) if risk is not None
        ],
    }


def risk_coverage(judged: Sequence[tuple[float, bool]]) -> Iterator[tuple[float, float | None]]:
    """Of the given shares of the tasks, highest score first, how many are wrong; tasks of one score count alike."""
    ordered = sorted(judged, key=lambda pair: -pair[0])
    by_score: defaultdict[float, list[bool]] = defaultdict(list)
    for score, ok in ordered:
        by_score[score].append(ok)
    for share in COVERAGES:
        wanted, left, wrong = share * len(ordered), share * len(ordered), 0.0
        for score in sorted(by_score, reverse=True):
            group = by_score[score]
            taken = min(left, float(len(group)))
            wrong += taken * (1 - sum(group) / len(group))
            left -= taken
        yield share, wrong / wanted if wanted else None


def _rate(told: Sequence[bool]) -> dict[str, Any] | None:
    """A share with Wilson's interval: shown, not promised."""
    if not told:
        return None
    interval = wilson(sum(told), len(told))
    return {"n": len(told), "share": sum(told) / len(told), "low": interval.low, "high": interval.high}


def _by_control(
    shown: Sequence[Judgement], audit: Sequence[tuple[Judgement, bool]]
) -> dict[str, list[tuple[Judgement, ControlVerification]]]:
    found: defaultdict[str, list[tuple[Judgement, ControlVerification]]] = defaultdict(list)
    for judgement in [*shown, *(row for row, _ in audit)]:
        for control in judgement.controls:
            found[control.control].append((judgement, control))
    return found


def _control(
    rows: Sequence[tuple[Judgement, ControlVerification]], audit: Sequence[tuple[Judgement, bool]]
) -> dict[str, Any]:
    name = rows[0][1].control
    decided = [control for judgement, control in rows if judgement.outcome in _DECIDED and control.agrees is not None]
    blind = [c for judgement, _ in audit for c in judgement.controls if c.control == name and c.agrees is not None]
    agreements = [c.agreement for c in blind or decided if c.agreement is not None]
    interval = clopper_pearson(sum(bool(c.agrees) for c in blind), len(blind)) if blind else None
    right = sum(bool(c.agrees) for c in blind)
    pairs = [(labels_of(c.predicted), labels_of(c.final)) for c in blind]
    return {
        "confirmed": _rate([bool(c.agrees) for c in decided]),
        "accuracy": None
        if interval is None
        else {"n": len(blind), "share": right / len(blind), "low": interval.low, "high": interval.high},
        "agreement": sum(agreements) / len(agreements) if agreements else None,
        "kappa": cohen_kappa([(p, f) for p, f in pairs if p is not None and f is not None]),
        "labels": _labels(decided),
        "changed": _confusion(decided),  # only what was shown can be changed
        "confusion": _confusion([*decided, *blind]),
    }


def _labels(decided: Sequence[ControlVerification]) -> dict[str, Any]:
    """The confirm rate by predicted label; the most frequent ones."""
    told: defaultdict[str, list[bool]] = defaultdict(list)
    for control in decided:
        for label in labels_of(control.predicted) or ():
            kept = control.agrees or label in (labels_of(control.final) or ())
            told[label].append(bool(kept))
    often = sorted(told.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_LABELS]
    return {label: _rate(rates) for label, rates in often}


def _confusion(compared: Sequence[ControlVerification]) -> list[dict[str, Any]]:
    """Which labels people put in the place of which, the most frequent first."""
    pairs: Counter[tuple[str, str]] = Counter()
    for control in compared:
        if control.agrees is False:
            before, after = labels_of(control.predicted), labels_of(control.final)
            if before is not None and after is not None:
                lost, gained = sorted(set(before) - set(after)), sorted(set(after) - set(before))
                pairs.update((one, other) for one in lost or [""] for other in gained or [""])
    most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:MOST_CONFUSED]
    return [{"predicted": one, "final": other, "n": n} for (one, other), n in most]


def labels_of(value: JSON | None) -> tuple[str, ...] | None:
    """The names in a control's value, where it is one or several names; None where it is something else."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None


def _slices(shown: Sequence[Judgement], audit: Sequence[tuple[Judgement, bool]]) -> dict[str, Any]:
    """By column and value: the confirm rate, and the accuracy on the audit."""
    columns = sorted({column for j in [*shown, *(row for row, _ in audit)] for column in j.slices})
    told: dict[str, Any] = {}
    for column in columns:
        values = Counter(j.slices[column] for j in [*shown, *(row for row, _ in audit)] if column in j.slices)
        told[column] = {
            value: {
                "confirmed": _rate(
                    [j.outcome is VerificationOutcome.CONFIRMED for j in shown if j.slices.get(column) == value]
                ),
                "accuracy": _accuracy([(j, ok) for j, ok in audit if j.slices.get(column) == value]),
            }
            for value, _ in values.most_common(MOST_VALUES)
        }
    return told


def _person(person: int | None, rows: Sequence[Judgement]) -> dict[str, Any]:
    decided = [j for j in rows if j.outcome in _DECIDED]
    return {
        "annotator": person,
        "annotations": len(rows),
        "confirmed": _rate([j.outcome is VerificationOutcome.CONFIRMED for j in decided]),
        "median_lead_time_s": _times([j.lead_time_s for j in rows])["median_s"],
    }


def _person_order(item: tuple[int | None, list[Judgement]]) -> tuple[int, int]:
    return (-len(item[1]), item[0] or 0)


def _agreement_of_people(several: Sequence[Sequence[Judgement]]) -> dict[str, Any]:
    """Krippendorff's alpha of what people said, by control: 1 always the same, 0 as by chance."""
    names = sorted({control.control for rows in several for j in rows for control in j.controls})
    told = {}
    for name in names:
        tasks = [[_said(j, name) for j in rows] for rows in several]
        told[name] = {
            "alpha": krippendorff_alpha(tasks),
            "tasks": sum(len([one for one in task if one is not None]) > 1 for task in tasks),
            "disagreed": sum(len({one for one in task if one is not None}) > 1 for task in tasks),
        }
    return told


def _said(judgement: Judgement, name: str) -> Hashable:
    """What the annotator answered in this control; None: nothing that can be read."""
    found = next((c for c in judgement.controls if c.control == name and c.problem is None), None)
    return None if found is None else canonical_hash(found.final)


def _times(seconds: Sequence[float | None]) -> dict[str, Any]:
    known = [one for one in seconds if one is not None]
    return {"n": len(known), "median_s": median(known) if known else None}


def costs(usd: float | None, tokens: int, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the labels cost: of each that a person verified, and of each that was right as it stood."""
    confirmed = figures["confirmed"]
    accepted = round(confirmed["share"] * confirmed["n"]) if confirmed else 0
    verified = figures["verified"]
    return {
        "tokens": tokens,
        "usd": usd,
        "usd_per_verified": usd / verified if usd is not None and verified else None,
        "usd_per_confirmed": usd / accepted if usd is not None and accepted else None,
    }
