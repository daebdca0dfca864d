"""What every confidence method promises: a probability in [0, 1], or None without evidence."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import backend.confidence
from backend.confidence.agreement import agreement, set_agreement
from backend.confidence.calibration import Platt
from backend.confidence.cases import Case as Prediction
from backend.confidence.decisions import Decision
from backend.confidence.fused import Fused, Slope
from backend.confidence.label_logprob import label_probability
from backend.confidence.mean_token import mean_token_probability
from backend.confidence.self_reported import per_cent_probability, self_reported_probability
from backend.confidence.task_score import task_score
from backend.confidence.value_logprob import value_probability
from backend.core.values import TokenLogprob

NO_METHOD = {
    *("decisions", "spellings"),  # parts of methods
    *(
        "metrics",
        "adoption",
        "certificate",
        "intervals",
        "kappa",
        "random_draw",
        "cases",
        "draw_weights",
        "logistic",
        "stored",
    ),  # how good a method is, and how it is fitted
    "batch_calibration",  # gives a label as well
}

_LOGPROBS = st.floats(-30, 0) | st.sampled_from([0.0, -9999.0, -math.inf])
_PIECES = st.sampled_from(['{"s": "', '"', "ye", "yes", "no", "not", '"}', " ", "positive", "é"])
_TOKENS = st.lists(
    st.builds(
        TokenLogprob,
        token=_PIECES,
        logprob=_LOGPROBS,
        top=st.lists(st.tuples(_PIECES, _LOGPROBS), max_size=4).map(tuple),
    ),
    max_size=8,
)
_FIRST = Decision(begin=0, end=1)
_DECISIONS = st.lists(
    st.builds(
        Decision, begin=st.integers(0, 9), end=st.integers(1, 12), instead=st.sampled_from(["", "", "]", "null"])
    ),
    max_size=4,
).map(lambda found: sorted(found, key=lambda d: d.begin))
_SPELLINGS = {"yes": ["yes", "Yes"], "no": ["no"], "not": ["not"]}


def _label_logprob(evidence: tuple[list[TokenLogprob], int, int, str]) -> float | None:
    found = label_probability(*evidence, _SPELLINGS)
    assert found is None or 0 <= found.off_label <= 1
    return found.probability if found else None


def _agreement(samples: list[str | None]) -> float | None:
    found = agreement(samples)
    return found.share if found else None


def _set_agreement(samples: list[frozenset[str] | None]) -> float | None:
    found = set_agreement(samples)
    return found.share if found else None


Case = tuple[Callable[[Any], float | None], st.SearchStrategy[Any], list[Any]]

_PLATT = Platt(slope=2.0, intercept=-0.5)
_FUSED = Fused(
    intercept=0.5,
    raw=Slope(centre=2.0, slope=1.0),
    share=Slope(centre=0.0, slope=0.3),
    margin=Slope(centre=0.5, slope=2.0),
    labels={"a": -1.0},
)
_PREDICTIONS = st.builds(
    Prediction,
    raw=st.none() | st.floats(0, 1),
    label=st.none() | st.sampled_from("ab"),
    student_share=st.none() | st.floats(0, 1),
    student_margin=st.none() | st.floats(-1, 1),
)

# The method's file: how it is asked, any evidence, and evidence that says nothing.
METHODS: dict[str, list[Case]] = {
    "label_logprob": [
        (
            _label_logprob,
            st.tuples(_TOKENS, st.integers(0, 20), st.integers(0, 30), st.sampled_from(["yes", "no", "not", "joy"])),
            [([], 0, 0, "yes"), ([TokenLogprob(token='"yes"', logprob=0.0)], 0, 5, "yes")],
        )
    ],
    "agreement": [
        (_agreement, st.lists(st.none() | st.sampled_from("abc")), [[], ["a"], [None, None]]),
        (
            _set_agreement,
            st.lists(st.none() | st.frozensets(st.sampled_from("abc"))),
            [[], [frozenset("a")], [None, None]],
        ),
    ],
    "calibration": [(_PLATT.apply, st.none() | st.floats(0, 1), [None])],
    "fused": [(_FUSED.apply, _PREDICTIONS, [Prediction(raw=None, label="a", student_share=0.9, student_margin=0.8)])],
    "self_reported": [
        (
            method,
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()),
            [None, "", "high", True, [], {}],
        )
        for method in (self_reported_probability, per_cent_probability)
    ],
    "value_logprob": [
        (
            lambda evidence: value_probability(*evidence),
            st.tuples(_TOKENS, _DECISIONS),
            [([], []), ([], [_FIRST]), ([TokenLogprob(token="4", logprob=0.0)], [_FIRST])],
        )
    ],
    "mean_token": [(mean_token_probability, _TOKENS, [[], [TokenLogprob(token="x", logprob=0.0)]])],
    "task_score": [(task_score, st.lists(st.none() | st.floats(0, 1)), [[], [None, None]])],
}
CASES = [pytest.param(*case, id=f"{name}-{i}") for name, cases in METHODS.items() for i, case in enumerate(cases)]


def test_every_method_is_in_this_suite() -> None:
    files = {module.name for module in pkgutil.iter_modules(backend.confidence.__path__)}
    assert files - NO_METHOD == set(METHODS)


@pytest.mark.parametrize(("method", "evidence", "nothing"), CASES)
def test_a_confidence_is_a_probability_or_unknown(
    method: Callable[[Any], float | None], evidence: st.SearchStrategy[Any], nothing: list[Any]
) -> None:
    @given(evidence)
    def check(signals: Any) -> None:
        found = method(signals)
        assert found is None or (isinstance(found, float) and 0.0 <= found <= 1.0)

    check()


@pytest.mark.parametrize(("method", "evidence", "nothing"), CASES)
def test_without_evidence_it_is_unknown(
    method: Callable[[Any], float | None], evidence: st.SearchStrategy[Any], nothing: list[Any]
) -> None:
    assert [method(signals) for signals in nothing] == [None] * len(nothing)
