"""Which score is used: only evidence on the audit decides."""

from __future__ import annotations

import math
from random import Random

import pytest

from backend.confidence.adoption import (
    AUDIT_FROM,
    FUSED_FROM,
    PLATT_FROM,
    Adoption,
    Raw,
    Score,
    adopt,
    probability,
    score_from_json,
)
from backend.confidence.calibration import Platt
from backend.confidence.cases import Case, Verified
from backend.confidence.fused import Fused, Slope, fit_fused
from backend.core.values import JSON
from tests.unit.confidence.verified_rows import overconfident, verified

_NOTHING = Slope()


def adopted(rows: list[Verified], in_use: Score | None = None, seed: int = 0) -> Adoption:
    return adopt(rows, in_use=Raw() if in_use is None else in_use, seed=seed)


def calibrated(count: int) -> list[Verified]:
    """Raw scores that are as good as any can be, and nothing else that tells right from wrong."""
    chance = Random(1)
    return [
        verified(raw := chance.uniform(0.3, 0.98), chance.random() < raw, group=str(number)) for number in range(count)
    ]


def test_fused_replaces_raw_where_it_is_better() -> None:
    found = adopted(overconfident(FUSED_FROM + 50))
    assert (found.name, found.before, found.changed) == ("fused", "raw", True)
    assert isinstance(found.score, Fused)
    assert set(found.figures) == {"raw", "platt", "fused"}
    losses = {name: figures.log_loss for name, figures in found.figures.items()}
    assert losses["fused"] < losses["platt"] < losses["raw"]
    assert found.why == (
        "fused replaces raw: its cross-validated log-loss on 150 audit tasks is "
        f"{losses['fused']:.3f} instead of {losses['raw']:.3f}."
    )
    assert found.figures["fused"].auroc is not None
    assert found.figures["fused"].auroc > 0.8


def test_the_winner_is_fitted_on_everything() -> None:
    rows = overconfident(200)
    assert adopted(rows).score == fit_fused(rows)


def test_platt_comes_from_fifty_on() -> None:
    found = adopted(overconfident(PLATT_FROM))
    assert found.name == "platt"
    assert "fused" not in found.figures
    assert found.why.endswith("fused is tried from 100 verified tasks on, of 50 now.")


def test_a_score_that_is_as_good_as_can_be_stays() -> None:
    found = adopted(calibrated(400))
    assert (found.name, found.changed) == ("raw", False)
    assert found.why.startswith("raw stays in use: on 400 audit tasks no other has a cross-validated log-loss")
    assert f"(platt {found.figures['platt'].log_loss:.3f}, fused {found.figures['fused'].log_loss:.3f})" in found.why


def test_a_fitted_score_goes_when_raw_turns_out_better() -> None:
    fused = Fused(intercept=0.0, raw=_NOTHING, share=_NOTHING, margin=_NOTHING)
    found = adopted(calibrated(400), in_use=fused)
    assert (found.name, found.before, found.changed) == ("raw", "fused", True)


def test_a_score_that_stays_is_fitted_anew() -> None:
    old = Platt(slope=0.1, intercept=0.0)
    found = adopted(overconfident(60), in_use=old)
    assert (found.name, found.changed) == ("platt", False)
    assert found.score != old


@pytest.mark.parametrize(
    ("name", "rows", "why"),
    [
        ("none", [], "0 verified tasks can be fitted on and 50 are needed: raw stays in use."),
        ("3 tasks", overconfident(3), "3 verified tasks can be fitted on and 50 are needed: raw stays in use."),
        ("without a raw score", [verified(None)] * 200,
         "0 verified tasks can be fitted on and 50 are needed: raw stays in use."),
        ("weights zero", [verified(weight=0.0)] * 200,
         "0 verified tasks can be fitted on and 50 are needed: raw stays in use."),
        ("no audit", overconfident(200, audit=0),
         "0 verified tasks of the audit can be judged by and 20 are needed: raw stays in use."),
        ("a small audit", overconfident(200, audit=AUDIT_FROM - 1),
         "19 verified tasks of the audit can be judged by and 20 are needed: raw stays in use."),
        ("all right", [verified(0.6 + n / 300, True, group=str(n)) for n in range(100)],
         "All 100 predictions of the audit are right, so that there is nothing to tell apart: raw stays in use."),
        ("all wrong", [verified(0.6 + n / 300, False, group=str(n)) for n in range(100)],
         "All 100 predictions of the audit are wrong, so that there is nothing to tell apart: raw stays in use."),
        ("all the same task", [verified(0.6, n % 2 == 0, group="same") for n in range(100)],
         "The verified tasks show fewer than 10 different things: raw stays in use."),
    ],
)  # fmt: skip
def test_where_nothing_can_be_compared_the_score_in_use_stays_as_it_is(
    name: str, rows: list[Verified], why: str
) -> None:
    found = adopted(rows)
    assert (found.name, found.score, found.figures, found.why) == ("raw", Raw(), {}, why), name
    platt = Platt(slope=0.3, intercept=0.1)
    found = adopted(rows, in_use=platt)
    if "are needed" in why:
        assert (found.score, found.changed, found.figures) == (Raw(), True, {})
        assert found.why.endswith("are needed: platt, which was fitted on what counts no more, is given up for raw.")
    else:
        assert found.score is platt


