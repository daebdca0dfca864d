"""Which score is used from now on: the model's own, Platt's, or the fused one. Only evidence on the audit decides.

Each candidate is fitted on all verified tasks but those of one fold, and judged by its log-loss on the audit tasks of
that fold, over all folds and three ways of dealing them out. Tasks that were not drawn at random may be fitted on,
with weights, and are never judged by. The score in use is fitted and judged in the same way, so that it has no
advantage of having seen these tasks before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import fsum, log

from backend.confidence.calibration import Platt, fit_platt
from backend.confidence.cases import Case, Verified
from backend.confidence.fused import Fused, fit_fused
from backend.confidence.logistic import logit, sigmoid
from backend.confidence.metrics import Judged, auroc, expected_calibration_error
from backend.core.folds import folds
from backend.core.values import JSON

PLATT_FROM = 50  # verified tasks that have a raw confidence and some weight
FUSED_FROM = 100
AUDIT_FROM = 20  # of them, of the audit
FOLDS = 10
DEALS = 3  # of the folds: their average hangs less on who is held out with whom
LEAST_GAIN = 0.001  # in nats a task; less is no reason to write all predictions anew


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The model's own confidence as it is."""

    def apply(self, raw: float | None) -> float | None:
        return raw

    def to_json(self) -> dict[str, JSON]:
        return {"kind": "raw"}


Score = Raw | Platt | Fused


def probability(score: Score, case: Case) -> float | None:
    """The score's probability that the case is right; None where the model gave no confidence."""
    return score.apply(case) if isinstance(score, Fused) else score.apply(case.raw)


def score_from_json(stored: JSON) -> Score:
    """What `to_json` of any score has written. Raises ValueError for anything else."""
    kind = stored.get("kind") if isinstance(stored, dict) else None
    if kind == "fused":
        return Fused.from_json(stored)
    if kind == "platt":
        return Platt.from_json(stored)
    if stored == Raw().to_json():
        return Raw()
    raise ValueError("this is no stored score: fit it again")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How good a candidate is on the audit, cross-validated. None where that cannot be said."""

    log_loss: float  # nats a task, of a certainty of 1 as one of 0.999
    ece: float | None
    auroc: float | None


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What is used from now on, and why."""

    score: Score
    name: str  # of that: "raw", "platt" or "fused"
    before: str  # of what was in use
    verified: int  # tasks that could be fitted on: with a raw confidence, and some weight
    audit: int  # of them of the audit
    figures: Mapping[str, Figures]  # of the candidates that were compared; empty where none could be
    why: str  # one sentence

    @property
    def changed(self) -> bool:
        return self.name != self.before


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    fit: Callable[[Sequence[Verified]], Score | None]
    needs: int  # verified tasks


_CANDIDATES = {
    "raw": _Candidate(fit=lambda verified: Raw(), needs=0),
    "platt": _Candidate(fit=fit_platt, needs=PLATT_FROM),
    "fused": _Candidate(fit=fit_fused, needs=FUSED_FROM),
}


def adopt(verified: Sequence[Verified], *, in_use: Score, seed: int) -> Adoption:
    """The candidate with the lowest log-loss on the audit, fitted on all `verified`; in doubt the one in use.

    All rows are predictions of one control by one version. Audit tasks are judged by alike, whatever they weigh in the
    fits. Where nothing can be compared, `in_use` stays as it is, with its parameters; but where too few tasks are left
    that it could be fitted on, what it was fitted on counts no more, and it is given up for the model's own. The same
    rows, in the same order, and seed give the same answer.
    """
    rows = usable(verified)
    audit = [v for v in rows if v.audit]
    before = _name(in_use)
    obstacle = _obstacle(rows, audit)
    lost = None if before == "raw" else _too_few(rows, audit, _CANDIDATES[before].needs)
    given_up = f"{lost}: {before}, which was fitted on what counts no more, is given up" if lost else ""
    figures = {} if obstacle else _compared(rows, seed)
    found = partial(Adoption, before=before, verified=len(rows), audit=len(audit))
    if obstacle:
        kept = Raw() if lost else in_use
        why = f"{given_up} for raw." if lost else f"{obstacle}: {before} stays in use."
        return found(score=kept, name=_name(kept), figures={}, why=why)
    base = "raw" if lost else before
    best = min(figures, key=lambda name: figures[name].log_loss)
    gain = figures[base].log_loss - figures[best].log_loss
    name = best if gain >= LEAST_GAIN else base
    score = _CANDIDATES[name].fit(rows)
    assert score is not None, "there are rows with some weight"
    why = _why(name, base, figures, len(rows), len(audit))
    return found(score=score, name=name, figures=figures, why=f"{given_up}; {why}" if lost else why)


