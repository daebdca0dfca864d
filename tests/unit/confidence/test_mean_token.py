"""MEGAnno+'s mean over all tokens, the comparison."""

from __future__ import annotations

import math

import pytest

from backend.confidence.mean_token import mean_token_probability
from backend.core.values import TokenLogprob


def tokens(*probabilities: float) -> list[TokenLogprob]:
    return [TokenLogprob(token="x", logprob=math.log(p)) for p in probabilities]


def test_format_tokens_drown_the_label() -> None:
    """A label of probability 0.5 among six certain tokens of JSON."""
    assert mean_token_probability(tokens(1, 1, 1, 0.5, 1, 1, 1)) == pytest.approx(6.5 / 7)


def test_it_is_the_mean_of_probabilities_and_not_of_logarithms() -> None:
    assert mean_token_probability(tokens(0.2, 0.8)) == pytest.approx(0.5)


def test_a_forbidden_token_counts_as_zero() -> None:
    assert mean_token_probability([TokenLogprob(token="x", logprob=-math.inf), *tokens(0.5)]) == pytest.approx(0.25)


def test_certain_with_alternatives_is_evidence() -> None:
    sure = TokenLogprob(token="x", logprob=0.0, top=(("x", 0.0), ("y", -20.0)))
    assert mean_token_probability([sure, sure]) == 1.0


@pytest.mark.parametrize(
    "given",
    [[], tokens(1, 1, 1), [TokenLogprob(token="x", logprob=math.nan)]],
    ids=["no tokens", "a constant", "not a number"],
)
def test_unknown_is_none(given: list[TokenLogprob]) -> None:
    assert mean_token_probability(given) is None