def test_a_fused_score_with_too_few_left_to_fit_it_gives_way_to_what_can_be_fitted() -> None:
    """Verifications of a failing annotator were taken out."""
    fused = fit_fused(overconfident(200))
    assert fused is not None
    found = adopted(overconfident(60), in_use=fused)
    assert (found.name, found.before) == ("platt", "fused")
    given_up = "60 verified tasks can be fitted on and 100 are needed: fused, which was fitted on what counts no more,"
    assert found.why.startswith(f"{given_up} is given up; platt replaces raw: its cross-validated log-loss")


def test_one_class_among_all_but_the_audit_is_no_obstacle() -> None:
    rows = overconfident(60) + [verified(0.9, True, audit=False, group=f"more {n}") for n in range(60)]
    assert adopted(rows).figures


def test_only_the_audit_is_judged_by() -> None:
    """Rows that were not drawn at random are fitted on, and their own losses count for nothing."""
    audit = overconfident(60)
    odd = [verified(0.99, False, audit=False, weight=1e-9, group=f"more {n}") for n in range(300)]
    alone, with_others = adopted(audit), adopted(audit + odd)
    assert with_others.audit == alone.audit == 60
    assert with_others.figures["raw"] == alone.figures["raw"]
    assert with_others.figures["raw"].log_loss < 1.0 < -math.log(0.01)


def test_a_certain_and_wrong_answer_costs_a_finite_amount() -> None:
    rows = [verified(1.0, n % 2 == 0, group=str(n)) for n in range(60)]
    assert adopted(rows).figures["raw"].log_loss == pytest.approx(math.log(1000) / 2, abs=0.01)


def test_the_same_rows_and_seed_give_the_same_answer() -> None:
    assert adopted(overconfident(150), seed=4) == adopted(overconfident(150), seed=4)
    assert adopted(overconfident(150), seed=4).figures != adopted(overconfident(150), seed=5).figures


def test_equal_tasks_are_never_on_both_sides() -> None:
    """Twenty texts, ten times each, and nothing but the text tells right from wrong: what is learnt by heart is no
    gain."""
    chance = Random(0)
    texts = [(chance.random() < 0.5, chance.uniform(-1, 1)) for _ in range(20)]
    rows = [verified(0.5, right, margin=m, group=str(n)) for n, (right, m) in enumerate(texts) for _ in range(10)]
    apart = [verified(0.5, v.right, margin=v.case.student_margin, group=str(n)) for n, v in enumerate(rows)]
    assert adopted(rows).figures["fused"].log_loss > adopted(apart).figures["fused"].log_loss + 0.02


@pytest.mark.parametrize("score", [Raw(), Platt(slope=1.0, intercept=0.5), fit_fused(overconfident(100))])
def test_any_score_is_read_back(score: Score) -> None:
    again = score_from_json(score.to_json())
    assert again == score
    case = Case(raw=0.7, label="a", student_share=0.2, student_margin=-0.1)
    assert probability(again, case) == probability(score, case)
    assert probability(score, Case(raw=None, label="a")) is None


@pytest.mark.parametrize(
    "stored", [None, {}, {"kind": "raw", "more": 1}, {"kind": ["raw"]}, {"kind": "isotonic"}, "raw"]
)
def test_any_other_is_refused(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        score_from_json(stored)