def usable(verified: Sequence[Verified]) -> list[Verified]:
    """Those that scores are fitted on: with a raw confidence, and some weight."""
    return [v for v in verified if v.case.raw is not None and v.weight > 0]


def cross_fitted(verified: Sequence[Verified], name: str, *, seed: int) -> list[float]:
    """Of each of the `usable` rows the probability by a score of that kind that was fitted without it, and without all
    that show the same. With rows of one group only there is no other to fit on: then by one that is fitted on them."""
    rows = usable(verified)
    fold = folds([v.group for v in rows], [f"{v.audit}{v.right}" for v in rows], most=FOLDS, seed=seed)
    found = [0.0] * len(rows)
    for number in sorted(set(fold)):
        others = [v for v, own in zip(rows, fold, strict=True) if own != number]
        score = _CANDIDATES[name].fit(others or rows)
        for place, (v, own) in enumerate(zip(rows, fold, strict=True)):
            if own == number:
                known = None if score is None else probability(score, v.case)
                assert known is not None, "there are rows with some weight and a raw confidence"
                found[place] = known
    return found


def _obstacle(rows: Sequence[Verified], audit: Sequence[Verified]) -> str | None:
    """Why nothing can be compared, as the beginning of a sentence."""
    if few := _too_few(rows, audit, PLATT_FROM):
        return few
    if len({v.right for v in audit}) == 1:
        found = "right" if audit[0].right else "wrong"
        return f"All {len(audit)} predictions of the audit are {found}, so that there is nothing to tell apart"
    if len({v.group for v in rows}) < FOLDS:
        return f"The verified tasks show fewer than {FOLDS} different things"
    return None


def _too_few(rows: Sequence[Verified], audit: Sequence[Verified], needed: int) -> str | None:
    """As `_obstacle`, of their numbers alone."""
    if len(rows) < needed:
        return f"{len(rows)} verified tasks can be fitted on and {needed} are needed"
    if len(audit) < AUDIT_FROM:
        return f"{len(audit)} verified tasks of the audit can be judged by and {AUDIT_FROM} are needed"
    return None


def _why(name: str, before: str, figures: Mapping[str, Figures], verified: int, audit: int) -> str:
    losses = {other: found.log_loss for other, found in figures.items()}
    later = f"; fused is tried from {FUSED_FROM} verified tasks on, of {verified} now" if "fused" not in losses else ""
    if name != before:
        lower = f"{losses[name]:.3f} instead of {losses[before]:.3f}"
        return f"{name} replaces {before}: its cross-validated log-loss on {audit} audit tasks is {lower}{later}."
    others = ", ".join(f"{other} {loss:.3f}" for other, loss in losses.items() if other != name)
    return (
        f"{name} stays in use: on {audit} audit tasks no other has a cross-validated log-loss at least "
        f"{LEAST_GAIN} below its {losses[name]:.3f} ({others}){later}."
    )


def _compared(rows: Sequence[Verified], seed: int) -> dict[str, Figures]:
    """The candidates for which there are enough verified tasks."""
    fitting = {name: candidate for name, candidate in _CANDIDATES.items() if len(rows) >= candidate.needs}
    strata = [f"{v.audit}{v.right}" for v in rows]
    judged: dict[str, list[list[Judged]]] = {name: [] for name in fitting}
    for deal in range(DEALS):
        fold = folds([v.group for v in rows], strata, most=FOLDS, seed=DEALS * seed + deal)
        for name, candidate in fitting.items():
            judged[name].append(_held_out(rows, fold, candidate))
    return {name: _figures(deals) for name, deals in judged.items()}


def _held_out(rows: Sequence[Verified], fold: Sequence[int], candidate: _Candidate) -> list[Judged]:
    """Of each audit task the probability by a score that was fitted without its fold, and whether it is right."""
    judged: list[Judged] = []
    for number in range(FOLDS):
        score = candidate.fit([v for v, own in zip(rows, fold, strict=True) if own != number])
        assert score is not None, "there are several folds"
        held_out = [v for v, own in zip(rows, fold, strict=True) if own == number and v.audit]
        for v in held_out:
            found = probability(score, v.case)
            assert found is not None, "only what has a raw confidence is judged"
            judged.append((found, v.right))
    return judged


def _figures(deals: Sequence[Sequence[Judged]]) -> Figures:
    """The averages over the deals."""
    return Figures(
        log_loss=fsum(map(_log_loss, deals)) / len(deals),
        ece=_mean([expected_calibration_error(judged) for judged in deals]),
        auroc=_mean([auroc(judged) for judged in deals]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if known else None


def _log_loss(judged: Sequence[Judged]) -> float:
    return -fsum(log(sigmoid(logit(p) if right else -logit(p))) for p, right in judged) / len(judged)


def _name(score: Score) -> str:
    return str(score.to_json()["kind"])
