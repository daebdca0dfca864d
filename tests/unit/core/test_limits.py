"""What headers say of limits, as OpenAI, Groq and Anthropic write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.limits import RateLimits, read_limits


def openai(what: str, limit: object, left: object, reset: str) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{what}": str(limit),
        f"x-ratelimit-remaining-{what}": str(left),
        f"x-ratelimit-reset-{what}": reset,
    }


def test_openai_s_headers() -> None:
    headers = openai("requests", 600, 599, "100ms") | openai("tokens", 120_000, 119_800, "100ms")
    assert read_limits(headers) == RateLimits(requests=600, tokens=120_000, requests_left=599, tokens_left=119_800)


def test_anthropic_s_headers() -> None:
    headers = {
        "date": "Sun, 01 Mar 2026 12:00:00 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "40",
        "anthropic-ratelimit-requests-reset": "2026-03-01T12:00:12Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "29000",
        "anthropic-ratelimit-input-tokens-reset": "2026-03-01T12:00:02Z",
    }
    assert read_limits(headers) == RateLimits(requests=50, requests_left=40, tokens=30_000, tokens_left=29_000)


@pytest.mark.parametrize(("left", "reset"), [(14_370, "2m59.56s"), (199, "7m12s"), (100, "12h0m0s")])
def test_a_limit_a_day_is_none_a_minute(left: int, reset: str) -> None:
    limit = 14_400 if left > 200 else 200
    assert read_limits(openai("requests", limit, left, reset)) is None


def test_a_limit_a_day_that_is_used_up_is_a_pause() -> None:
    assert read_limits(openai("requests", 200, 0, "7m12.5s")) == RateLimits(pause_s=432.5)
    assert read_limits(openai("requests", 200, 0, "400h")) == RateLimits(pause_s=86_400.0)


def test_a_minute_that_is_used_up_is_no_pause() -> None:
    assert read_limits(openai("requests", 600, 0, "1m0s")) == RateLimits(requests=600, requests_left=0)


@pytest.mark.parametrize("reset", ["", "soon", "-1", "nan", "1e400", "2026-13-40T00:00:00Z", "9" * 80])
def test_without_a_usable_reset_a_limit_is_one_a_minute(reset: str) -> None:
    assert read_limits(openai("requests", 600, 599, reset)) == RateLimits(requests=600, requests_left=599)


@pytest.mark.parametrize("limit", ["", "0", "-1", "many", "nan", "inf", "1e30"])
def test_what_is_no_limit(limit: str) -> None:
    assert read_limits(openai("requests", limit, 1, "1s")) is None


@given(st.dictionaries(st.sampled_from(sorted(openai("tokens", 1, 1, "") | {"date": ""})), st.text(max_size=80)))
def test_nothing_that_an_endpoint_writes_is_an_error(headers: dict[str, str]) -> None:
    found = read_limits(headers)
    assert found is None or (found.tokens is None or found.tokens >= 0)
