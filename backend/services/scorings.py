"""Which score a version uses, and what its fits found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from backend.confidence.adoption import Score, score_from_json
from backend.core.scorings import Scoring, ScoringState
from backend.ports.store import Store


def in_use(scorings: Sequence[Scoring]) -> Scoring | None:
    """The fit whose predictions are the current ones; None: the model's own confidence is used."""
    return next((scoring for scoring in scorings if scoring.state is ScoringState.SHOWN), None)


def to_write(scorings: Sequence[Scoring]) -> Scoring | None:
    """The fit by which predictions are written now: the one that is coming into use, else the one that is used; None:
    as the model says."""
    coming = next((scoring for scoring in scorings if scoring.state is ScoringState.ADOPTED), None)
    return coming or in_use(scorings)


def scores_of(fit: Scoring) -> dict[str, Score]:
    """Control -> its score by the fit; controls without one have the model's own confidence."""
    return {one.control: score_from_json(dict(one.parameters)) for one in fit.controls}


def told_of(store: Store, project_id: int, version: str) -> Mapping[str, Any]:
    """Which score is used for a version, and what the last fit that ended found, as JSON."""
    found = store.scorings(project_id, version)
    scorings = [scoring for scoring in found if scoring.state is not ScoringState.BEGUN]
    begun = found[0] if found and found[0].state is ScoringState.BEGUN else None
    shown, last = in_use(scorings), next(iter(scorings), None)
    return {
        "in_use": {one.control: one.kind for one in shown.controls} if shown else {},
        "shown_since": shown.shown_at.isoformat() if shown and shown.shown_at else None,
        "fits": len(scorings),
        "last": _in_numbers(last) if last else None,
        "begun_at": begun.created_at.isoformat() if begun else None,  # of a later one that has not ended
    }


def _in_numbers(scoring: Scoring) -> dict[str, Any]:
    return {
        "number": scoring.number,
        "state": scoring.state.value,
        "annotations": scoring.annotations,
        "at": scoring.created_at.isoformat(),
        "controls": {one.control: {k: v for k, v in asdict(one).items() if k != "control"} for one in scoring.controls},
    }
