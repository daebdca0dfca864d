"""The decision whether to ask again, apart from the sleeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core import errors
from backend.core.retry import MAX_ATTEMPTS, MAX_DELAY_S, retry_delay

_MODEL_ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.ModelError)
    and kind is not errors.RefusedAlone  # made of another one, where asking ends
]
_FINAL = [
    errors.ModelError,
    errors.ModelUnauthorized,
    errors.ModelQuotaExhausted,
    errors.ContextTooLong,
    errors.ModelBadRequest,
    errors.ModelTakesNoImages,
    errors.BatchNotOffered,
    errors.ModelUnknown,
]


@pytest.mark.parametrize("kind", _MODEL_ERRORS)
def test_only_what_may_pass_is_tried_again(kind: type[errors.ModelError]) -> None:
    assert (retry_delay(kind("x"), 1, 0.5) is None) == (kind in _FINAL)


def test_the_last_attempt_is_the_last() -> None:
    delays = [retry_delay(errors.ModelTimeout("x"), attempt, 0.0) for attempt in range(1, MAX_ATTEMPTS + 2)]
    assert [d is None for d in delays] == [False] * (MAX_ATTEMPTS - 1) + [True, True]


@pytest.mark.parametrize(
    ("attempt", "jitter", "delay_s"), [(1, 0.0, 0.5), (1, 0.5, 0.75), (2, 0.0, 1.0), (3, 0.0, 2.0), (3, 0.5, 3.0)]
)
def test_backoff_doubles_and_half_of_it_is_random(attempt: int, jitter: float, delay_s: float) -> None:
    assert retry_delay(errors.ModelServerError("x"), attempt, jitter) == pytest.approx(delay_s)


@pytest.mark.parametrize(("retry_after_s", "delay_s"), [(0.0, 0.25), (2.5, 2.75), (3600.0, MAX_DELAY_S + 0.25)])
def test_the_endpoints_own_delay_wins_up_to_a_limit(retry_after_s: float, delay_s: float) -> None:
    error = errors.ModelRateLimited("x", retry_after_s=retry_after_s)
    assert retry_delay(error, 1, 0.25) == pytest.approx(delay_s)


def test_a_rate_limit_without_a_delay_backs_off() -> None:
    assert retry_delay(errors.ModelRateLimited("x"), 2, 0.0) == pytest.approx(1.0)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_negative_nor_much_over_the_limit(attempt: int, jitter: float) -> None:
    delay_s = retry_delay(errors.ModelTimeout("x"), attempt, jitter)
    assert delay_s is None or 0 < delay_s <= MAX_DELAY_S + 1
