"""The correctness model."""

from __future__ import annotations

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.cases import Case, Verified
from backend.confidence.fused import LEAST_OF_LABEL, MAX_LABELS, Fused, Slope, fit_fused
from backend.confidence.metrics import auroc
from backend.core.values import JSON
from tests.unit.confidence.test_calibration import json_values, numbers
from tests.unit.confidence.verified_rows import overconfident, verified


def fit(rows: list[Verified]) -> Fused:
    found = fit_fused(rows)
    assert found is not None
    return found


def scored(score: Fused, case: Case) -> float:
    found = score.apply(case)
    assert found is not None
    return found


def test_it_finds_the_errors_that_the_raw_score_does_not() -> None:
    fused, others = fit(overconfident(200)), overconfident(2000, seed=1)
    by_raw = auroc([(v.case.raw or 0, v.right) for v in others])
    by_fused = auroc([(scored(fused, v.case), v.right) for v in others])
    assert by_raw is not None
    assert by_fused is not None
    assert by_raw < 0.55
    assert by_fused > 0.8


def test_it_is_calibrated() -> None:
    fused, others = fit(overconfident(2000)), overconfident(2000, seed=1)
    mean = sum(scored(fused, v.case) for v in others) / len(others)
    assert mean == pytest.approx(sum(v.right for v in others) / len(others), abs=0.03)


def test_a_label_that_is_mostly_wrong_comes_earlier() -> None:
    fused = fit(overconfident(400))
    assert set(fused.labels) == {"a", "b", "c"}
    alike = [Case(raw=0.9, label=label, student_share=0.5, student_margin=0.0) for label in ("c", "a")]
    assert scored(fused, alike[0]) < scored(fused, alike[1])


def test_never_more_than_eight_features() -> None:
    """Of 77 labels the most verified ones have a feature, and none that was verified a few times only."""
    chance = Random(0)
    rows = [verified(0.9, chance.random() < 0.7, label=f"often {n}") for n in range(7) for _ in range(20 - n)]
    rows += [verified(0.9, chance.random() < 0.7, label=f"rare {n}") for n in range(70) for _ in range(3)]
    fused = fit(rows)
    assert sorted(fused.labels) == [f"often {n}" for n in range(MAX_LABELS)]
    assert MAX_LABELS + len((fused.raw, fused.share, fused.margin)) == 8
    assert fused.apply(Case(raw=0.9, label="rare 1")) == fused.apply(Case(raw=0.9, label="never seen"))


def test_a_label_of_few_is_pooled() -> None:
    rows = [verified(0.9, n % 2 == 0, label="rare" if n < LEAST_OF_LABEL - 1 else "often") for n in range(100)]
    assert set(fit(rows).labels) == {"often"}


def test_without_a_student_the_raw_score_and_the_label_remain() -> None:
    chance = Random(0)
    rows = [verified(raw := chance.uniform(0.3, 1), chance.random() < raw, label="a") for _ in range(200)]
    fused = fit(rows)
    assert fused.share.slope == fused.margin.slope == 0.0
    assert scored(fused, Case(raw=0.4, label="a")) < scored(fused, Case(raw=0.9, label="a"))


def test_a_task_that_the_student_cannot_judge_counts_as_an_average_one() -> None:
    fused = fit(overconfident(400))
    averages = {"student_share": sigmoid_inverse(fused.share.centre), "student_margin": fused.margin.centre}
    known = scored(fused, Case(raw=0.9, label="a", **averages))
    assert fused.apply(Case(raw=0.9, label="a")) == pytest.approx(known, abs=1e-6)


def sigmoid_inverse(log_odds: float) -> float:
    """The probability of which `logit` gives this, with the thousandth that it draws towards the middle."""
    return (1 / (1 + math.exp(-log_odds)) - 1e-3) / (1 - 2e-3)


def test_unknown_stays_unknown() -> None:
    fused = fit(overconfident(100))
    assert fused.apply(Case(raw=None, label="a", student_share=0.9, student_margin=0.8)) is None
    assert fit_fused([verified(None)] * 100) is None
    assert fit_fused([verified(weight=0.0)] * 100) is None
    assert fit_fused([]) is None


@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong_is_no_certainty(right: bool) -> None:
    rows = [verified(v.case.raw, right, label=v.case.label, margin=v.case.student_margin) for v in overconfident(100)]
    fused = fit(rows)
    for v in rows:
        assert abs(scored(fused, v.case) - float(right)) == pytest.approx(1 / 102, abs=0.005)


def test_three_tasks_of_one_kind() -> None:
    assert fit([verified(0.9)] * 3).apply(Case(raw=0.9, label="a")) == pytest.approx(4 / 5)


def test_weights_mend_what_an_order_by_the_score_bends() -> None:
    """Verified are all low scores and a tenth of the high ones, which the model is right about."""
    chance = Random(3)
    rows = [verified(0.5, chance.random() < 0.3, label=None, weight=1.0) for _ in range(200)]
    rows += [verified(0.5, chance.random() < 0.9, label=None, weight=10.0) for _ in range(20)]
    assert fit(rows).apply(Case(raw=0.5, label=None)) == pytest.approx(0.6, abs=0.08)


def test_it_is_the_same_whenever_it_is_fitted() -> None:
    assert fit(overconfident(150)) == fit(overconfident(150))


slopes = st.builds(Slope, centre=numbers, slope=numbers)
fused_scores = st.builds(
    Fused,
    intercept=numbers,
    raw=slopes,
    share=slopes,
    margin=slopes,
    labels=st.dictionaries(st.text(), numbers, max_size=MAX_LABELS),
)
probabilities = st.none() | st.floats(0, 1)


@given(fused_scores, probabilities, st.none() | st.text(), probabilities, st.none() | st.floats(-1, 1))
def test_what_is_stored_is_what_was_fitted(
    fused: Fused, raw: float | None, label: str | None, share: float | None, margin: float | None
) -> None:
    again = Fused.from_json(json.loads(json.dumps(fused.to_json())))
    assert again == fused
    found = again.apply(Case(raw=raw, label=label, student_share=share, student_margin=margin))
    assert (found is None) == (raw is None)
    assert found is None or 0 <= found <= 1


GOOD = fit_fused(overconfident(50))
STORED = GOOD.to_json() if GOOD else {}
MANY = {str(n): 0.0 for n in range(MAX_LABELS + 1)}


@pytest.mark.parametrize(
    "stored",
    [
        None, {}, {**STORED, "kind": "platt"}, {**STORED, "more": 1}, {**STORED, "intercept": math.nan},
        {**STORED, "slopes": {"raw": 1.0}}, {**STORED, "slopes": [1.0, 1.0, 1.0]}, {**STORED, "centres": None},
        {**STORED, "centres": {"raw": 1.0, "share": 0.0, "other": 0.0}}, {**STORED, "labels": {"a": math.inf}},
        {**STORED, "labels": {"a": "much"}}, {**STORED, "labels": MANY}, {**STORED, "labels": {1: 0.5}},
    ],
)  # fmt: skip
def test_anything_else_is_refused(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        Fused.from_json(stored)


@given(json_values)
def test_hostile_json_is_refused_in_no_other_way(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        Fused.from_json(stored)
